"""What the items of a planned import may be set to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.machines.accessors import one_of
from vboxkit.machines.clones import require_good_name
from vboxkit.machines.groups import read_groups
from vboxkit.machines.parts import choose, invalid, require_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.errors import ApiError
    from vboxkit.machines.appliance_items import PlanItem

__all__ = ["ALWAYS", "CONTROLLERS", "DISK", "NAMED", "checked_extra", "checked_value"]

_MIB = 1 << 20
#: By type: the models that the import takes.
CONTROLLERS = {
    "HardDiskControllerIDE": ("PIIX3", "PIIX4", "ICH6"),
    "HardDiskControllerSATA": ("AHCI",),
    "HardDiskControllerSCSI": ("LsiLogic", "BusLogic"),
    "HardDiskControllerSAS": ("LsiLogicSas",),
    "HardDiskControllerNVMe": ("NVMe",),
    "HardDiskControllerVirtioSCSI": ("VirtioSCSI",),
}
#: Without these there is no machine.
ALWAYS = frozenset({"OS", "Name", "CPU", "Memory", "PrimaryGroup", "SettingsFile", "BaseFolder"})
_TEXTS = frozenset(
    {"Product", "Vendor", "Version", "ProductUrl", "VendorUrl", "Description", "License"}
)
#: Numbers of these enumerations, for which names are shown and taken.
NAMED = {"NetworkAdapter": "NetworkAdapterType", "SoundCard": "AudioControllerType"}
_ATTACHMENTS = ("NAT", "Bridged", "HostOnly", "Internal", "NATNetwork", "Generic")
DISK = re.compile(r"controller=(\d+);channel=(\d+)")
_ADAPTER = re.compile(r"(?:slot=(\d+);)?type=(\w+)")
_IMAGES = (".vdi", ".vmdk", ".vhd")


def checked_value(item: PlanItem, value: str) -> str:
    """
    Return VirtualBox's form of a value that an item can have.

    Raises:
        ApiError: It cannot have this one; the hint says which it can.
        NotFoundError: There is no such operating system.
    """
    draft = item._machine._draft
    if item.type in _TEXTS:
        require_text(draft, item.type, value)
        return value
    if item.type in CONTROLLERS:
        one_of(draft, f"model for {item.type}", value, CONTROLLERS[item.type])
        return value
    if item.type in NAMED:
        return str(int(choose(draft, NAMED[item.type], value)))
    check = _CHECKS.get(item.type)
    if check is None:
        raise _refused(
            item, f"the value of {item.type} cannot be set", "included = False leaves it out"
        )
    return check(item, value)


def _os(item: PlanItem, value: str) -> str:
    return item._machine._draft.vbox.os_types[value].id


def _name(_item: PlanItem, value: str) -> str:
    require_good_name(value)
    return value


def _number(item: PlanItem, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 20:
        raise _refused(item, f"{item.type} cannot be {value[:40]!r}", "a whole number")
    return int(value)


def _memory(item: PlanItem, value: str) -> str:
    amount = _number(item, value)
    limits = item._machine._draft.vbox.com.systemProperties
    least, most = int(limits.minGuestRAM), int(limits.maxGuestRAM)
    if amount % _MIB or not least <= amount // _MIB <= most:
        raise _refused(
            item,
            f"Memory cannot be {amount} bytes",
            f"{least} to {most} MiB, in bytes; memory_mb takes MiB",
        )
    return str(amount)


def _cpus(item: PlanItem, value: str) -> str:
    amount = _number(item, value)
    limits = item._machine._draft.vbox.com.systemProperties
    item._machine._require_range("CPU", amount, limits.minGuestCPUCount, limits.maxGuestCPUCount)
    return str(amount)


def _group(item: PlanItem, value: str) -> str:
    return next(iter(read_groups(item._machine._draft, [value])), "/")


def _folder(item: PlanItem, value: str) -> str:
    require_text(item._machine._draft, item.type, value)
    if not Path(value).is_absolute() or ".." in Path(value).parts:
        raise _refused(item, f"{item.type} cannot be {value!r}", "an absolute path without ..")
    return value


def _settings(item: PlanItem, value: str) -> str:
    if not value.endswith(".vbox"):
        raise _refused(
            item, f"SettingsFile cannot be {value!r}", "an absolute path that ends in .vbox"
        )
    return _folder(item, value)


def _disk(item: PlanItem, value: str) -> str:
    require_text(item._machine._draft, "HardDiskImage", value)
    path = Path(value)
    outside = "/" in value.replace("\\", "/") and not path.is_absolute()
    if outside or ".." in path.parts or path.suffix.lower() not in _IMAGES:
        raise _refused(
            item,
            f"HardDiskImage cannot be {value!r}",
            f"the name of a file in the machine's folder, or an absolute path; {_IMAGES}",
        )
    others = {one._raw.casefold() for one in item._machine.all("HardDiskImage") if one is not item}
    if value.casefold() in others:
        raise _refused(item, f"there are two disks {value!r}", "choose another name")
    return value


_CHECKS: dict[str, Callable[[PlanItem, str], str]] = {
    "OS": _os,
    "Name": _name,
    "Memory": _memory,
    "CPU": _cpus,
    "PrimaryGroup": _group,
    "BaseFolder": _folder,
    "SettingsFile": _settings,
    "HardDiskImage": _disk,
}


def checked_extra(item: PlanItem, extra: str) -> str:
    """
    Return an extra that an item can have.

    Raises:
        ApiError: It cannot have this one; the hint says which it can.
    """
    if item.type == "HardDiskImage":
        match = DISK.fullmatch(extra)
        known = [str(one.index) for one in item._machine.items if one.type in CONTROLLERS]
        # VBoxSVC dies of an index that is none of a controller.
        if match is None or match[1] not in known:
            raise _refused(
                item,
                f"the extra of a disk cannot be {extra!r}",
                f"controller=N;channel=PORT, N one of {', '.join(known)}",
            )
        return extra
    if item.type == "NetworkAdapter":
        match = _ADAPTER.fullmatch(extra)
        if match is None or match[2] not in _ATTACHMENTS:
            raise _refused(
                item,
                f"the extra of a network adapter cannot be {extra!r}",
                f"type=KIND, one of {', '.join(_ATTACHMENTS)}; networks= knows more",
            )
        return extra
    raise _refused(
        item, f"{item.type} has no extra that can be set", "disks and network adapters have"
    )


def _refused(item: PlanItem, text: str, hint: str) -> ApiError:
    return invalid(item._machine._draft, text, hint=hint, operation="plan the import")
