"""What a network adapter is attached to, and the trace of what goes through it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vboxkit.com.installation import driver_available
from vboxkit.errors import (
    ApiError,
    DriverNeededError,
    InvalidStateError,
    NotFoundError,
    StorageError,
)
from vboxkit.machines.locks import pending_undo
from vboxkit.machines.parts import Setting, choose, invalid, near, require_text
from vboxkit.machines.states import ONLINE, MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

    from vboxkit.com.api import Api
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.network_adapter import Attachment, NetworkAdapter

__all__ = [
    "DRIVER_NEEDED",
    "Cable",
    "Trace",
    "attach",
    "driver_properties",
    "interfaces",
    "listed",
    "not_found",
    "require_target",
    "stop_trace",
    "target",
    "trace",
    "without_host_only_networks",
]

#: Attachments whose frames go through the kernel driver's network switch.
DRIVER_NEEDED = frozenset(
    {"Bridged", "Internal", "HostOnly", "HostOnlyNetwork", "NATNetwork", "Cloud"}
)

_SAVED = frozenset({MachineState.SAVED, MachineState.ABORTED_SAVED})

#: By attachment: the argument that says where to, and the attribute that keeps it.
_TARGETS = {
    "Bridged": ("interface", "bridgedInterface"),
    "HostOnly": ("interface", "hostOnlyInterface"),
    "Internal": ("network", "internalNetwork"),
    "NATNetwork": ("network", "NATNetwork"),
    "HostOnlyNetwork": ("network", "hostOnlyNetwork"),
    "Cloud": ("network", "cloudNetwork"),
    "Generic": ("driver", "genericDriver"),
}
#: By attachment: the list of ``IVirtualBox`` that has the networks there are.
_LISTS = {
    "NATNetwork": "NATNetworks",
    "HostOnlyNetwork": "hostOnlyNetworks",
    "Cloud": "cloudNetworks",
}


def target(adapter: NetworkAdapter, argument: str) -> str | None:
    """Return where an adapter leads to, if its attachment has an argument of that name."""
    wanted, attribute = _TARGETS.get(adapter.attachment, ("", ""))
    # VirtualBox remembers one for each attachment that there ever was.
    return str(getattr(adapter._current(), attribute)) if wanted == argument else None


def driver_properties(com: Any) -> dict[str, str]:
    """Return the properties that a raw adapter has for generic drivers."""
    values, names = com.getProperties("")
    return dict(zip(map(str, names), map(str, values), strict=True))


def attach(
    adapter: NetworkAdapter,
    kind: Attachment,
    given: Mapping[str, str],
    *,
    properties: Mapping[str, str | int] | None,
    missing_ok: bool,
) -> None:
    """See `NetworkAdapter.attach`."""
    raw = choose(adapter, "NetworkAttachmentType", kind)
    argument, attribute = _TARGETS.get(kind, ("", ""))
    if set(given) != ({argument} - {""}) or (properties is not None and kind != "Generic"):
        wanted = f"takes {argument}=" if argument else "takes nothing else"
        got = [*given, *(["properties"] if properties is not None else [])]
        msg = f"{adapter._subject()}: attach({kind!r}) {wanted}, not {', '.join(got) or 'nothing'}"
        raise TypeError(msg)
    name = given.get(argument, "")
    require_text(adapter, argument, name)
    if argument and not missing_ok:
        require_target(adapter, kind, argument, name)
    live = adapter._machine.state in ONLINE
    if live and kind in DRIVER_NEEDED and not driver_available():
        # VirtualBox would report success: the guest has no network then, and only VBox.log says so.
        raise DriverNeededError(
            f"{adapter._subject()} ({adapter._state()}) cannot be attached as {kind}: that needs"
            " VirtualBox's kernel driver, which is missing",
            hint="attach it as NAT, or install the kernel driver",
        )
    with adapter._changing() as com:
        if live:
            pending_undo(adapter._machine).append(lambda machine: _reattach(adapter, machine))
            if com.attachmentType == raw:
                com.attachmentType = adapter._api.value("NetworkAttachmentType", "Null")
        if argument:
            with without_host_only_networks(adapter._api, f"{adapter._subject()}: "):
                setattr(com, attribute, name)
        if kind == "Generic":
            new = {key: str(value) for key, value in (properties or {}).items()}
            for key in driver_properties(com).keys() - new.keys():
                com.setProperty(key, "")
            for key, value in new.items():
                com.setProperty(key, value)
        com.attachmentType = raw


def _reattach(adapter: NetworkAdapter, machine: Any) -> None:
    """
    Attach a running machine's adapter as its settings say.

    ``discardSettings`` undoes only the settings: the running machine stays attached to what it was
    attached to meanwhile.
    """
    if adapter._machine.state not in ONLINE:
        return
    com = adapter._locate(machine)
    null, nat = (adapter._api.value("NetworkAttachmentType", n) for n in ("Null", "NAT"))
    kind = com.attachmentType
    com.attachmentType = nat if kind == null else null
    com.attachmentType = kind
    machine.saveSettings()


def require_target(adapter: ComObject, kind: str, argument: str, name: str) -> None:
    """
    Require that there is what an attachment leads to.

    Raises:
        ApiError: No name is given.
        NotFoundError: There is no interface or network of that name.
    """
    if not name:
        raise invalid(
            adapter, f"attach({kind!r}) needs the name of its {argument}", hint=f"{argument}=..."
        )
    api = adapter._api
    if argument == "interface":
        known = [str(com.name) for com in interfaces(api, kind)]
        hint = "vbox.networks.bridged lists those of this host"
        if kind == "HostOnly":
            hint = "vbox.networks.host_only.create() makes one"
    elif kind in _LISTS:
        known = [str(com.networkName) for com in listed(api, _LISTS[kind])]
        place = {"NATNetwork": "nat", "HostOnlyNetwork": "host_only_networks", "Cloud": "cloud"}
        hint = f"vbox.networks.{place[kind]}.create({name!r}) makes it"
    else:
        return  # any name does: networks of that kind are there as long as somebody names them
    if name not in known:
        raise not_found(adapter._subject(), f"{kind} {argument}", name, known, hint=hint)


class Cable(Setting[bool]):
    """Whether an adapter's cable is plugged in."""

    def __set__(self, obj: ComObject, value: Any) -> None:
        adapter: Any = obj
        state = adapter._machine.state
        if state in _SAVED and value is not adapter.cable_connected:
            raise InvalidStateError(
                f"{adapter._subject()} ({state}): VirtualBox does not heed a cable that is pulled"
                " or plugged in while the machine is saved",
                state=str(state),
                needed=["PoweredOff", "Running"],
                operation="change the cable",
                hint="start() the machine first; attach('Null') cuts it off as it is",
            )
        super().__set__(obj, value)

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        super()._write(obj, com, raw)
        adapter: Any = obj
        if raw and adapter._machine.state in ONLINE:
            # A guest that went on from a state saved with the cable out gets its link back only
            # after the cable was out once more.
            com.cableConnected = False
            com.cableConnected = True


def interfaces(api: Api, kind: str) -> list[Any]:
    """Return the host's raw interfaces, ``Bridged`` or ``HostOnly``."""
    value = api.value("HostNetworkInterfaceType", kind)
    found = api.array(api.virtualbox.host, "networkInterfaces")
    return [com for com in found if com.interfaceType == value]


def listed(api: Api, attribute: str) -> list[Any]:
    """Return a list of ``IVirtualBox``, empty where this VirtualBox has no such networks."""
    try:
        return api.array(api.virtualbox, attribute)
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None or foreign.symbol != "E_NOTIMPL":
            raise
        return []


@contextmanager
def without_host_only_networks(api: Api, subject: str = "") -> Iterator[None]:
    """Say what "not implemented" means, where this VirtualBox has no host-only networks."""
    try:
        yield
    except Exception as error:
        foreign = api.foreign(error)
        if foreign is None or foreign.symbol != "E_NOTIMPL":
            raise
        raise ApiError(
            f"{subject}VirtualBox has no host-only networks on this system",
            code=foreign.code,
            symbol=foreign.symbol,
            text=foreign.text,
            operation="use a host-only network",
            hint="vbox.networks.host_only has host-only interfaces, which are used here",
        ) from error


def not_found(
    subject: str, kind: str, name: str, known: Sequence[str], *, hint: str | None = None
) -> NotFoundError:
    """Return the error for a name that is none of those there are."""
    close = near(name, known)
    there = f"only {', '.join(map(repr, known))}" if known else "and no other one either"
    return NotFoundError(
        f"{subject}: there is no {kind} {name!r}, {there}",
        kind=kind,
        wanted=name,
        available=known,
        hint=f"did you mean {' or '.join(map(repr, close))}?" if close else hint,
    )


class Trace:
    """
    A trace of packets; a context manager that stops it.

    Attributes:
        path: The pcap file.
    """

    def __init__(self, adapter: NetworkAdapter, path: Path) -> None:
        self._adapter = adapter
        self.path = path

    def stop(self) -> None:
        """Write no more packets; doing it twice does no harm, nor after another trace began."""
        if self._adapter._machine.registered and self._adapter.trace_file == self.path:
            self._adapter.stop_trace()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Trace {self.path} of {self._adapter!r}>"


def trace(adapter: NetworkAdapter, path: Path) -> Trace:
    """See `NetworkAdapter.trace`."""
    require_text(adapter, "trace_file", str(path))
    _require_writable(adapter, path)
    with adapter._changing() as com:
        _undo_live(adapter)
        com.traceEnabled = False
        com.traceFile = str(path)
        com.traceEnabled = True
    return Trace(adapter, path)


def stop_trace(adapter: NetworkAdapter) -> None:
    """See `NetworkAdapter.stop_trace`."""
    if adapter.trace_file is not None:
        with adapter._changing() as com:
            _undo_live(adapter)
            com.traceEnabled = False


def _undo_live(adapter: NetworkAdapter) -> None:
    if adapter._machine.state in ONLINE:
        pending_undo(adapter._machine).append(lambda machine: _reattach(adapter, machine))


def _require_writable(adapter: NetworkAdapter, path: Path) -> None:
    """VirtualBox takes any path; if it cannot write there, a running guest has no network."""
    try:
        there = path.exists()
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise StorageError(
            f"{adapter._subject()} ({adapter._state()}): cannot write packets to {path}: {error}",
            symbol="VBOX_E_FILE_ERROR",
            text=str(error),
            operation="trace packets",
            hint="give a file in a folder that exists and can be written to",
        ) from error
