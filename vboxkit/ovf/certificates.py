"""The certificate of a package: who has signed its manifest, and whether that is so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from vboxkit.errors import OvfError
from vboxkit.ovf.manifest import MOST_BYTES, parse_line

if TYPE_CHECKING:
    from vboxkit.ovf.source import Source

__all__ = ["Certificate", "check_certificate"]

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_AGAIN = "get the file again, from a source that you trust"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """
    Who has signed a manifest. That the signature fits is checked; whether to trust it is not.

    Attributes:
        file: The name of the certificate's file.
        algorithm: Of the signature's digest: ``sha256``.
        subject: Whom it is of.
        issuer: Who has issued it.
        fingerprint: SHA-256 of it, in hexadecimal: compare it with what the maker publishes.
        not_before: ISO 8601, in UTC.
        not_after: ISO 8601, in UTC.
        valid_now: Whether this moment is between these two.
        self_signed: Whether nobody else vouches for it.
    """

    file: str
    algorithm: str
    subject: str
    issuer: str
    fingerprint: str
    not_before: str
    not_after: str
    valid_now: bool
    self_signed: bool


def check_certificate(source: Source, name: str, manifest: str) -> Certificate:
    """
    Check the signature of a package's manifest.

    Args:
        source: The package.
        name: The certificate's file: a line ``SHA256(x.mf)= SIGNATURE``, and an X.509 in PEM.
        manifest: The manifest's file.

    Raises:
        OvfError: The signature does not fit, or cannot be read.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    path = str(source.path)
    data = source.read(name, most=MOST_BYTES)
    start = data.find(_BEGIN)
    lines = data[: max(0, start)].decode(errors="replace").split("\n")
    signed = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if start < 0 or len(signed) != 1:
        raise OvfError(
            path,
            "no certificate: it has to be one line with the signature, and an X.509 in PEM",
            element=name,
            hint=_AGAIN,
        )
    number, line = signed[0]
    entry = parse_line(line, file=path, element=name, line=number, hexadecimal=1)
    if entry.name.rpartition("/")[2] != manifest.rpartition("/")[2]:
        raise OvfError(
            path, f"it signs {entry.name!r}, and not {manifest!r}", element=name, hint=_AGAIN
        )
    text = source.read(manifest, most=MOST_BYTES)
    digest = getattr(hashes, entry.algorithm.upper())()
    try:
        certificate = x509.load_pem_x509_certificate(data[start:])
        key = certificate.public_key()
        signature = bytes.fromhex(entry.digest)
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, text, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, text, ec.ECDSA(digest))
        else:
            raise OvfError(path, "its key is neither RSA nor EC", element=name, hint=_AGAIN)
        subject, issuer = certificate.subject, certificate.issuer
        subject_text, issuer_text = subject.rfc4514_string(), issuer.rfc4514_string()
    except OvfError:
        raise
    except InvalidSignature as error:
        raise OvfError(
            path,
            f"the signature does not fit {manifest!r}: it was changed, or another key has signed",
            element=name,
            hint=_AGAIN,
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OvfError(path, f"it cannot be read: {error}", element=name, hint=_AGAIN) from error
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Certificate(
        file=name,
        algorithm=entry.algorithm,
        subject=subject_text,
        issuer=issuer_text,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before=before.isoformat(),
        not_after=after.isoformat(),
        valid_now=before <= datetime.now(timezone.utc) <= after,
        self_signed=subject == issuer,
    )
