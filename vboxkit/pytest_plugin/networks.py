"""Private networks of a test's machines, and what the report says of them."""

from __future__ import annotations

import shutil
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, get_args

import pytest

from vboxkit.errors import CleanupError, SettingsError, VBoxKitError
from vboxkit.pytest_plugin import artifacts, markers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vboxkit.lab.images import Image, ImageSource
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.network import PrivateNetwork
    from vboxkit.lab.provisioning import AnyStep
    from vboxkit.pytest_plugin.factory import VMFactory

__all__ = ["VMNetworks", "complete"]

#: ``udp``: a switch of ours, with faults; ``internal``: VirtualBox's, which needs its driver.
NetworkKind = Literal["udp", "internal"]

_NETWORKS = pytest.StashKey["VMNetworks"]()


class VMNetworks:
    """
    Makes machines on a private network for one test; what the fixture `vm_network` gives.

    Example:
        ``def test_two(vm_network): net = vm_network(["web", "db"])``
    """

    def __init__(self, request: pytest.FixtureRequest, lab: Lab, factory: VMFactory) -> None:
        self._request = request
        self._node: pytest.Item = request.node
        self._lab = lab
        self._factory = factory
        self._made: list[PrivateNetwork] = []
        self._captures: dict[str, Path] = {}
        self._node.stash[_NETWORKS] = self

    def __repr__(self) -> str:
        return f"<VMNetworks {self._made}>"

    def __call__(
        self,
        names: Sequence[str],
        *,
        image: str | Image | ImageSource | None = None,
        ips: Mapping[str, str] | None = None,
        kind: NetworkKind = "udp",
        subnet: str = "10.77.0.0/24",
        seed: int | None = None,
        pcap: bool = False,
    ) -> PrivateNetwork:
        """
        Make machines, all on one network apart from all else, where they know each other by name.

        Args:
            names: The machines' names there.
            image: What they are forks of; as of `vm_factory`. Of a name, a path or a source one
                with a second network adapter is built at first use.
            ips: The addresses of some of them; the others get the lowest that are free.
            kind: ``udp``, a switch of ours that injects faults; or ``internal``, VirtualBox's own
                network, which needs its kernel driver and has no faults.
            subnet: Its addresses.
            seed: Of its faults; left out it is made of the test's id, and so the same in each run.
                The report of a failure shows it.
            pcap: Record all frames: when the test fails they are in ``--vm-artifacts``, in the
                test's folder, as ``<network>.pcap``.

        Raises:
            SettingsError: An argument cannot be; or the image has no second network adapter, and
                cannot be given one.
            StartError: VirtualBox could not start one.
            WaitTimeoutError: A guest did not answer, or there was no room (``--vm-max``).
            DriverNeededError: ``internal``, and the driver is not there.

        Example:
            ``vm_network(["web", "db"])["web"].ssh.succeed("ping -c 1 db")``
        """
        known = list(names)
        if isinstance(names, str) or not known or len(set(known)) != len(known):
            raise SettingsError(
                f"{self._node.nodeid}: vm_network({names!r}): machines have names of their own",
                hint="a list of different names: vm_network(['web', 'db'])",
            )
        strangers = sorted(set(ips or {}) - set(known))
        if strangers:
            raise SettingsError(
                f"{self._node.nodeid}: vm_network: ips has {strangers}, who are no members",
                hint=f"one of {', '.join(known)}",
            )
        if kind not in get_args(NetworkKind):
            raise SettingsError(
                f"{self._node.nodeid}: vm_network: there is no kind {kind!r}",
                hint=f"one of {', '.join(get_args(NetworkKind))}",
            )
        if seed is None:
            seed = zlib.crc32(self._node.nodeid.encode())
        number = len(self._made) + 1
        name = "lan" if number == 1 else f"lan-{number}"
        capture = self._capture(name) if pcap else None
        net = self._lab.network(
            name,
            kind="tunnel" if kind == "udp" else kind,
            subnet=subnet,
            seed=seed,
            pcap=capture,
        )
        self._made.append(net)
        vms = self._factory.make(len(known), self._built(image), connected=True)
        net.add_all(dict(zip(known, vms, strict=True)), ips=ips)
        if markers.wanted(self._node).network == "isolated":
            for vm in vms:
                vm.network.unplug()
        return net

    def _capture(self, name: str) -> Path:
        # pytest removes old ones, also those of runs that were killed.
        factory: pytest.TempPathFactory = self._request.getfixturevalue("tmp_path_factory")
        self._captures[name] = factory.mktemp("pcap") / f"{name}.pcap"
        return self._captures[name]

    def _built(self, image: str | Image | ImageSource | None) -> Image:
        """Return an image whose forks have an adapter for the network."""
        from vboxkit.lab.images import Image, ImageSource

        wanted = markers.wanted(self._node)
        steps: Sequence[AnyStep] = ()
        source = image if image is not None else wanted.source(self._lab)
        if source is None:
            source = self._request.getfixturevalue("vm_image")
            steps = self._request.getfixturevalue("vm_provision")
            if not self._ready(source) and source.digest == self._lab.image(steps=steps).digest:
                # What runs cannot be given other hardware: from where it came from.
                source = self._lab.settings.image
        if not isinstance(source, Image):
            try:
                hardware = ImageSource(
                    base=source, adapters=2, memory_mb=wanted.memory_mb, cpus=wanted.cpus
                )
                return self._lab.image(hardware, steps=steps)
            except SettingsError:
                # The name of one that was built.
                source = self._lab.image(source)
        if not self._ready(source):
            raise SettingsError(
                f"image {source.name!r}: its forks have no second network adapter, by which they"
                " could join a network, and running guests cannot be given one",
                hint="build it with one: lab.image(ImageSource(base=..., adapters=2), steps=...)",
            )
        return source

    def _ready(self, image: Image) -> bool:
        machine = self._lab.vbox.machines[image.machine]
        return any(it.enabled and not it.cable_connected for it in list(machine.network)[1:])

    def close(self) -> None:
        """
        End the networks; each is tried. The machines are the factory's.

        Raises:
            CleanupError: Some could not be ended whole.
        """
        left = []
        while self._made:
            try:
                self._made.pop().close()
            except VBoxKitError as error:
                left.append(f"{error}")
        while self._captures:
            shutil.rmtree(self._captures.popitem()[1].parent, ignore_errors=True)
        if left:
            raise CleanupError(
                "not all networks could be ended:", left=left, hint="the next run removes them"
            )

    def sections(self) -> list[tuple[str, str]]:
        """Return what the report of a failure says of each network."""
        return [(f"vm network {net.name}", self._describe(net)) for net in self._made]

    def _describe(self, net: PrivateNetwork) -> str:
        lines = [f"{net.subnet}, seed {net.seed}: vm_network(..., seed={net.seed}) repeats it"]
        lines += [f"{it.name}  {it.ip}  {it.vm.name}" for it in net]
        faults = net.faults
        lines.append(f"faults: {'; '.join(faults) if faults else 'none in force'}")
        with suppress(VBoxKitError):  # VirtualBox's own network counts nothing
            hit = {k: n for k, n in sorted(net.counts().items()) if len(k) == 3 and n}
            lines += [f"{source} -> {to}: {n} x {what}" for (source, to, what), n in hit.items()]
        lines += self._save(net)
        return "\n".join(lines)

    def _save(self, net: PrivateNetwork) -> list[str]:
        capture = self._captures.get(net.name)
        folder = artifacts.folder_of(self._node.config, self._node.nodeid)
        if capture is None or folder is None:
            return []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return [f"frames: {shutil.copy(capture, folder / capture.name)}"]
        except OSError as error:
            return [f"frames: not saved: {type(error).__name__}: {error}"]


def complete(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add a section for each network to the report of a failure."""
    nets = item.stash.get(_NETWORKS, None)
    if report.failed and nets is not None:
        try:
            report.sections += nets.sections()
        except Exception as error:  # the test's own failure is what counts
            report.sections.append(("vm network", f"not known: {type(error).__name__}: {error}"))
