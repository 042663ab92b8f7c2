"""`verify` compares a package with its manifest and its certificate."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.ovf.builder import MIB, chunks, manifest, ova, put, simple, vmdk
from tests.ovf.signing import certificate, signed
from vboxkit.core.resources import resource
from vboxkit.errors import OvfError
from vboxkit.ovf import Verification, verify

_DISK = vmdk(content=bytes(range(256)) * 20_000)
_FILES = {"a.ovf": simple().encode(), "disk.vmdk": _DISK}


def _write(
    folder: Path, files: dict[str, bytes], algorithm: str = "sha256", *, packed: bool = True
) -> Path:
    whole = {"a.ovf": files["a.ovf"], "a.mf": manifest(files, algorithm), **files}
    return ova(folder / "a.ova", whole) if packed else put(folder, whole)


@pytest.mark.parametrize("algorithm", ["sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("packed", [True, False], ids=["ova", "ovf"])
def test_each_digest(algorithm: str, *, packed: bool, tmp_path: Path) -> None:
    """What fits is listed, with digest and size, in OVAs and in folders."""
    done = verify(_write(tmp_path, _FILES, algorithm, packed=packed))
    assert [(one.name, one.algorithm, one.bytes) for one in done.files] == [
        (name, algorithm, len(data)) for name, data in _FILES.items()
    ]
    assert (done.bytes, done.manifest, done.certificate) == (
        sum(map(len, _FILES.values())), "a.mf", None,
    )  # fmt: skip
    assert json.loads(json.dumps(done.to_dict()))["files"][1]["name"] == "disk.vmdk"


def test_several_digests_and_chunks(tmp_path: Path) -> None:
    """Each line has its own digest, and each chunk its own line."""
    parts = chunks("disk.vmdk", _DISK, 2 * MIB)
    descriptor = simple(size=len(_DISK), file_more=f'ovf:chunkSize="{2 * MIB}"').encode()
    lines = manifest({"a.ovf": descriptor}, "sha512") + manifest(parts, "sha1")
    path = put(tmp_path, {"a.ovf": descriptor, "a.mf": lines, **parts})
    assert [(one.name, one.algorithm) for one in verify(path).files] == [
        ("a.ovf", "sha512"), *((name, "sha1") for name in parts),
    ]  # fmt: skip


@pytest.mark.parametrize("at", [0, 1000, len(_DISK) // 2, len(_DISK) - 1])
def test_one_changed_byte(at: int, tmp_path: Path) -> None:
    """One other byte anywhere in a file is an `OvfError` that names the file and both digests."""
    path = _write(tmp_path, _FILES)
    data = bytearray(path.read_bytes())
    data[data.index(_DISK) + at] ^= 1
    path.write_bytes(data)
    with pytest.raises(OvfError, match=r"its sha256 is [0-9a-f]{64}, and 'a.mf' says") as caught:
        verify(path)
    assert caught.value.element == "disk.vmdk"


def test_what_the_manifest_does_not_list(tmp_path: Path) -> None:
    """A file that is imported, and that nothing vouches for, is an `OvfError`."""
    lines = manifest({"a.ovf": _FILES["a.ovf"]})
    with pytest.raises(OvfError, match="nothing vouches") as caught:
        verify(put(tmp_path, {**_FILES, "a.mf": lines}))
    assert caught.value.element == "disk.vmdk"
    lines = manifest({"disk.vmdk": _DISK})
    with pytest.raises(OvfError, match="nothing vouches") as caught:
        verify(put(tmp_path, {**_FILES, "a.mf": lines}))
    assert caught.value.element == "a.ovf"


def test_what_is_not_there(tmp_path: Path) -> None:
    """A file of the manifest that is missing, and a missing manifest, are `OvfError`s."""
    lines = manifest({**_FILES, "gone.vmdk": b""})
    with pytest.raises(OvfError, match="is missing") as caught:
        verify(put(tmp_path, {**_FILES, "a.mf": lines}))
    assert caught.value.element == "gone.vmdk"
    (tmp_path / "a.mf").write_bytes(manifest({"a.ovf": _FILES["a.ovf"]}))
    (tmp_path / "disk.vmdk").rename(tmp_path / "other.vmdk")
    with pytest.raises(OvfError, match="which is missing") as caught:
        verify(tmp_path / "a.ovf")
    assert caught.value.element == "disk.vmdk"
    (tmp_path / "a.mf").unlink()
    with pytest.raises(OvfError, match="no manifest"):
        verify(tmp_path / "a.ovf")


def test_progress(tmp_path: Path) -> None:
    """It is told how many bytes of how many are done, in order; what it raises ends it all."""
    path = _write(tmp_path, _FILES)
    seen: list[tuple[int, int, str]] = []
    done = verify(path, on_progress=lambda *now: seen.append(now))
    assert [now[0] for now in seen] == sorted(now[0] for now in seen)
    assert seen[-1] == (done.bytes, done.bytes, "disk.vmdk")
    assert len(seen) >= len(_DISK) // MIB

    def stop(_done: int, _total: int, _name: str) -> None:
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        verify(path, on_progress=stop)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_a_signature(kind: str, algorithm: str, tmp_path: Path) -> None:
    """A signature that fits tells who has signed."""
    lines = manifest(_FILES)
    cert = signed(lines, "a.mf", kind=kind, algorithm=algorithm)
    files = {"a.ovf": _FILES["a.ovf"], "a.mf": lines, "a.cert": cert, "disk.vmdk": _DISK}
    signer = verify(ova(tmp_path / "a.ova", files)).certificate
    assert signer is not None
    assert (signer.subject, signer.issuer, signer.algorithm) == ("CN=Acme", "CN=Acme", algorithm)
    assert signer.self_signed
    assert signer.valid_now
    assert len(signer.fingerprint) == 64


def test_an_old_certificate_says_so(tmp_path: Path) -> None:
    """A certificate that has ended does not fail, but is not valid now."""
    lines = manifest(_FILES)
    files = {**_FILES, "a.mf": lines, "a.cert": signed(lines, "a.mf", days=-1)}
    signer = verify(put(tmp_path, files)).certificate
    assert signer is not None
    assert not signer.valid_now


_LINES = manifest(_FILES)


@pytest.mark.parametrize(
    ("cert", "reason"),
    [
        (signed(_LINES + b"\n", "a.mf"), "does not fit"),
        (signed(_LINES + b"\n", "a.mf", kind="ec"), "does not fit"),
        (signed(_LINES, "a.mf").replace(b"SHA256", b"SHA512"), "does not fit"),
        (signed(_LINES, "a.mf").partition(b"\n")[0] + b"\n" + certificate("ec"), "does not fit"),
        (signed(_LINES, "b.mf"), "and not 'a.mf'"),
        (signed(_LINES, "a.mf", kind="ed25519"), "neither RSA nor EC"),
        (signed(_LINES, "a.mf").replace(b"SHA256", b"SHA7"), "is not known"),
        (signed(_LINES, "a.mf").replace(b"MII", b"///", 1), "cannot be read"),
        (signed(_LINES, "a.mf")[:-300], "cannot be read"),
        (signed(_LINES, "a.mf").partition(b"\n")[0], "no certificate"),
        (certificate("rsa"), "no certificate"),
        (signed(_LINES, "a.mf").replace(b"= ", b"= 0", 1), "cannot be read"),
        (b"\xff" * 99, "no certificate"),
        (b"", "no certificate"),
    ],
)
def test_a_signature_that_does_not_fit(cert: bytes, reason: str, tmp_path: Path) -> None:
    """What is no signature of this manifest is an `OvfError` that names the certificate's file."""
    with pytest.raises(OvfError, match=reason) as caught:
        verify(put(tmp_path, {**_FILES, "a.mf": _LINES, "a.cert": cert}))
    assert caught.value.element.startswith("a.cert")


def test_what_vboxkit_ships() -> None:
    """The tiny guest is as its manifest says."""
    done = verify(resource("tiny/tiny.ova"))
    assert isinstance(done, Verification)
    assert [one.name for one in done.files] == ["tiny.ovf", "tiny-disk001.vmdk"]


def test_it_keeps_up_with_sha256sum(tmp_path: Path) -> None:
    """It is not slower by far than ``sha256sum``; `docs/ovf.md` says how fast it is at rest."""
    tool = shutil.which("sha256sum")
    if tool is None:
        return  # macOS and Windows: there is nothing to compare it with
    disk = vmdk(content=bytes(32 * MIB))
    path = _write(tmp_path, {"a.ovf": simple().encode(), "disk.vmdk": disk})

    def times(what: object) -> float:
        begin = time.monotonic()
        if what:
            subprocess.run([tool, path], check=True, capture_output=True)
        else:
            verify(path)
        return time.monotonic() - begin

    times(0)
    # The best of some: others have this machine, too.
    assert min(times(0) for _ in range(3)) < 10 * min(times(1) for _ in range(3))
