"""The graphics adapter, and the server that shows the screen elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vboxkit.com.versions import accelerated_3d, set_accelerated_3d
from vboxkit.core.ports import is_free
from vboxkit.errors import NotFoundError, PortInUseError, SetupError
from vboxkit.machines.accessors import UINT32, LiveSetting, offered
from vboxkit.machines.base import api_call
from vboxkit.machines.locks import pending_undo
from vboxkit.machines.parts import Choice, MachinePart, Setting, within
from vboxkit.machines.states import ONLINE

if TYPE_CHECKING:
    from vboxkit.com.api import Api
    from vboxkit.machines.base import ComObject

__all__ = ["Graphics", "GraphicsController", "Vrde", "VrdeAuth"]

GraphicsController = Literal["Null", "VBoxVGA", "VMSVGA", "VBoxSVGA"]
VrdeAuth = Literal["Null", "External", "Guest"]


def _most_monitors(obj: ComObject) -> int:
    return int(obj._api.virtualbox.systemProperties.maxGuestMonitors)


class _Accelerated3D(Setting[bool]):
    def _read(self, obj: ComObject) -> Any:
        return accelerated_3d(obj._api, obj._current())

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        set_accelerated_3d(obj._api, com, raw)


class Graphics(MachinePart):
    """
    The graphics adapter; can be set while the machine is powered off.

    Example:
        ``machine.graphics.vram_mb = 64``
    """

    noun = "graphics"

    controller = Choice[GraphicsController](
        "graphicsControllerType",
        "GraphicsControllerType",
        "The adapter that the guest sees.",
        check=offered("supportedGfxControllerTypes", "GraphicsControllerType", also=("Null",)),
    )
    vram_mb = Setting(
        "VRAMSize",
        int,
        "Video memory in MiB.",
        # VirtualBox says 0 is the least, and refuses it.
        check=within(1, lambda o: int(o._api.virtualbox.systemProperties.maxGuestVRAM), "MiB"),
    )
    monitors = Setting(
        "monitorCount", int, "How many screens there are.", check=within(1, _most_monitors)
    )
    accelerate_3d = _Accelerated3D("accelerate3DEnabled", bool, "Whether the guest sees 3D.")

    def _locate(self, machine: Any) -> Any:
        return machine.graphicsAdapter


def _pack(api: Api, server: Any) -> str:
    """Return the extension pack of a raw VRDE server, an empty text if it is not installed."""
    try:
        return str(server.VRDEExtPack)
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None or foreign.symbol != "VBOX_E_OBJECT_NOT_FOUND":
            raise
        return ""


def _require_port(obj: ComObject, server: Any) -> None:
    """Refuse ports that are all taken: VirtualBox would only say so on the VM process's output."""
    ports, address = (str(server.getVRDEProperty(f"TCP/{name}")) for name in ("Ports", "Address"))
    ends = [part.partition("-")[::2] for part in ports.split(",")]
    spans = [range(int(low), int(high or low) + 1) for low, high in ends]
    host = address or "0.0.0.0"  # noqa: S104 - VirtualBox's own default
    if not any(is_free(port, host_ip=host) for span in spans for port in span):
        raise PortInUseError(
            f"{obj._subject()} ({obj._state()}): TCP port {ports} of {host} is taken",
            host_ip=host,
            port=spans[0].start,
            hint="set vrde.ports to another one first, or vrde.address to one of this host's",
        )


class _VrdeEnabled(LiveSetting[bool]):
    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        if raw and not _pack(obj._api, com):
            # VirtualBox would take it, and start without a server; only VBox.log says so.
            raise SetupError(
                f"{obj._subject()}: VirtualBox has no extension pack with its VRDE server",
                hint="VBoxManage extpack install <the extension pack of your VirtualBox's version>",
            )
        if raw and obj._state() in ONLINE and not com.enabled:
            _require_port(obj, com)
        super()._write(obj, com, raw)


class _VrdePack(Setting[str]):
    def _read(self, obj: ComObject) -> Any:
        return _pack(obj._api, obj._current())

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        known = extension_packs(obj._api)
        if raw and raw not in known:
            raise NotFoundError(
                f"{obj._subject()}: there is no extension pack {raw!r}, only {known}",
                kind="extension pack",
                wanted=raw,
                available=known,
                operation="choose the extension pack",
                hint="VBoxManage extpack install <file>",
            )
        super()._write(obj, com, raw)


class _VrdeProperty(Setting[str]):
    """A text under a name of its own in the VRDE server's properties."""

    def _read(self, obj: ComObject) -> Any:
        return obj._current().getVRDEProperty(self._name)

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        set_vrde_property(obj, com, self._name, raw)


def set_vrde_property(obj: Any, com: Any, name: str, value: str) -> None:
    """Set a property of a raw VRDE server of a part."""
    part: MachinePart = obj
    old = str(com.getVRDEProperty(name))

    def undo(machine: Any) -> None:
        # discardSettings() leaves an empty text for a property that was not set before, and so
        # loses the default that it was read as.
        server = machine.VRDEServer
        if part._machine.state in ONLINE:
            # The running server was told already.
            server.setVRDEProperty(name, value)
        if str(server.getVRDEProperty(name)) != old:
            server.setVRDEProperty(name, old)
            machine.saveSettings()

    pending_undo(part._machine).append(undo)
    com.setVRDEProperty(name, value)


def extension_packs(api: Api) -> list[str]:
    """Return the names of the installed extension packs that can be used."""
    packs = api.array(api.virtualbox.extensionPackManager, "installedExtPacks")
    return sorted(str(pack.name) for pack in packs if pack.usable)


class Vrde(MachinePart):
    """
    The server that shows the machine's screen to remote clients; can be set at any time.

    It comes with an extension pack. Turning it on while the machine runs raises `PortInUseError`
    if all of its ports are taken.

    Example:
        ``machine.vrde.ports, machine.vrde.enabled = "5900-5910", True``
    """

    noun = "VRDE server"

    extension_pack = _VrdePack(
        "VRDEExtPack",
        str,
        "The extension pack with the server, empty if it is not installed; set to an empty text,"
        " it is VirtualBox's default.",
    )
    enabled = _VrdeEnabled("enabled", bool, "Whether the server runs with the machine.")
    ports = _VrdeProperty(
        "TCP/Ports", str, "The ports to listen on, as ``5900-5910,6000``; ``0`` for 3389."
    )
    address = _VrdeProperty("TCP/Address", str, "The address to listen on; empty text for all.")
    auth_type = Choice[VrdeAuth]("authType", "AuthType", "How clients have to show who they are.")
    auth_timeout_ms = Setting(
        "authTimeout", int, "Milliseconds for that.", check=within(0, UINT32, "ms")
    )
    auth_library = Setting("authLibrary", str, "The library that decides, as ``VBoxAuth``.")
    allow_multi_connection = Setting(
        "allowMultiConnection", bool, "Whether several clients can look at once."
    )
    reuse_single_connection = Setting(
        "reuseSingleConnection", bool, "Whether a new client takes the place of the one before."
    )

    def _locate(self, machine: Any) -> Any:
        return machine.VRDEServer

    @property
    @api_call("list the extension packs")
    def extension_packs(self) -> list[str]:
        """The extension packs that are installed."""
        return extension_packs(self._api)

    @api_call("read a VRDE property")
    def get_property(self, name: str) -> str:
        """Return a property of the server, an empty text if it is not set."""
        return str(self._current().getVRDEProperty(name))

    @api_call("set a VRDE property")
    def set_property(self, name: str, value: str) -> None:
        """Set a property of the server, as ``Security/Method``; an empty text removes it."""
        with self._changing() as com:
            set_vrde_property(self, com, name, value)
