"""VMware's names of operating systems, and those of VirtualBox that they may mean."""

from __future__ import annotations

import pytest

from vboxkit.ovf.vmware_types import candidates, without_version


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ubuntu64Guest", ("Ubuntu_64",)),
        ("rhel7_64Guest", ("RedHat7_64", "RedHat_64")),
        ("windows9Server64Guest", ("Windows2016_64",)),
        ("windows2019srvNext_64Guest", ("Windows2022_64",)),
        ("otherGuest64", ("Other_64",)),
        ("sles12_64Guest", ("SUSE_LE_64",)),
        ("debian6Guest", ("Debian6", "Debian")),
        ("beos", ()),
        ("", ()),
        ("%s", ()),
    ],
)
def test_vmwares_names(name: str, found: tuple[str, ...]) -> None:
    """The most exact first; nothing for those that are not known."""
    assert candidates(name) == found


def test_a_type_without_its_version() -> None:
    """Only a version at the end is taken away."""
    assert without_version("Ubuntu26_LTS_64") == "Ubuntu_64"
    assert without_version("Debian_64") == "Debian_64"
