"""The files of the partners' listener: whether it can use them, and until when they count."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import PublicKeyAlgorithmOID

from hpts.config import ConfigError, Settings

RSA_BITS = range(2_048, 4_097)


def check_partners(settings: Settings) -> None:
    """Raises ConfigError where the settings of the partners' listener do not go together, or a
    file cannot be used."""
    files = {
        "HPTS_PARTNER_CERTIFICATE": settings.partner_certificate,
        "HPTS_PARTNER_KEY": settings.partner_key,
        "HPTS_PARTNER_CA": settings.partner_ca,
    }
    if settings.partner_port is None:
        idle = [name for name, path in files.items() if path is not None]
        idle += ["HPTS_PARTNER_CRL"] if settings.partner_crl else []
        if idle:
            raise ConfigError(f"{' and '.join(idle)} count only with HPTS_PARTNER_PORT; set it too")
        return
    missing = [name for name, path in files.items() if path is None]
    if missing:
        raise ConfigError(f"{' and '.join(missing)} must be set beside HPTS_PARTNER_PORT")
    if settings.partner_port == settings.port:
        raise ConfigError("HPTS_PARTNER_PORT must be another port than HPTS_PORT")
    _check_files(settings)


def expiries(settings: Settings) -> Iterator[tuple[str, float]]:
    """For each setting that names files, its name and when what is in them begins to count no more,
    in seconds since 1970: the first certificate to expire, the first list whose next one is due.
    What cannot be read is left out."""
    certificates = (
        ("HPTS_PARTNER_CERTIFICATE", settings.partner_certificate),
        ("HPTS_PARTNER_CA", settings.partner_ca),
    )
    for name, path in certificates:
        with contextlib.suppress(OSError, ValueError):
            found = x509.load_pem_x509_certificates((path or Path()).read_bytes())
            yield name, min(each.not_valid_after_utc.timestamp() for each in found)
    with contextlib.suppress(OSError, ValueError):
        lists = [x509.load_pem_x509_crl(path.read_bytes()) for path in settings.partner_crl]
        due = [one.next_update_utc for one in lists if one.next_update_utc is not None]
        if due:
            yield "HPTS_PARTNER_CRL", min(due).timestamp()


def _check_files(settings: Settings) -> None:
    # The server reads the files in its workers, where a bad one would be a loop of crashes.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = settings.partner_certificate, settings.partner_key
    try:
        # The empty password is for a key that has one: without it OpenSSL would ask the terminal.
        context.load_cert_chain(str(certificate), str(key), password="")
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        raise ConfigError(
            f"HPTS_PARTNER_CERTIFICATE={certificate} and HPTS_PARTNER_KEY={key} are not a "
            f"certificate and its key in PEM, the key without a password ({error})"
        ) from None
    _check_kind_of_key(certificate or Path())
    _load(context, "HPTS_PARTNER_CA", settings.partner_ca or Path(), "x509_ca", "a CA certificate")
    for count, path in enumerate(settings.partner_crl, 1):
        _load(context, "HPTS_PARTNER_CRL", path, "crl", "one revocation list")
        if context.cert_store_stats()["crl"] != count:
            raise ConfigError(
                f"HPTS_PARTNER_CRL={path} holds more than one list, of which the server would "
                "read the first only; give each a file of its own, comma-separated"
            )
    if settings.partner_crl:
        _check_lists(settings)


def _check_kind_of_key(path: Path) -> None:
    # OpenSSL, which has read the files here, knows kinds of keys that the server does not.
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except ValueError as error:
        raise ConfigError(
            f"HPTS_PARTNER_CERTIFICATE={path} holds no certificate as BEGIN CERTIFICATE ({error})"
        ) from None
    if certificate.public_key_algorithm_oid != PublicKeyAlgorithmOID.RSASSA_PSS:
        match certificate.public_key():
            case rsa.RSAPublicKey(key_size=bits) if bits in RSA_BITS:
                return
            case ec.EllipticCurvePublicKey(curve=ec.SECP256R1() | ec.SECP384R1()):
                return
            case ed25519.Ed25519PublicKey():
                return
    raise ConfigError(
        f"HPTS_PARTNER_KEY is of a kind that the server cannot use, as HPTS_PARTNER_CERTIFICATE="
        f"{path} shows; make one for RSA with {RSA_BITS[0]} to {RSA_BITS[-1]} bits, EC on P-256 or "
        "P-384, or Ed25519, and a certificate for it"
    )


def _check_lists(settings: Settings) -> None:
    """Once there is a list, the server lets nobody in whose issuer has none: one at least must be
    of an authority that it accepts. Others may be of authorities below."""
    ca = settings.partner_ca or Path()
    try:
        authorities = x509.load_pem_x509_certificates(ca.read_bytes())
        lists = [x509.load_pem_x509_crl(path.read_bytes()) for path in settings.partner_crl]
    except ValueError as error:  # which OpenSSL has read, such as trusted certificates
        raise ConfigError(
            f"HPTS_PARTNER_CA={ca} or a file of HPTS_PARTNER_CRL holds what cannot be told apart "
            f"({error}); use BEGIN CERTIFICATE and BEGIN X509 CRL"
        ) from None
    for authority in authorities:
        key = authority.public_key()
        for found in lists:
            if found.issuer == authority.subject and _is_signed_with(found, key):
                return
    raise ConfigError(
        "HPTS_PARTNER_CRL holds no list that an authority in HPTS_PARTNER_CA="
        f"{settings.partner_ca} has signed, so that no partner would be let in; add its list, or "
        "unset the variable"
    )


def _is_signed_with(found: x509.CertificateRevocationList, key: CertificatePublicKeyTypes) -> bool:
    try:
        return found.is_signature_valid(key)  # type: ignore[arg-type]
    except TypeError:  # a key that signs nothing
        return False


def _load(context: ssl.SSLContext, name: str, path: Path, kind: str, wanted: str) -> None:
    before = context.cert_store_stats()[kind]
    try:
        context.load_verify_locations(str(path))
    except OSError as error:
        raise ConfigError(f"{name}={path} cannot be used ({error})") from None
    if context.cert_store_stats()[kind] == before:
        raise ConfigError(f"{name}={path} does not hold {wanted} in PEM")
