"""Certificates made for a test: an authority, what it issues, and what it revokes; real files."""

import base64
import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Issued(NamedTuple):
    """A certificate and its key, as PEM files."""

    certificate: x509.Certificate
    path: Path
    key_path: Path

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def header(self) -> str:
        """As RFC 9440 has it."""
        return f":{base64.b64encode(self.der).decode()}:"

    @property
    def thumbprint(self) -> bytes:
        return sha256(self.der).digest()

    @property
    def confirmation(self) -> dict[str, dict[str, str]]:
        """The claim that binds a token to it (RFC 8705)."""
        digest = base64.urlsafe_b64encode(self.thumbprint).rstrip(b"=").decode()
        return {"cnf": {"x5t#S256": digest}}


class Authority:
    """A certificate authority, below another if `above` is given; `path` is its own certificate."""

    def __init__(self, folder: Path, name: str, above: "Authority | None" = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "authority.pem"
        self.crl_path = folder / "authority.crl"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._crl_number = 0
        signer = above or self
        builder = _builder(self._name, signer._name, self._key, -DAY, 30 * DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        self.certificate = builder.add_extension(usage, critical=True).sign(
            signer._key, hashes.SHA256()
        )
        _write(self.path, self.certificate)

    def issue(
        self,
        name: str,
        usage: x509.ObjectIdentifier | None = CLIENT,
        *,
        begins: datetime.timedelta = -DAY,
        ends: datetime.timedelta = 10 * DAY,
        rsa_bits: int | None = None,
        curve: ec.EllipticCurve | None = None,
        names: int = 0,
    ) -> Issued:
        """A certificate for a server on loopback or for a client; `begins` and `ends` count from
        now. An RSA key and more `names` make it larger. Without a `usage` it says nothing of its
        use."""
        key: Key = (
            ec.generate_private_key(curve or ec.SECP256R1())
            if rsa_bits is None
            else rsa.generate_private_key(65_537, rsa_bits)
        )
        others = [x509.DNSName(f"another-name-{number}.partner.test") for number in range(names)]
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = (
            _builder(_name(name), self._name, key, begins, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost"), loopback, *others]),
                critical=False,
            )
            .add_extension(self._key_identifier(), critical=False)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        path, key_path = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        _write(path, certificate)
        _write_key(key_path, key)
        return Issued(certificate, path, key_path)

    def revoke(
        self, revoked: Sequence[Issued] = (), *, next_update: datetime.timedelta = DAY
    ) -> Path:
        """Write the list of all that is revoked; the next one is due at `next_update` from now."""
        self._crl_number += 1
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - DAY)
            .next_update(now + next_update)
            .add_extension(x509.CRLNumber(self._crl_number), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )
        for issued in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(issued.certificate.serial_number)
                .revocation_date(now - DAY / 2)
                .build()
            )
        crl = builder.sign(self._key, hashes.SHA256())
        self.crl_path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
        return self.crl_path

    def as_client(self) -> Issued:
        """Its own certificate, which it signed itself, for a client to show."""
        key_path = self._folder / "authority.key"
        _write_key(key_path, self._key)
        return Issued(self.certificate, self.path, key_path)

    def with_chain(self, issued: Issued) -> Issued:
        """`issued` with this authority's own certificate behind it, as a client sends them."""
        path = self._folder / f"chain-{issued.path.name}"
        path.write_bytes(issued.path.read_bytes() + self.path.read_bytes())
        return issued._replace(path=path)

    def context(self, client: Issued | None = None) -> ssl.SSLContext:
        """What a client trusts and shows: servers of this authority, and `client`, if any."""
        context = ssl.create_default_context(cafile=str(self.path))
        if client is not None:
            context.load_cert_chain(client.path, client.key_path)
        return context

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    begins: datetime.timedelta,
    ends: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: Key) -> None:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
