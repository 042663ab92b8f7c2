"""VMware's names of operating systems, from VirtualBox's."""

from __future__ import annotations

import re

__all__ = ["vmware_os"]

#: VirtualBox's family, VMware's stem, and the newest version that the hosts of hardware version 10
#: (ESXi 5.5) and 13 (ESXi 6.5) know. A host maps a name that it does not know to "Other (32-bit)":
#: https://github.com/Banno/packer-post-processor-vsphere-ova/issues/9
_VERSIONED = {
    "Debian": ("debian", 7, 10),
    "RedHat": ("rhel", 6, 7),
    "Oracle": ("oracleLinux", 0, 7),
}
_PLAIN = {
    "ArchLinux": "other3xLinux",
    "Fedora": "fedora",
    "FreeBSD": "freebsd",
    "Gentoo": "other3xLinux",
    "Linux24": "other24xLinux",
    "Linux26": "other26xLinux",
    "OpenSUSE": "opensuse",
    "Ubuntu": "ubuntu",
    "Xubuntu": "ubuntu",
    "Lubuntu": "ubuntu",
}
#: VirtualBox's version of Windows: VMware's names, of 32 and 64 bits.
_WINDOWS = {
    "2000": ("win2000ProGuest", ""),
    "XP": ("winXPProGuest", "winXPPro64Guest"),
    "2003": ("winNetStandardGuest", "winNetStandard64Guest"),
    "Vista": ("winVistaGuest", "winVista64Guest"),
    "2008": ("winLonghornGuest", "winLonghorn64Guest"),
    "7": ("windows7Guest", "windows7_64Guest"),
    "8": ("windows8Guest", "windows8_64Guest"),
    "81": ("windows8Guest", "windows8_64Guest"),
    "10": ("windows9Guest", "windows9_64Guest"),
    "11": ("", "windows9_64Guest"),
    "2012": ("", "windows8Server64Guest"),
}
_SERVER = ("", "windows9Server64Guest")
_LINUX = re.compile(r"(?i)linux|suse|mandr|turbo|xandros")
#: A family and its version; the digits of Linux24 and Linux26 are no version.
_STEM = re.compile(r"(Linux2[46]|[A-Za-z]+)(\d*)")
_NEW = 13
_WINDOWS_10 = 11


def vmware_os(vbox_type: str, *, hardware: int) -> str:
    """
    Return ``vmw:osType`` for VirtualBox's type of an operating system.

    Of systems newer than the hardware version it is the newest one that such hosts know.

    Args:
        vbox_type: ``Debian12_64``.
        hardware: The hardware version: 13 for ``vmx-13``.

    Example:
        >>> vmware_os("Debian12_64", hardware=13)
        'debian10_64Guest'
    """
    wide = vbox_type.endswith(("_64", "_arm64"))
    stem = re.sub(r"_(?:64|arm64)$", "", vbox_type)
    match = re.match(r"Windows(\w+)$", stem)
    if match:
        named = _WINDOWS.get(match[1], _SERVER if match[1].startswith("20") else ("", ""))
        name = named[wide] or _other("otherGuest", wide)
        return name if hardware >= _WINDOWS_10 else name.replace("windows9", "windows8")
    parts = _STEM.match(stem)
    family, digits = (parts[1], parts[2]) if parts else ("", "")
    if family in _VERSIONED:
        name, old, new = _VERSIONED[family]
        newest = new if hardware >= _NEW else old
        version = min(int(digits) if digits else newest, newest)
        if version:
            return f"{name}{version}{'_64' if wide else ''}Guest"
    if family in _PLAIN:
        return f"{_PLAIN[family]}{'64' if wide else ''}Guest"
    if _LINUX.search(stem) or family in _VERSIONED:
        return _other("otherLinuxGuest", wide)
    return _other("otherGuest", wide)


def _other(name: str, wide: bool) -> str:  # noqa: FBT001 - the word is in the name
    if not wide:
        return name
    # VMware's own unevenness: otherGuest64, and otherLinux64Guest.
    return "otherGuest64" if name == "otherGuest" else name.replace("Guest", "64Guest")
