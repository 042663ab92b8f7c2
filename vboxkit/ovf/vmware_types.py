"""VMware's names of operating systems, and VirtualBox's for the same."""

from __future__ import annotations

import re

__all__ = ["candidates", "without_version"]

#: By VMware's name without its end (``_64Guest``): VirtualBox's, without ``_64``.
_NAMES = {
    "asianux": "RedHat",
    "centos": "RedHat",
    "coreos": "Linux26",
    "darwin": "MacOS",
    "debian": "Debian",
    "dos": "DOS",
    "fedora": "Fedora",
    "freebsd": "FreeBSD",
    "mandrake": "Mandriva",
    "mandriva": "Mandriva",
    "opensuse": "OpenSUSE",
    "oraclelinux": "Oracle",
    "other24xlinux": "Linux24",
    "other26xlinux": "Linux26",
    "other3xlinux": "Linux26",
    "other4xlinux": "Linux26",
    "other5xlinux": "Linux26",
    "other6xlinux": "Linux26",
    "otherlinux": "Linux",
    "other": "Other",
    "photon": "Linux26",
    "vmwarephoton": "Linux26",
    "redhat": "RedHat",
    "rhel": "RedHat",
    "rockylinux": "RedHat",
    "almalinux": "RedHat",
    "sles": "SUSE_LE",
    "suse": "SUSE_LE",
    "turbolinux": "Turbolinux",
    "ubuntu": "Ubuntu",
    "solaris10": "Solaris",
    "solaris11": "Solaris11",
    "windows7": "Windows7",
    "windows7server": "Windows2008",
    "windows8": "Windows8",
    "windows8server": "Windows2012",
    "windows9": "Windows10",
    "windows9server": "Windows2016",
    "windows11": "Windows11",
    "windows2019srv": "Windows2019",
    "windows2019srvnext": "Windows2022",
    "windows2022srvnext": "Windows2025",
    "winlonghorn": "Windows2008",
    "winvista": "WindowsVista",
    "winxppro": "WindowsXP",
    "winxphome": "WindowsXP",
    "winnetenterprise": "Windows2003",
    "winnetstandard": "Windows2003",
    "win2000pro": "Windows2000",
    "win2000serv": "Windows2000",
    "winnt": "WindowsNT4",
}
#: Of these VirtualBox has versions, called as VMware's are; of the others it has not, or they are
#: numbered otherwise.
_VERSIONS = {"debian", "rhel", "oraclelinux", "centos"}
_GUEST = re.compile(r"(?P<word>[a-z0-9]+?)(?P<version>\d*)(?P<wide>_64)?(?:guest)?", re.IGNORECASE)
_VBOX = re.compile(r"(?P<word>[A-Za-z]+)\d+(?:_LTS)?(?P<wide>_64|_arm64)?")


def candidates(name: str) -> tuple[str, ...]:
    """
    Return VirtualBox's names for one of VMware's, the most exact first; none if it is not known.

    Example:
        >>> candidates("debian10_64Guest")
        ('Debian10_64', 'Debian_64')
        >>> candidates("windows9Server64Guest"), candidates("beos")
        (('Windows2016_64',), ())
    """
    # Some are written without the underscore, and one with 64 at its end.
    plain = re.sub(r"guest64$", "_64Guest", name.strip(), flags=re.IGNORECASE)
    plain = re.sub(r"(?<=[a-z])64(?=guest|$)", "_64", plain, flags=re.IGNORECASE)
    match = _GUEST.fullmatch(plain)
    if match is None:
        return ()
    wide = match["wide"] or ""
    whole = f"{match['word']}{match['version']}".lower()
    if whole in _NAMES:
        return (f"{_NAMES[whole]}{wide}",)
    word = match["word"].lower()
    if word not in _NAMES:
        return ()
    found = (f"{_NAMES[word]}{wide}",)
    if match["version"] and word in _VERSIONS:
        return (f"{_NAMES[word]}{match['version']}{wide}", *found)
    return found


def without_version(name: str) -> str:
    """
    Return the name of a type of VirtualBox that is for all versions of a system.

    Example:
        >>> without_version("Debian14_64"), without_version("Ubuntu26_LTS_64")
        ('Debian_64', 'Ubuntu_64')
    """
    match = _VBOX.fullmatch(name)
    return f"{match['word']}{match['wide'] or ''}" if match else name
