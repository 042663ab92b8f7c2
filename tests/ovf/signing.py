"""Signs manifests, as who makes an appliance does."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

__all__ = ["certificate", "key", "signed"]


@lru_cache
def key(kind: str) -> CertificateIssuerPrivateKeyTypes:
    """Return a private key: rsa, ec or ed25519."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else (
        ed25519.Ed25519PrivateKey.generate()
    )  # fmt: skip


def certificate(kind: str, *, days: int = 10) -> bytes:
    """Return a certificate of a key, by itself, that ends in so many days."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Acme")])
    own = key(kind)
    end = datetime.now(timezone.utc) + timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(end - timedelta(days=99))
        .not_valid_after(end)
        .sign(own, None if kind == "ed25519" else hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def signed(
    manifest: bytes, name: str, *, kind: str = "rsa", algorithm: str = "sha256", days: int = 10
) -> bytes:
    """Return the content of a ``.cert`` file for a manifest."""
    own = key(kind)
    digest = getattr(hashes, algorithm.upper())()
    if isinstance(own, rsa.RSAPrivateKey):
        signature = own.sign(manifest, padding.PKCS1v15(), digest)
    elif isinstance(own, ec.EllipticCurvePrivateKey):
        signature = own.sign(manifest, ec.ECDSA(digest))
    else:
        assert isinstance(own, ed25519.Ed25519PrivateKey)
        signature = own.sign(manifest)
    line = f"{algorithm.upper()}({name})= {signature.hex()}\n"
    return line.encode() + certificate(kind, days=days)
