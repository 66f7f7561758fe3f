"""The consortium's own certificate authority, and the gateway's certificate under it."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.consortium.files import write_public, write_secret
from transforms.errors import ConsortiumError


__all__ = ["CA_DAYS", "SERVER_DAYS", "make_certificates", "private_pem", "renew_certificate"]

CA_DAYS = 3650
SERVER_DAYS = 398  # the longest that common TLS clients accept (CA/Browser Forum, 2020)


def make_certificates(folder: Path, host: str) -> None:
    """Write `ca.pem`, `ca.key`, `gateway.pem` and `gateway.key` for `host` into `folder`.

    The CA may sign server certificates only for itself (path length 0); both keys are P-256.
    """
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _authority(ca_key)
    certificate = _server(key, ca, ca_key, host)
    write_secret(folder / "ca.key", private_pem(ca_key))
    write_secret(folder / "gateway.key", private_pem(key))
    write_public(folder / "ca.pem", ca.public_bytes(Encoding.PEM))
    write_public(folder / "gateway.pem", certificate.public_bytes(Encoding.PEM))


def renew_certificate(folder: Path, host: str) -> datetime.datetime:
    """Replace `gateway.pem` and `gateway.key` in `folder`; return until when the new one is valid.

    The CA stays, so no site and no analyst needs to do anything.
    """
    ca_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ConsortiumError(f"{folder / 'ca.key'}: a key of another type")
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _server(key, ca, ca_key, host)
    write_secret(folder / "gateway.key", private_pem(key))
    write_public(folder / "gateway.pem", certificate.public_bytes(Encoding.PEM))
    return certificate.not_valid_after_utc


def private_pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS #8 in PEM; the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("Marmor consortium CA")
    return (
        _builder(name, name, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    host: str,
) -> x509.Certificate:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        _builder(_name("Marmor gateway"), ca.subject, key.public_key(), SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(purpose, critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks of sites differ
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _names(host: str) -> list[x509.GeneralName]:
    """Return the names the certificate is valid for: `host` and this machine's loopback."""
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    try:
        given: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        given = x509.DNSName(host)
    return names if given in names else [*names, given]
