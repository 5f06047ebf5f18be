"""Whoever is on call hears in time of what expires among the partners' listener's files."""

import datetime
from pathlib import Path

import msgspec
import pytest

from hpts.config import Settings
from hpts.metrics.partner_files import PartnerFilesCollector
from tests.certificates import DAY, SERVER, Authority

USABLE = "hpts_partner_files_usable"
EXPIRY = "hpts_partner_file_expiry_timestamp_seconds"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "partners", "Partners")


@pytest.fixture
def settings(authority: Authority) -> Settings:
    """Of a certificate for 3 days, behind it an authority's for 30, and a list that is overdue."""
    server = authority.with_chain(authority.issue("server", SERVER, ends=3 * DAY))
    return Settings(
        partner_port=1,
        partner_certificate=server.path,
        partner_key=server.key_path,
        partner_ca=authority.path,
        partner_crl=(authority.revoke(next_update=-DAY / 2),),
    )


def days_left(settings: Settings) -> tuple[list[float], dict[str, float]]:
    """What is told of whether the files can be used, and the days from now by setting."""
    now = datetime.datetime.now(datetime.UTC).timestamp()
    told = {metric.name: metric.samples for metric in PartnerFilesCollector(settings).collect()}
    return (
        [sample.value for sample in told[USABLE]],
        {
            sample.labels["setting"]: round((sample.value - now) / DAY.total_seconds(), 2)
            for sample in told[EXPIRY]
        },
    )


def test_each_setting_tells_when_the_first_of_its_files_counts_no_more(settings: Settings) -> None:
    left = {"HPTS_PARTNER_CERTIFICATE": 3, "HPTS_PARTNER_CA": 30, "HPTS_PARTNER_CRL": -0.5}
    assert days_left(settings) == ([1], left)


def test_without_lists_nothing_is_told_of_lists(settings: Settings) -> None:
    _, left = days_left(msgspec.structs.replace(settings, partner_crl=()))
    assert left.keys() == {"HPTS_PARTNER_CERTIFICATE", "HPTS_PARTNER_CA"}


def test_a_file_that_was_replaced_counts_at_once(settings: Settings, authority: Authority) -> None:
    authority.revoke(next_update=7 * DAY)
    assert days_left(settings)[1]["HPTS_PARTNER_CRL"] == 7


@pytest.mark.parametrize("content", [None, b"", b"not PEM"])
def test_files_that_a_reload_could_not_use_are_told_and_the_others_still(
    settings: Settings, content: bytes | None
) -> None:
    path = settings.partner_certificate
    assert path is not None
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    usable, left = days_left(settings)
    assert usable == [0]
    assert left.keys() == {"HPTS_PARTNER_CA", "HPTS_PARTNER_CRL"}


@pytest.mark.parametrize("setting", ["partner_certificate", "partner_ca"])
def test_what_openssl_reads_and_nobody_else_breaks_no_scrape(
    settings: Settings, setting: str
) -> None:
    path = getattr(settings, setting)
    path.write_bytes(path.read_bytes().replace(b"CERTIFICATE-", b"TRUSTED CERTIFICATE-"))
    usable, left = days_left(settings)
    assert usable == [0]
    assert len(left) == 2


def test_where_partners_have_no_listener_nothing_is_told() -> None:
    assert days_left(Settings()) == ([], {})
