"""The formats of disk images: which there are, and what each can do."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vboxkit.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vboxkit.com.api import Api

__all__ = [
    "DeviceKind",
    "FormatName",
    "MediumFormat",
    "VariantName",
    "device_kind",
    "device_of",
    "formats",
    "pick_format",
    "variant_names",
    "variant_values",
]

#: What a medium is for.
DeviceKind = Literal["HardDisk", "DVD", "Floppy"]
#: The formats that VirtualBox 7.2 can create.
FormatName = Literal["VDI", "VMDK", "VHD", "Parallels", "QED", "QCOW", "RAW"]
#: How a format can be laid out. The prefix of a format (``Vmdk``) can be left out.
VariantName = Literal[
    "Standard", "Fixed", "VmdkSplit2G", "VmdkStreamOptimized", "VmdkESX", "VdiZeroExpand"
]

_ALIASES = {"hdd": "HardDisk", "dvd": "DVD", "floppy": "Floppy", "harddisk": "HardDisk"}

#: The largest disk of a format whose own limit VirtualBox does not check, in bytes: it makes
#: larger ones, which nobody can open afterwards.
_LARGEST = {"VHD": 2040 << 30, "QCOW": 1 << 50, "Parallels": (1 << 32) * 512}


@dataclass(frozen=True)
class MediumFormat:
    """
    A format of disk images.

    Attributes:
        name: VirtualBox's name for it.
        capabilities: What VirtualBox can do with it, by its names (``CreateDynamic``, ...).
        extensions: The suffixes of its files, without the dot, for each kind of medium.
    """

    name: str
    capabilities: frozenset[str]
    extensions: dict[str, tuple[str, ...]]

    @property
    def can_create(self) -> bool:
        """Whether VirtualBox can make images of this format."""
        return bool(self.capabilities & {"CreateDynamic", "CreateFixed"})

    @property
    def variants(self) -> tuple[str, ...]:
        """What `Media.create` takes as ``variant``."""
        found = []
        if "CreateDynamic" in self.capabilities:
            found.append("Standard")
        if "CreateFixed" in self.capabilities:
            found.append("Fixed")
        if "CreateSplit2G" in self.capabilities:
            found.append("VmdkSplit2G")
        if self.name == "VMDK":
            found += ["VmdkStreamOptimized", "VmdkESX"]
        if self.name == "VDI":
            found.append("VdiZeroExpand")
        return tuple(found)

    @property
    def differencing(self) -> bool:
        """Whether an image of it can hold the differences to another one (snapshots need that)."""
        return "Differencing" in self.capabilities

    @property
    def largest_bytes(self) -> int | None:
        """The largest disk it can hold, where that is less than VirtualBox's own limit."""
        return _LARGEST.get(self.name)


def formats(api: Api) -> list[MediumFormat]:
    """Return all formats of the running version."""
    found = []
    for com in api.array(api.virtualbox.systemProperties, "mediumFormats"):
        capabilities = api.array(com, "capabilities")
        names, devices = com.describeFileExtensions()
        extensions: dict[str, tuple[str, ...]] = {}
        for name, device in zip(names, devices, strict=True):
            kind = api.name("DeviceType", device)
            extensions[kind] = (*extensions.get(kind, ()), str(name))
        found.append(
            MediumFormat(
                str(com.id),
                frozenset(api.name("MediumFormatCapabilities", value) for value in capabilities),
                extensions,
            )
        )
    return found


def device_kind(kind: str) -> DeviceKind:
    """
    Return VirtualBox's name of a kind of medium; ``hdd``, ``dvd``, ``floppy`` are taken, too.

    Raises:
        ApiError: There is no such kind.
    """
    name = _ALIASES.get(kind.lower())
    if name is None:
        raise _invalid(f"there is no kind of medium {kind!r}", "HardDisk, DVD or Floppy")
    return name  # type: ignore[return-value]  # the table has these three


def device_of(api: Api, path: Path) -> DeviceKind:
    """Return what an image is for, by its suffix; a hard disk if the suffix says nothing."""
    suffix = path.suffix[1:].lower()
    for entry in formats(api):
        for kind, extensions in entry.extensions.items():
            if suffix in extensions:
                return device_kind(kind)
    return "HardDisk"


def pick_format(
    api: Api, path: Path, name: str | None, *, device: DeviceKind = "HardDisk"
) -> tuple[MediumFormat, Path]:
    """
    Choose the format of a new image, and complete its path.

    Args:
        api: The way in.
        path: Where the image will be; its suffix chooses the format if no name does, and is added
            if missing.
        name: The format's name, or the suffix of its files, in any case.
        device: What the image is for.

    Raises:
        ApiError: There is no such format, VirtualBox cannot create it, or path and name disagree.
    """
    known = formats(api)
    default = str(api.virtualbox.systemProperties.defaultHardDiskFormat)
    if device != "HardDisk":
        default = "RAW"
    suffix = path.suffix[1:].lower()
    by_suffix = next((f for f in known if suffix and suffix in _suffixes(f)), None)
    chosen = by_suffix
    if name is not None:
        wanted = name.lower()
        chosen = next((f for f in known if f.name.lower() == wanted), None)
        chosen = chosen or next((f for f in known if wanted in _suffixes(f)), None)
        if chosen is None:
            creatable = [f.name for f in known if f.can_create]
            near = difflib.get_close_matches(name.upper(), creatable, n=2)
            raise _invalid(
                f"there is no image format {name!r}",
                f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(creatable)}",
            )
    chosen = chosen or next(f for f in known if f.name.lower() == default.lower())
    if not chosen.can_create:
        creatable = [f.name for f in known if f.can_create]
        raise _invalid(
            f"VirtualBox cannot create images of format {chosen.name} ({path})",
            f"one of {', '.join(creatable)}",
        )
    if by_suffix is not None and by_suffix != chosen:
        # VirtualBox makes such a file; who opens it later goes by the suffix.
        raise _invalid(
            f"{path.name} has the suffix of {by_suffix.name}, not of {chosen.name}",
            f"end the path with .{_suffixes(chosen)[0]}, or ask for format {by_suffix.name}",
        )
    if by_suffix is None:
        preferred = chosen.extensions.get(device) or _suffixes(chosen)
        extra = "img" if chosen.name == "RAW" else preferred[0]
        path = path.with_name(f"{path.name}.{extra}")
    return chosen, path


def variant_names(api: Api, values: Iterable[int]) -> tuple[str, ...]:
    """Return the names of a raw array of variants, without the bits that are not set."""
    names = sorted({api.name("MediumVariant", value) for value in values if value})
    return tuple(names) or ("Standard",)


def variant_values(api: Api, entry: MediumFormat, variant: str | Sequence[str] | None) -> list[int]:
    """
    Return the running version's values of variants, which a format must know.

    Raises:
        ApiError: The format has no such variant, or not together with the others.
    """
    if not variant:
        variant = entry.variants[0]  # Standard, if there is such a one
    asked = [variant] if isinstance(variant, str) else list(variant)
    names = []
    for one in asked:
        found = next(
            (v for v in entry.variants if one.lower() in {v.lower(), v[len(entry.name) :].lower()}),
            None,
        )
        if found is None:
            raise _invalid(
                f"images of format {entry.name} have no variant {one!r}",
                f"one of {', '.join(entry.variants)}",
            )
        names.append(found)
    if "VmdkESX" in names and "Fixed" not in names:
        names.append("Fixed")  # there is no other kind of it
    if "VmdkStreamOptimized" in names and len(set(names) - {"Standard"}) > 1:
        raise _invalid(f"variants {names} do not go together", "'VmdkStreamOptimized' alone")
    return [api.value("MediumVariant", name) for name in names if name != "Standard"]


def _suffixes(entry: MediumFormat) -> list[str]:
    return [suffix for group in entry.extensions.values() for suffix in group]


def _invalid(text: str, hint: str) -> ApiError:
    return ApiError(
        text, symbol="E_INVALIDARG", text=text, operation="choose an image format", hint=hint
    )
