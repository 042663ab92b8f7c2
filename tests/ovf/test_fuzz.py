"""Whatever the bytes are: a record or an error of ours, and no other."""

from __future__ import annotations

import io
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from tests.ovf.builder import cpu, disk_item, ide, item, manifest, memory, ova, simple, vmdk
from tests.ovf.signing import signed
from vboxkit.errors import OvfError
from vboxkit.ovf import inspect, verify
from vboxkit.ovf.tar import members
from vboxkit.ovf.units import HugeNumberError, number, unit
from vboxkit.settings import cache_dir

# Its tables of characters would be left in the working folder.
set_hypothesis_home_dir(cache_dir() / "hypothesis")

#: The same examples in each run, and no clock: a slow machine is no failure.
_SETTINGS = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    suppress_health_check=list(HealthCheck),
)
_DISK = vmdk()
_FILES = {"a.ovf": simple().encode(), "disk.vmdk": _DISK}
_LINES = manifest(_FILES)
_CERT = signed(_LINES, "a.mf", kind="ec")


def _read(name: str, files: dict[str, bytes]) -> None:
    """Read a package in a folder of its own; only an `OvfError` may come, and nothing is made."""
    with tempfile.TemporaryDirectory() as folder:
        for one, data in files.items():
            (Path(folder) / one).write_bytes(data)
        for read in (inspect, verify):
            with suppress(OvfError):
                read(Path(folder) / name)
        assert {one.name for one in Path(folder).rglob("*")} == set(files)


def _whole() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        files = {"a.ovf": _FILES["a.ovf"], "a.mf": _LINES, "a.cert": _CERT, "disk.vmdk": _DISK}
        return ova(Path(folder) / "a.ova", files).read_bytes()


_OVA = _whole()
_EDITS = st.lists(
    st.tuples(st.integers(0, len(_OVA) - 1), st.binary(min_size=1, max_size=12)), max_size=6
)


@_SETTINGS
@given(_EDITS, st.integers(0, len(_OVA)))
def test_an_ova_with_other_bytes_in_it(edits: list[tuple[int, bytes]], length: int) -> None:
    """Some bytes are others, and it is cut somewhere."""
    data = bytearray(_OVA)
    for position, piece in edits:
        data[position : position + len(piece)] = piece
    _read("a.ova", {"a.ova": bytes(data[: max(1, length)])})


@_SETTINGS
@given(st.integers(0, 511), st.binary(min_size=1, max_size=100), st.integers(0, 3))
def test_a_tar_header_with_a_right_checksum(position: int, piece: bytes, which: int) -> None:
    """A header says anything, and its checksum fits."""
    data = bytearray(_OVA)
    places = [_OVA.index(name + b"\0") for name in (b"a.ovf", b"a.mf", b"a.cert", b"disk.vmdk")]
    start = places[which]
    block = data[start : start + 512]
    block[position : position + len(piece)] = piece
    block = block[:512]
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    data[start : start + 512] = block
    _read("a.ova", {"a.ova": bytes(data)})


@_SETTINGS
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(_FILES["a.ovf"])),
            st.integers(0, 30),
            st.one_of(
                st.binary(max_size=20),
                st.sampled_from(
                    [
                        b"<a>",
                        b"</Item>",
                        b'"',
                        b"&x;",
                        b"<!--",
                        b"]]>",
                        b"${x}",
                        b"../",
                        b"\0",
                        b"-1",
                    ]
                ),
            ),
        ),
        max_size=5,
    )
)
def test_a_descriptor_with_other_bytes_in_it(edits: list[tuple[int, int, bytes]]) -> None:
    """Pieces of a descriptor are replaced."""
    data = _FILES["a.ovf"]
    for position, length, piece in edits:
        data = data[:position] + piece + data[position + length :]
    _read("a.ovf", {"a.ovf": data or b" ", "disk.vmdk": _DISK, "a.mf": _LINES})


_WORDS = st.one_of(
    st.integers().map(str),
    st.text(
        st.characters(codec="utf-8", exclude_characters="<&\"'", min_codepoint=32), max_size=40
    ),
    st.sampled_from(
        ["byte * 2^20", "ovf:/disk/vmdisk1", "ovf:/file/file1", "3", "${a}", "", "1e9"]
    ),
)


@_SETTINGS
@given(
    st.lists(
        st.tuples(st.integers(-5, 70), st.integers(-5, 70), _WORDS, _WORDS, _WORDS), max_size=4
    ),
    _WORDS,
    _WORDS,
    _WORDS,
)
def test_a_descriptor_with_other_words_in_it(
    items: list[tuple[int, int, str, str, str]], href: str, capacity: str, units: str
) -> None:
    """A well-formed descriptor says anything."""
    hardware = "".join(
        item(
            kind,
            number_,
            VirtualQuantity=amount,
            AllocationUnits=word,
            HostResource=host,
            Parent=host,
        )
        for kind, number_, amount, word, host in items
    )
    descriptor = simple(
        href=href,
        capacity=capacity,
        disk_more=f'ovf:capacityAllocationUnits="{units}" ovf:parentRef="{units}"',
        file_more=f'ovf:chunkSize="{capacity}"',
        items=cpu() + memory() + ide() + disk_item() + hardware,
    )
    _read("a.ovf", {"a.ovf": descriptor.encode(), "disk.vmdk": _DISK})


@_SETTINGS
@given(st.binary(max_size=2000))
def test_a_disk_of_anything(data: bytes) -> None:
    """A disk's file has any bytes, behind each beginning that is known."""
    for start in (b"", b"KDMV", b"# Disk DescriptorFile\n", b"conectix", b"QFI\xfb", b"vhdxfile"):
        _read("a.ovf", {"a.ovf": _FILES["a.ovf"], "disk.vmdk": start + data})
    gz = simple(file_more='ovf:compression="gzip"').encode()
    _read("a.ovf", {"a.ovf": gz, "disk.vmdk": b"\x1f\x8b\x08" + data})


@_SETTINGS
@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 200))
def test_a_manifest_and_a_certificate_of_anything(mf: bytes, cert: bytes, keep: int) -> None:
    """What vouches has any bytes, behind a beginning that is right."""
    _read("a.ovf", {**_FILES, "a.mf": _LINES[:keep] + mf, "a.cert": _CERT})
    _read("a.ovf", {**_FILES, "a.mf": _LINES, "a.cert": _CERT[:keep] + cert})
    _read(
        "a.ovf", {**_FILES, "a.mf": _LINES, "a.cert": _CERT[: keep * 3] + cert + _CERT[keep * 3 :]}
    )


@_SETTINGS
@given(
    st.dictionaries(
        st.text(
            st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn")),
            min_size=1,
            max_size=150,
        ),
        st.binary(max_size=600),
        max_size=5,
    ),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_tar_is_read_as_tarfile_reads_it(files: dict[str, bytes], form: int) -> None:
    """What `tarfile` finds in an archive that it has written, `members` finds as well."""
    out = io.BytesIO()
    try:
        with tarfile.open(fileobj=out, mode="w", format=form) as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    except ValueError:
        return  # a name that this form cannot have: the archive has no end
    with tempfile.NamedTemporaryFile() as file:
        file.write(out.getvalue())
        file.flush()
        with tarfile.open(file.name) as tar:
            expected = [(one.name, one.offset_data, one.size) for one in tar.getmembers()]
        with open(file.name, "rb", buffering=0) as raw:  # noqa: PTH123 - a name of tempfile's
            try:
                found = [(one.name, one.offset, one.size) for one in members(raw, "x")]
            except OvfError as error:
                # Names that no package may have.
                assert "file name" in error.reason or "this name" in error.reason  # noqa: PT017
                return
    # tarfile keeps ./ and double slashes.
    assert [one[1:] for one in found] == [one[1:] for one in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine[0].split("/") == [
            word for word in theirs[0].split("/") if word not in {"", "."}
        ]


@_SETTINGS
@given(st.text(max_size=60))
def test_numbers_and_units_of_anything(text: str) -> None:
    """Any text is a number or none, a unit or none, or beyond 64 bits."""
    with suppress(HugeNumberError):
        value = number(text)
        assert value is None or 0 <= value < 2**64
    with suppress(HugeNumberError):
        found = unit(f"byte {text}")
        assert found is None or found[1] > 0


@_SETTINGS
@given(st.integers(0, 2**64 - 1), st.integers(0, 40))
def test_numbers_are_read_as_written(value: int, power: int) -> None:
    """A number is itself again, and a power of two as well."""
    assert number(f" {value} ") == value
    assert unit(f"byte * 2^{power}") == ("byte", 2**power)
