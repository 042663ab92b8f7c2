"""What the guest sees of the hardware, against the machine's settings and this host's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vboxkit.lab.measurement import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vboxkit.guest.ssh import SSH
    from vboxkit.machines.machine import Machine

__all__ = ["Sight", "checks", "emulated", "look", "of_host"]

#: Builtins, where there are: an emulated guest takes 40 ms for each process.
_LOOK = r"""
echo "@cpu"; cat /proc/cpuinfo
echo "@memory"; cat /proc/meminfo
echo "@iomem"; cat /proc/iomem 2>/dev/null
echo "@disks"; for d in /sys/block/*; do [ -e $d/size ] || continue
  read s < $d/size; echo "${d##*/} $s"; done
echo "@cards"; for d in /sys/class/net/*; do [ -e $d/address ] || continue
  a= c=; read a < $d/address; { read c < $d/carrier; } 2>/dev/null; echo "${d##*/} $a $c"; done
echo "@usb"; for d in /sys/bus/usb/devices/*; do [ -e $d/idVendor ] || continue
  read v < $d/idVendor; read p < $d/idProduct; echo "$v:$p"; done
echo "@mounts"; cat /proc/mounts
echo "@shell"; readlink -f /proc/$$/exe
echo "@user"; id -u
echo "@drop"; [ -w /proc/sys/vm/drop_caches ] && echo yes
echo "@room"; for d in /tmp /var/tmp "$HOME" /dev/shm /run; do [ -w "$d" ] || continue
  echo "$d $(df -Pk "$d" | tail -n 1)"; done
echo "@end"
"""

#: The flags of /proc/cpuinfo that are instructions and registers for programs; the others depend
#: on the kernel that prints them, or are for hypervisors.
_INSTRUCTIONS = re.compile(
    r"(fpu|cx8|cx16|cmov|mmx|fxsr|sse\w*|ssse3|pni|lahf_lm|popcnt|movbe|abm|aes|pclmulqdq|avx\w*"
    r"|fma|f16c|bmi[12]|adx|rdrand|rdseed|sha_ni|vaes|vpclmulqdq|gfni|xsave\w*|rdtscp|fsgsbase"
    r"|erms|clflush\w*|clwb|3dnowprefetch|rtm|hle|amx\w*|movdir\w+|serialize|lm|nx|pcid|invpcid"
    r"|x2apic|tsc|neon|asimd\w*|sve\w*|crc32|sha[1-9]\w*|pmull|atomics)\Z"
)
_NO_DISK = re.compile(r"(loop|ram|zram|sr|fd|dm-|md|nbd)\d")
_RANGE = re.compile(r"\s*([0-9a-f]+)-([0-9a-f]+) : System RAM")
#: MiB that a kernel may keep of the RAM for itself before it counts, at most, and a part of all.
_KERNEL_MB, _KERNEL_PART = 24, 0.1


@dataclass
class Sight:
    """
    What a guest, or this host, shows of itself.

    Attributes:
        parts: The lines of each part of the look.
    """

    parts: dict[str, list[str]] = field(default_factory=dict)

    def lines(self, part: str) -> list[str]:
        """Return the lines of a part."""
        return self.parts.get(part, [])

    @property
    def cpus(self) -> int:
        """How many CPUs there are."""
        return sum(bool(re.match(r"processor\s*:", line)) for line in self.lines("cpu"))

    @property
    def cpu_model(self) -> str:
        """The CPU's name."""
        return self._cpu("model name")

    @property
    def flags(self) -> set[str]:
        """The CPU's instructions and registers, by their names in /proc/cpuinfo."""
        words = self._cpu("flags") or self._cpu("Features")
        return {word for word in words.split() if _INSTRUCTIONS.match(word)}

    def _cpu(self, key: str) -> str:
        for line in self.lines("cpu"):
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
        return ""

    @property
    def ram_mb(self) -> tuple[int, bool]:
        """The RAM in MiB, and whether that is all of it or what the kernel left."""
        found = [_RANGE.match(line) for line in self.lines("iomem")]
        octets = sum(int(it[2], 16) - int(it[1], 16) + 1 for it in found if it and it[2].strip("0"))
        if octets:
            return round(octets / 2**20), True
        return self.memory_kb("MemTotal") // 1024, False

    def memory_kb(self, key: str) -> int:
        """Return a figure of /proc/meminfo, in KiB; 0 if it is not there."""
        for line in self.lines("memory"):
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0])
        return 0

    @property
    def disks(self) -> dict[str, int]:
        """The disks, and their sizes in bytes."""
        pairs = [line.split() for line in self.lines("disks")]
        return {name: int(size) * 512 for name, size in pairs if not _NO_DISK.match(name)}

    @property
    def drives(self) -> int:
        """How many CD drives there are."""
        return sum(bool(re.match(r"sr\d", line)) for line in self.lines("disks"))

    @property
    def cards(self) -> dict[str, tuple[str, str]]:
        """The network cards by name: MAC address as VirtualBox writes it, and carrier."""
        found = {}
        for line in self.lines("cards"):
            name, address, *carrier = line.split()
            if not address.startswith("00:00:00:00:00:00"):
                found[name] = (address.replace(":", "").upper(), carrier[0] if carrier else "")
        return found

    @property
    def usb(self) -> list[str]:
        """The USB devices as ``vendor:product``, without the controllers' own hubs."""
        return [line for line in self.lines("usb") if not line.startswith("1d6b:")]

    def one(self, part: str) -> str:
        """Return the only line of a part; an empty text if there is none."""
        return next(iter(self.lines(part)), "")


def look(ssh: SSH) -> Sight:
    """Ask a guest; what it does not show is left out."""
    sight = Sight()
    part = ""
    for line in ssh.run(_LOOK).stdout.splitlines():
        if line.startswith("@"):
            part = line[1:]
            sight.parts[part] = []
        elif part:
            sight.parts[part].append(line)
    return sight


def of_host() -> Sight:
    """Return what this host shows; nothing, where there is no /proc."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Sight()
    return Sight({"cpu": text.splitlines()})


def emulated(machine: Machine) -> bool | None:
    """Return whether VirtualBox interprets a running machine's guest, by its log."""
    try:
        log = (machine.log_folder / "VBox.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    if "Falling back on IEM" in log or "VERR_SUP_DRIVERLESS" in log:
        return True
    if re.search(r"HM: HMR3Init: (VT-x|AMD-V|Attempting)|NEM: NEMR3Init", log):
        return False
    return None


def checks(machine: Machine, guest: Sight, host: Sight, *, interpreted: bool | None) -> list[Check]:
    """Compare a guest's look with its machine's settings and with its host."""
    if not guest.lines("cpu"):
        why = "the guest has no /proc"
        return [Check(name="hardware", configured="", seen="", known=False, note=why)]
    return [
        _engine(interpreted=interpreted),
        _counted("CPUs", machine.cpus, guest.cpus),
        _instructions(guest, host),
        _ram(machine, guest),
        *_disks(machine, guest),
        _cards(machine, guest),
        _usb(machine, guest),
    ]


def _engine(*, interpreted: bool | None) -> Check:
    wanted = "hardware virtualisation"
    if interpreted is None:
        return Check(
            name="execution", configured=wanted, seen="", known=False, note="VBox.log does not say"
        )
    if not interpreted:
        return Check(name="execution", configured=wanted, seen=wanted)
    return Check(
        name="execution",
        configured=wanted,
        seen="emulated",
        missing=[wanted],
        note="no kernel driver",
    )


def _counted(name: str, wanted: int, there: int) -> Check:
    missing = [f"{wanted - there} of {wanted}"] if there < wanted else []
    return Check(name=name, configured=str(wanted), seen=str(there), missing=missing)


def _instructions(guest: Sight, host: Sight) -> Check:
    name = "CPU features"
    if not host.flags:
        seen, why = f"{len(guest.flags)} flags", "this host shows none"
        return Check(name=name, configured="", seen=seen, known=False, note=why)
    same = guest.flags & host.flags
    return Check(
        name=name,
        configured=f"{len(host.flags)} of the host",
        seen=f"{len(same)} of them",
        missing=sorted(host.flags - guest.flags),
    )


def _ram(machine: Machine, guest: Sight) -> Check:
    wanted = machine.memory_mb
    there, whole = guest.ram_mb
    allowed = 2 if whole else max(_KERNEL_MB, round(wanted * _KERNEL_PART))
    short = wanted - there
    return Check(
        name="RAM",
        configured=f"{wanted} MiB",
        seen=f"{there} MiB",
        missing=[f"{short} MiB"] if short > allowed else [],
        note="" if whole or short <= 2 else "without what its kernel keeps",
    )


def _disks(machine: Machine, guest: Sight) -> Iterator[Check]:
    there = list(guest.disks.items())
    for disk in machine.storage.disks:
        wanted = disk.logical_size_bytes
        # A guest may see a little less: whole sectors, or cylinders.
        found = next((it for it in there if 0 <= wanted - it[1] <= 1 << 20), None)
        if found:
            there.remove(found)
        yield Check(
            name="disk",
            configured=f"{wanted / 2**20:.0f} MiB",
            seen=f"{found[0]}, {found[1] / 2**20:.0f} MiB" if found else "none of that size",
            missing=[] if found else [f"the disk of {wanted / 2**20:.0f} MiB"],
        )
    drives = sum(each.kind == "DVD" for each in machine.storage.attachments)
    if drives:
        yield _counted("CD drives", drives, guest.drives)


def _cards(machine: Machine, guest: Sight) -> Check:
    wanted = [adapter for adapter in machine.network if adapter.enabled]
    there = guest.cards
    missing = []
    if len(there) < len(wanted):
        missing.append(f"{len(wanted) - len(there)} of {len(wanted)}")
    plugged = sum(adapter.cable_connected and adapter.attachment != "Null" for adapter in wanted)
    linked = sum(carrier == "1" for _, carrier in there.values())
    # One that was never brought up shows no carrier.
    unplugged = sum(carrier == "0" for _, carrier in there.values())
    if linked < plugged and unplugged > len(wanted) - plugged:
        missing.append("a link")
    addresses = {adapter.mac for adapter in wanted}
    others = bool(there) and not addresses & {mac for mac, _ in there.values()}
    return Check(
        name="network cards",
        configured=_several(len(wanted), [adapter.kind for adapter in wanted]),
        seen=_several(len(there), sorted(there)),
        missing=missing,
        note="with the MAC address of the image" if others else "",
    )


def _usb(machine: Machine, guest: Sight) -> Check:
    wanted = [f"{device.vendor_id}:{device.product_id}" for device in machine.usb.devices]
    there = list(guest.usb)
    missing = []
    for device in wanted:
        if device in there:
            there.remove(device)
        else:
            missing.append(device)
    controllers = [controller.kind for controller in machine.usb.controllers]
    return Check(
        name="USB devices",
        configured=_several(len(wanted), wanted) if wanted else "none attached",
        seen=_several(len(guest.usb), guest.usb),
        missing=missing,
        note="" if controllers else "no controller",
    )


def _several(count: int, names: Sequence[str]) -> str:
    return f"{count}: {', '.join(names)}" if names else "none"
