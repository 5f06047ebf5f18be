"""Settings: every variable, all that is wrong at once, nothing secret shown."""
# ruff: noqa: RUF001  (digits that are not ASCII are among what must be refused)

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.config import (
    VARIABLES,
    ConfigError,
    Settings,
    describe_settings,
    environment_of,
    load_settings,
)
from hpts.domain import limits

GOOD: dict[str, tuple[str, Any]] = {
    "HPTS_DATABASE_URL": ("postgresql://hpts@db/hpts", "postgresql://hpts@db/hpts"),
    "HPTS_READ_DATABASE_URL": ("postgresql://a,b/hpts", "postgresql://a,b/hpts"),
    "HPTS_HOST": ("0.0.0.0", "0.0.0.0"),
    "HPTS_PORT": ("8080", 8080),
    "HPTS_WORKERS": ("4", 4),
    "HPTS_INTERFACE": ("asgi", "asgi"),
    "HPTS_STATE_DIR": ("/var/lib/hpts", Path("/var/lib/hpts")),
    "HPTS_PG_BIN": ("/usr/lib/postgresql/16/bin", Path("/usr/lib/postgresql/16/bin")),
    "HPTS_ISSUER": ("https://issuer.test", "https://issuer.test"),
    "HPTS_AUDIENCE": ("ledger", "ledger"),
    "HPTS_JWKS_URL": ("https://issuer.test/jwks.json", "https://issuer.test/jwks.json"),
    "HPTS_JWT_ALGORITHMS": ("ES256, EdDSA", ("ES256", "EdDSA")),
    "HPTS_WEBHOOK_KEY": ("/etc/hpts/webhook.key", Path("/etc/hpts/webhook.key")),
    "HPTS_WEBHOOK_NETWORKS": ("10.0.0.0/8,::1", ("10.0.0.0/8", "::1/128")),
    "HPTS_CHECKPOINT_KEY": ("/etc/hpts/checkpoint.pem", Path("/etc/hpts/checkpoint.pem")),
    "HPTS_PROBLEM_BASE_URL": ("https://errors.test/hpts", "https://errors.test/hpts/"),
    "HPTS_MAX_BODY_BYTES": ("65536", 65536),
    "HPTS_QUEUE_LIMIT": ("16", 16),
    "HPTS_RATE_LIMIT_WRITES": ("500", 500),
    "HPTS_RATE_LIMIT_READS": ("1000", 1000),
    "HPTS_RECONCILE_SECONDS": ("0", 0),
    "HPTS_RECONCILE_FULL_HOURS": ("8", 8),
    "HPTS_METRICS_HOST": ("0.0.0.0", "0.0.0.0"),
    "HPTS_METRICS_PORT": ("9464", 9464),
    "HPTS_TRACES": ("otlp", "otlp"),
    "HPTS_BANK_PENDING_DAYS": ("0", 0),
    "HPTS_GIT_SHA": ("4237e65", "4237e65"),
    "HPTS_LOG_LEVEL": ("debug", "debug"),
    "HPTS_SERVER_TIMING": ("true", True),
    "HPTS_DEV_ISSUER_DIR": ("/tmp/issuer", Path("/tmp/issuer")),
    "HPTS_JWKS_REFRESH_SECONDS": ("15", 15),
    "HPTS_PARTNER_PORT": ("8443", 8443),
    "HPTS_PARTNER_WORKERS": ("3", 3),
    "HPTS_PARTNER_CERTIFICATE": ("/etc/hpts/server.pem", Path("/etc/hpts/server.pem")),
    "HPTS_PARTNER_KEY": ("/etc/hpts/server.key", Path("/etc/hpts/server.key")),
    "HPTS_PARTNER_CA": ("/etc/hpts/ca.pem", Path("/etc/hpts/ca.pem")),
    "HPTS_PARTNER_CRL": ("/etc/a.crl, /etc/b.crl", (Path("/etc/a.crl"), Path("/etc/b.crl"))),
    "HPTS_PARTNER_CLIENTS": ("acme, bank of one", ("acme", "bank of one")),
    "HPTS_TRUSTED_PROXIES": (
        "192.0.2.7, 10.0.0.0/8,2001:db8::/32,::ffff:192.0.2.9,::ffff:10.1.0.0/112",
        ("192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32", "192.0.2.9/32", "10.1.0.0/16"),
    ),
    "HPTS_LISTENER": ("partner", "partner"),
}
BAD: dict[str, tuple[str, ...]] = {
    "HPTS_DATABASE_URL": (
        "",
        "hpts",
        "mysql://db/hpts",
        "postgresql://a,b/hpts",
        "postgresql://hpts:x@a:5432,b:5433/hpts?sslmode=require",
        "postgresql://a,b/hpts?target_session_attrs=any",
        "postgresql:///hpts?host=/tmp/a%2C/tmp/b",
        "host=a,b dbname=hpts",
        "hostaddr = '192.0.2.1,192.0.2.2' target_session_attrs=prefer-standby",
    ),
    "HPTS_READ_DATABASE_URL": ("", "hpts", "mysql://db/hpts"),
    "HPTS_HOST": ("",),
    "HPTS_PORT": ("", "0", "65536", "-1", "3000.0", "３０００", "http", "3000\n", "9" * 40),
    "HPTS_WORKERS": ("", "0", "129", "two"),
    "HPTS_INTERFACE": ("", "wsgi", "RSGI"),
    "HPTS_STATE_DIR": ("",),
    "HPTS_PG_BIN": ("",),
    "HPTS_ISSUER": ("",),
    "HPTS_AUDIENCE": ("",),
    "HPTS_JWKS_URL": ("", "issuer.test/jwks.json", "ftp://issuer.test/jwks.json", "http://["),
    "HPTS_JWT_ALGORITHMS": ("", "HS256", "none", "RS256,HS256", "RS256,", "rs256"),
    "HPTS_CHECKPOINT_KEY": ("",),
    "HPTS_WEBHOOK_KEY": ("",),
    "HPTS_WEBHOOK_NETWORKS": ("", "localhost", "0.0.0.0/0", "10.0.0.1/8"),
    "HPTS_PROBLEM_BASE_URL": ("", "errors.test", "file:///errors"),
    "HPTS_MAX_BODY_BYTES": ("", "1023", str(limits.BODY_BYTES_MAX + 1)),
    "HPTS_QUEUE_LIMIT": ("", "0", "1000001"),
    "HPTS_RATE_LIMIT_WRITES": ("", "0", "-1", "1.5", "1000001"),
    "HPTS_RATE_LIMIT_READS": ("", "0", "many"),
    "HPTS_RECONCILE_SECONDS": ("", "-1", "86401"),
    "HPTS_RECONCILE_FULL_HOURS": ("0", "often"),
    "HPTS_METRICS_HOST": ("",),
    "HPTS_METRICS_PORT": ("", "0", "65536", "metrics"),
    "HPTS_TRACES": ("", "on", "OTLP"),
    "HPTS_BANK_PENDING_DAYS": ("", "-1", "366", "five"),
    "HPTS_GIT_SHA": ("", "4237e6", "4237E65", "g" * 7, "a" * 41, "4237e65\n"),
    "HPTS_LOG_LEVEL": ("", "DEBUG", "trace"),
    "HPTS_SERVER_TIMING": ("", "yes", "True"),
    "HPTS_DEV_ISSUER_DIR": ("",),
    "HPTS_JWKS_REFRESH_SECONDS": ("", "0", "3601", "1.5"),
    "HPTS_PARTNER_PORT": ("", "0", "65536", "https"),
    "HPTS_PARTNER_WORKERS": ("", "0", "129"),
    "HPTS_PARTNER_CERTIFICATE": ("",),
    "HPTS_PARTNER_KEY": ("",),
    "HPTS_PARTNER_CA": ("",),
    "HPTS_PARTNER_CRL": ("", "a.crl,", ",", "a.crl,,b.crl"),
    "HPTS_PARTNER_CLIENTS": ("", " ", "acme,", ",acme"),
    "HPTS_TRUSTED_PROXIES": (
        "",
        "proxy.example.com",
        "192.0.2.7,",
        "192.0.2.7/8",
        "300.1.1.1",
        "0.0.0.0/0",
        "::/0",
        "::ffff:0:0/96",
        "192.0.2.7/33",
        "unix",
    ),
    "HPTS_LISTENER": ("", "Partner", "both"),
}


def test_without_variables_every_setting_has_its_default() -> None:
    assert load_settings({}) == Settings()


def test_the_tables_here_name_every_variable() -> None:
    assert GOOD.keys() == BAD.keys() == VARIABLES.keys()
    fields = [variable.field for variable in VARIABLES.values()]
    assert sorted(fields) == sorted(Settings.__struct_fields__)


def test_a_variable_is_named_as_its_setting() -> None:
    assert {name: f"HPTS_{variable.field.upper()}" for name, variable in VARIABLES.items()} == {
        name: name for name in VARIABLES
    }


@pytest.mark.parametrize("name", GOOD)
def test_a_variable_sets_its_setting_and_no_other(name: str) -> None:
    text, value = GOOD[name]
    expected = msgspec.structs.replace(Settings(), **{VARIABLES[name].field: value})
    assert load_settings({name: text}) == expected


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in BAD for text in BAD[name]])
def test_a_bad_value_is_refused_with_its_variable_and_a_reason(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({name: text})
    named, _, reason = str(refused.value).partition(": ")
    assert named.startswith(f"{name}=")
    assert reason


def test_everything_wrong_is_said_at_once() -> None:
    environ = {name: texts[0] for name, texts in BAD.items()} | {"HPTS_PROT": "1", "HPTS_": "x"}
    with pytest.raises(ConfigError) as refused:
        load_settings(environ)
    lines = str(refused.value).splitlines()
    assert sorted(line.partition("=")[0].split()[0] for line in lines) == sorted(environ)


def test_an_unknown_variable_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="HPTS_PROT is not a setting of HPTS"):
        load_settings({"HPTS_PROT": "3000"})


def test_variables_of_others_are_none_of_our_business() -> None:
    assert load_settings({"HPTSX": "1", "PATH": "/bin", "hpts_port": "x"}) == Settings()
    assert load_settings({"HPTS_SANITIZE": "address"}) == Settings()  # the build's


@pytest.mark.parametrize(
    "database_url",
    [
        "postgresql://hpts:a,b@db/hpts",
        "postgresql://hpts@a:5432,b:5433/hpts?sslmode=require&target_session_attrs=read-write",
        "postgresql:///hpts?target_session_attrs=primary&host=/tmp/a,/tmp/b",
        "host=a,b dbname=hpts target_session_attrs = 'read-write'",
        "host=a dbname=hpts options='-c a=b,c'",
    ],
)
def test_several_hosts_are_fine_where_the_one_that_takes_postings_is_asked_for(
    database_url: str,
) -> None:
    assert load_settings({"HPTS_DATABASE_URL": database_url}).database_url == database_url


def test_a_bad_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"HPTS_DATABASE_URL": "mysql://hpts:hunter2@db/hpts"})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "database_url",
    [
        "postgresql://hpts:hunter2@db:5432/hpts",
        "postgres://hpts:hunter2@db/hpts?sslmode=require",
        "postgresql://hpts:a=hunter2@db/hpts",
        "postgresql://:hunter2@/hpts?host=/tmp",
        "postgresql://db/hpts?user=hpts&password=hunter2",
        "postgresql://db/hpts?password=a hunter2&user=hpts",
        "host=db user=hpts password=hunter2 dbname=hpts",
        "password=hunter2",
        "host=db password = hunter2 dbname=hpts",
        "host=db password='a hunter2' dbname=hpts",
        r"host=db password='it\'s hunter2' dbname=hpts",
        r"host=db password=a\ hunter2 dbname=hpts",
        "host=db password=a&hunter2 dbname=hpts",
        "host=db sslpassword=hunter2 dbname=hpts",
        "postgresql://hpts:hunter2@db:5432,db2:5433/hpts?target_session_attrs=read-write",
    ],
)
def test_passwords_are_masked_in_every_form_of_the_database_url(database_url: str) -> None:
    settings = load_settings({"HPTS_DATABASE_URL": database_url})
    shown = {name: value for name, value, _ in describe_settings(settings)}
    assert settings.database_url == database_url
    assert "hunter2" not in str(shown)
    assert "***" in shown["HPTS_DATABASE_URL"]
    if "db" in database_url:
        assert "db" in shown["HPTS_DATABASE_URL"]  # the rest is still of use


def test_a_database_url_without_password_is_shown_whole() -> None:
    for database_url in ("postgresql://hpts@db:5432/hpts", "host=/tmp dbname=hpts user=hpts"):
        settings = Settings(database_url=database_url)
        assert describe_settings(settings)[0][:2] == ("HPTS_DATABASE_URL", database_url)


def test_every_setting_is_described() -> None:
    rows = describe_settings(load_settings({name: text for name, (text, _) in GOOD.items()}))
    assert [name for name, _, _ in rows] == list(VARIABLES)
    assert all(value and meaning for _, value, meaning in rows)


def test_a_worker_loads_the_settings_of_its_starter() -> None:
    settings = load_settings({name: text for name, (text, _) in GOOD.items()})
    assert load_settings(environment_of(settings)) == settings
    assert load_settings(environment_of(Settings())) == Settings()


@given(st.sets(st.sampled_from(sorted(GOOD))), st.booleans())
def test_any_settings_survive_the_way_through_the_environment(
    names: set[str], server_timing: bool
) -> None:
    settings = load_settings({name: GOOD[name][0] for name in names})
    settings = msgspec.structs.replace(settings, server_timing=server_timing)
    assert load_settings(environment_of(settings)) == settings
