"""The partners' listener: a second server in a process of its own, behind mutual TLS.

It completes a handshake only with a certificate of the partners' authority. It ends with the
process that started it, and that process stops when it ends by itself.
"""

import multiprocessing
import os
import signal
import ssl
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import PublicKeyAlgorithmOID

from hpts.config import ConfigError, Settings
from hpts.domain import limits
from hpts.telemetry import logger

STOP_SECONDS_MAX = 25
"""A little longer than the listener gives its own workers."""
RSA_BITS = range(2_048, 4_097)
_fork = multiprocessing.get_context("fork")


class PartnerListener:
    """`serve` runs in the new process until that is told to stop; `on_end` is called in a thread of
    this one when it has ended, told or not. It is reloaded every `reload_seconds`."""

    def __init__(
        self,
        settings: Settings,
        serve: Callable[[], None],
        on_end: Callable[[], None],
        reload_seconds: float = limits.PARTNER_RELOAD_SECONDS,
    ) -> None:
        self._settings = settings
        self._process = _fork.Process(target=serve, name="hpts-partners")
        self._on_end = on_end
        self._reload_seconds = reload_seconds

    def start(self) -> None:
        self._process.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def stop_on_signals(self) -> None:
        """From now on what stops this process stops the listener at the same moment."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._relay(number, signal.getsignal(number))

    def reload(self) -> None:
        """Have the workers replaced by new ones, which read certificates and revocation lists, and
        know no session that a client could resume without showing its certificate. Where a file
        cannot be used those that are there stay."""
        try:
            check_partners(self._settings)
        except ConfigError as error:
            logger.error("the partners' listener is not reloaded: %s", error)
        else:
            self._send(signal.SIGHUP)

    def stop(self) -> None:
        """Let it answer what it accepted, then end."""
        self._send(signal.SIGTERM)
        self._process.join(STOP_SECONDS_MAX)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _relay(self, number: int, handler: object) -> None:
        def handle(received: int, frame: FrameType | None) -> None:
            if callable(handler):
                handler(received, frame)
            self._send(signal.SIGTERM)

        signal.signal(number, handle)

    def _send(self, number: int) -> None:
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def _watch(self) -> None:
        while not wait([self._process.sentinel], self._reload_seconds):
            self.reload()
        self._on_end()


def settings_of_partners(settings: Settings) -> Settings:
    """What the listener's own processes are to go by."""
    return msgspec.structs.replace(
        settings,
        listener="partner",
        port=settings.partner_port or settings.port,
        workers=settings.partner_workers,
    )


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
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
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
    authorities = x509.load_pem_x509_certificates((settings.partner_ca or Path()).read_bytes())
    lists = [x509.load_pem_x509_crl(path.read_bytes()) for path in settings.partner_crl]
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
