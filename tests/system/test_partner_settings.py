"""Files and ports of the partners' listener that cannot be used stop the start, and say why."""

import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hpts.http.issuer import DevelopmentIssuer
from tests.certificates import SERVER, Authority

from .partners import Papers
from .processes import (
    quiet_port,
    run_hpts,
    serving_environment,
)


def bad_settings(papers: Papers, folder: Path) -> dict[str, tuple[dict[str, str], tuple[str, ...]]]:
    """What is wrong by name: (settings over the good ones, what the message must say)."""
    two_lists = folder / "two.pem"
    two_lists.write_bytes(papers.authority.crl_path.read_bytes() + another_list(folder))
    encrypted = folder / "encrypted.key"
    key = serialization.load_pem_private_key(papers.server.key_path.read_bytes(), None)
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    nothing = str(folder / "nothing.pem")
    return {
        "no key": ({"HPTS_PARTNER_KEY": ""}, ("HPTS_PARTNER_KEY must be set",)),
        "no authority": ({"HPTS_PARTNER_CA": ""}, ("HPTS_PARTNER_CA must be set",)),
        "no port": ({"HPTS_PARTNER_PORT": ""}, ("HPTS_PARTNER_CRL", "HPTS_PARTNER_PORT")),
        "another's key": (
            {"HPTS_PARTNER_KEY": str(papers.good.key_path)},
            ("HPTS_PARTNER_KEY", "HPTS_PARTNER_CERTIFICATE"),
        ),
        "a key with a password": (
            {"HPTS_PARTNER_KEY": str(encrypted)}, ("HPTS_PARTNER_KEY", "without a password")
        ),
        "no such certificate": ({"HPTS_PARTNER_CERTIFICATE": nothing}, (nothing,)),
        "no such authority": ({"HPTS_PARTNER_CA": nothing}, ("HPTS_PARTNER_CA", nothing)),
        "an authority that is none": (
            {"HPTS_PARTNER_CA": str(papers.good.path)}, ("HPTS_PARTNER_CA", "a CA certificate")
        ),
        "a list that is none": (
            {"HPTS_PARTNER_CRL": str(papers.good.path)}, ("HPTS_PARTNER_CRL", "revocation list")
        ),
        "two lists in a file": (
            {"HPTS_PARTNER_CRL": str(two_lists)}, ("HPTS_PARTNER_CRL", "a file of its own")
        ),
        "a list of somebody of the same name": (
            {"HPTS_PARTNER_CRL": str(Authority(folder / "namesake", "Partners").revoke())},
            ("HPTS_PARTNER_CRL holds no list", "add its list, or unset the variable"),
        ),
        "a key of a kind that only OpenSSL knows": (
            of_another_kind(papers.authority), ("HPTS_PARTNER_KEY is of a kind", "make one for RSA")
        ),
    }  # fmt: skip


def of_another_kind(authority: Authority) -> dict[str, str]:
    issued = authority.issue("p521", SERVER, curve=ec.SECP521R1())
    return {
        "HPTS_PARTNER_CERTIFICATE": str(issued.path), "HPTS_PARTNER_KEY": str(issued.key_path)
    }  # fmt: skip


def another_list(folder: Path) -> bytes:
    return Authority(folder / "third", "Third").revoke().read_bytes()


NAMES = ("no key", "no authority", "no port", "another's key", "a key with a password") + (
    "no such certificate", "no such authority", "an authority that is none", "a list that is none",
    "two lists in a file", "a list of somebody of the same name",
    "a key of a kind that only OpenSSL knows",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_cannot_be_used_stop_the_start(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path, name: str
) -> None:
    cases = bad_settings(papers, tmp_path)
    assert cases.keys() == set(NAMES)
    changes, words = cases[name]
    settings = papers.settings | {"HPTS_PARTNER_PORT": str(quiet_port())} | changes
    environment = serving_environment(database_url, issuer, quiet_port())
    environment |= {variable: value for variable, value in settings.items() if value}
    ran = run_hpts("serve", environment=environment, folder=tmp_path)
    assert ran.returncode == 1
    assert all(word in ran.stderr for word in words), ran.stderr
    assert "Traceback" not in ran.stderr


def test_both_ports_are_checked_before_anything_starts(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    port = quiet_port()
    environment = serving_environment(database_url, issuer, port) | papers.settings
    same = environment | {"HPTS_PARTNER_PORT": str(port)}
    ran = run_hpts("serve", environment=same, folder=tmp_path)
    assert ran.returncode == 1 and "another port" in ran.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        busy = environment | {"HPTS_PARTNER_PORT": number}
        ran = run_hpts("serve", environment=busy, folder=tmp_path)
    assert ran.returncode == 1 and "HPTS_PARTNER_PORT" in ran.stderr and number in ran.stderr
