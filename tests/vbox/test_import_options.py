"""What an import is asked for: networks, disks, folder, licence; several machines, or none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.ovf.builder import MIB, STREAM, cpu, disk_item, envelope, file, memory, nic, sata, system
from tests.vbox.packages import descriptor, disk, folder_package
from vboxkit import Nic
from vboxkit.errors import (
    AlreadyExistsError,
    ApiError,
    EulaError,
    NotFoundError,
    OvfError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from vboxkit import VirtualBox
    from vboxkit.machines.progress import Progress

pytestmark = pytest.mark.vbox


class Stop(Exception):  # noqa: N818 - it stops, and is no error
    """Raised by a hook."""


@pytest.fixture
def package(tmp_path: Path, label: Callable[[str], str]) -> Callable[..., Path]:
    """Write packages of one machine with two adapters, on NAT and ``backend``."""

    def make(name: str = "", **words: Any) -> Path:
        text = descriptor(
            name or label("package"),
            more=nic("backend", id=9),
            networks=("NAT", "backend"),
            **words,
        )
        return folder_package(tmp_path / "package", text)

    return make


@pytest.fixture
def pair(tmp_path: Path, label: Callable[[str], str]) -> tuple[Path, str, str]:
    """Write a package of two machines; give it and their names."""
    names = label("database"), label("web")

    def machine(number: int) -> str:
        items = cpu() + memory(64) + sata() + disk_item(f"vmdisk{number}") + nic("backend")
        return system(items, id=names[number - 1])

    disks = "".join(
        f'<Disk ovf:diskId="vmdisk{number}" ovf:fileRef="file{number}" ovf:capacity="{8 * MIB}"'
        f' ovf:format="{STREAM}"/>'
        for number in (1, 2)
    )
    text = envelope(
        f'<VirtualSystemCollection ovf:id="shop"><Info>i</Info>{machine(1)}{machine(2)}'
        "</VirtualSystemCollection>",
        files=file("1.vmdk") + file("2.vmdk", id="file2"),
        disks=disks,
        networks=("backend",),
    )
    path = folder_package(tmp_path / "pair", text, {"1.vmdk": disk(), "2.vmdk": disk()})
    return path, *names


# ---- networks


def test_networks_by_name_and_by_slot(vbox: VirtualBox, package: Callable[..., Path]) -> None:
    """Each form of an attachment."""
    made = vbox.appliances.import_(package(), networks={0: None, "backend": ("Internal", "lab")})
    assert [made.network[slot].attachment for slot in (0, 1)] == ["Null", "Internal"]
    assert made.network[1].network == "lab"
    made = vbox.appliances.import_(
        package(), networks={"NAT": Nic("NAT", kind="Virtio"), 1: {"attachment": "NAT"}}
    )
    assert [made.network[slot].attachment for slot in (0, 1)] == ["NAT", "NAT"]
    assert made.network[0].kind == "Virtio"
    made = vbox.appliances.import_(package(), networks={1: "none", "NAT": "nat"})
    assert [made.network[slot].attachment for slot in (0, 1)] == ["NAT", "Null"]


@pytest.mark.parametrize(
    ("networks", "error", "words"),
    [
        ({7: "nat"}, NotFoundError, "no adapter 7"),
        ({"Backend": "nat"}, NotFoundError, "did you mean 'backend'"),
        ({0: "natt"}, ApiError, "NetworkAttachmentType"),
        ({0: "bridged"}, ApiError, "interface"),
        ({0: ("bridged", "nothere0")}, NotFoundError, "nothere0"),
        ({0: ("nat", "x")}, ApiError, "leads to nothing"),
        ({0: ("nat",)}, ApiError, "attachment cannot be"),
        ({0: ("natnetwork", "no")}, NotFoundError, "NATNetwork"),
    ],
)
def test_networks_that_cannot_be(  # noqa: PLR0917 - fixtures
    vbox: VirtualBox,
    package: Callable[..., Path],
    inventory: Callable[[], set[str]],
    networks: Any,
    error: type[Exception],
    words: str,
) -> None:
    """The error comes before anything is made."""
    with pytest.raises(error, match=words):
        vbox.appliances.import_(package(), networks=networks)
    assert inventory() == set()


# ---- disks, folder, licence


def test_disks_are_converted_or_not(vbox: VirtualBox, package: Callable[..., Path]) -> None:
    """VDI where it is asked for; VMDK otherwise."""
    converted = vbox.appliances.import_(package(), disks="vdi")
    as_is = vbox.appliances.import_(package(), disks="as-is")
    formats = []
    for machine in (converted, as_is):
        (one,) = machine.storage.attachments
        assert one.medium is not None
        formats.append((one.medium.format.upper(), one.medium.location.suffix))
    assert formats == [("VDI", ".vdi"), ("VMDK", ".vmdk")]
    with pytest.raises(ApiError, match="no way 'vmdk'") as caught:
        vbox.appliances.import_(package(), disks="vmdk")  # type: ignore[arg-type]
    assert "'vdi', 'as-is'" in f"{caught.value.hint}"


def test_a_folder_of_ones_own(
    vbox: VirtualBox, package: Callable[..., Path], tmp_path: Path, label: Callable[[str], str]
) -> None:
    """The machine's folder is made there, with those above, and goes with the machine."""
    name = label("elsewhere")
    place = tmp_path / "a" / "b"
    machine = vbox.appliances.import_(package(), name=name, folder=place)
    assert machine.settings_file == place / name / f"{name}.vbox"
    (one,) = machine.storage.attachments
    assert one.medium is not None
    assert one.medium.location.parent == place / name
    machine.destroy()
    assert not (place / name).exists()


def test_a_failed_import_leaves_no_folder(
    vbox: VirtualBox, package: Callable[..., Path], tmp_path: Path
) -> None:
    """Nor those above that it made."""

    def stop(progress: Progress) -> None:
        if progress.what == "import" and progress.percent:
            raise Stop

    with pytest.raises(Stop):
        vbox.appliances.import_(package(), folder=tmp_path / "a" / "b", on_update=stop)
    assert not (tmp_path / "a").exists()


def test_a_disk_that_is_there_is_not_written_over(
    vbox: VirtualBox, package: Callable[..., Path], tmp_path: Path, label: Callable[[str], str]
) -> None:
    """Typed error, and the file is as before."""
    name = label("blocked")
    blocker = tmp_path / name / "disk.vmdk"
    blocker.parent.mkdir()
    blocker.write_text("mine")
    with pytest.raises(AlreadyExistsError, match="there is a file"):
        vbox.appliances.import_(package(), name=name, folder=tmp_path)
    assert blocker.read_text() == "mine"
    assert [path.name for path in tmp_path.joinpath(name).iterdir()] == ["disk.vmdk"]


def test_a_licence_has_to_be_accepted(
    vbox: VirtualBox, package: Callable[..., Path], inventory: Callable[[], set[str]]
) -> None:
    """Refused without; the error has the text, and says where to read it."""
    path = package(before="<EulaSection><Info>i</Info><License>be good</License></EulaSection>")
    with pytest.raises(EulaError) as caught:
        vbox.appliances.import_(path)
    assert caught.value.licences == ("be good",)
    assert caught.value.file == str(path)
    assert "vboxkit ovf plan" in f"{caught.value.hint}"
    with pytest.raises(ApiError, match="eula cannot be 'yes'"):
        vbox.appliances.import_(path, eula="yes")  # type: ignore[arg-type]
    assert inventory() == set()
    assert vbox.appliances.import_(path, eula="accept").id in vbox.machines


# ---- warnings


def test_warnings_are_told_or_logged(
    vbox: VirtualBox, package: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """An answered one is no warning any more."""
    told: list[str] = []
    with caplog.at_level(logging.WARNING, logger="vboxkit.machines"):
        vbox.appliances.import_(package(), on_warning=told.append)
        assert caplog.records == []
        vbox.appliances.import_(package())
    (text,) = [one for one in told if "backend" in one]
    assert text.partition(": ")[2] in caplog.text
    told.clear()
    vbox.appliances.import_(package(), networks={"backend": "nat"}, on_warning=told.append)
    vbox.appliances.import_(package(), networks={1: "nat"}, on_warning=told.append)
    assert [one for one in told if "backend" in one] == []


# ---- several machines


def test_several_machines_at_once(vbox: VirtualBox, pair: tuple[Path, str, str]) -> None:
    """In the package's order, under their own names or others."""
    path, database, web = pair
    with vbox.appliances.open(path) as appliance:
        made = appliance.import_all(networks={"backend": ("internal", "b")})
        assert [one.name for one in made] == [database, web]
        assert [one.network[0].network for one in made] == ["b", "b"]
        again = appliance.import_all(names={web: f"{web}-2"})
    assert [one.name for one in again] == [f"{database} 1", f"{web}-2"]
    assert len({one.id for one in (*made, *again)}) == 4


def test_one_machine_is_asked_for_and_there_are_two(
    vbox: VirtualBox, pair: tuple[Path, str, str], inventory: Callable[[], set[str]]
) -> None:
    """The error says what to call."""
    with pytest.raises(OvfError, match="holds 2 machines") as caught:
        vbox.appliances.import_(pair[0])
    assert "import_all" in f"{caught.value.hint}"
    assert inventory() == set()


def test_all_or_none_of_them(
    vbox: VirtualBox, pair: tuple[Path, str, str], inventory: Callable[[], set[str]]
) -> None:
    """A name that is taken, a hook that raises at the second disk, no time: none is left."""
    path, database, web = pair
    appliance = vbox.appliances.open(path)
    with pytest.raises(NotFoundError, match="no machine 'other'"):
        appliance.import_all(names={"other": "x"})
    with pytest.raises(AlreadyExistsError):
        appliance.import_all(names={database: f"{web}-same", web: f"{web}-same"})

    def stop(progress: Progress) -> None:
        if progress.what == "import" and progress.percent > 60:
            raise Stop

    with pytest.raises(Stop):
        appliance.import_all(on_update=stop)
    with pytest.raises(WaitTimeoutError):
        appliance.import_all(timeout=0)
    assert inventory() == set()
    assert len(appliance.import_all()) == 2


def test_what_fails_after_the_import_takes_the_machines_back(
    vbox: VirtualBox,
    package: Callable[..., Path],
    inventory: Callable[[], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The machine is there already when its adapters are attached."""
    from vboxkit.machines import importing

    def fail(*_: object) -> None:
        raise Stop

    monkeypatch.setattr(importing, "apply_nic", fail)
    with pytest.raises(Stop):
        vbox.appliances.import_(package(), networks={0: "nat"})
    assert inventory() == set()
