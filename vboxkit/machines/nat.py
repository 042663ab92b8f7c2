"""The NAT engine of a network adapter."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.com.versions import require
from vboxkit.machines.base import api_call
from vboxkit.machines.forwards import check_address
from vboxkit.machines.parts import MachinePart, Setting, choose, invalid, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vboxkit.com.interfaces import INATEngine
    from vboxkit.machines.base import ComObject
    from vboxkit.machines.properties import MachineProperties

__all__ = ["AliasMode", "NatEngine", "Since", "check_network"]

AliasMode = Literal["AliasLog", "AliasProxyOnly", "AliasUseSamePorts"]


def check_network(longest: int) -> Callable[[ComObject, str, str], None]:
    """Return a check that a text is an IPv4 network with room for what VirtualBox puts there."""

    def check(obj: ComObject, name: str, value: str) -> None:
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError as error:
            raise invalid(
                obj, f"{name} cannot be {value!r}: {error}", hint="such as 10.9.0.0/24"
            ) from None
        if not 8 <= network.prefixlen <= longest or "/" not in value:
            raise invalid(obj, f"{name} cannot be {value!r}", hint=f"a prefix of /8 to /{longest}")

    return check


def _check_network(obj: ComObject, name: str, value: str) -> None:
    # VirtualBox takes any text, and uses another network at the next start. The guest gets .15.
    if value:
        check_network(27)(obj, name, value)


def _check_ipv4(obj: ComObject, _name: str, value: str) -> None:
    check_address(obj, value, version=4)


class Since(Setting[bool]):
    """A setting that not every version has."""

    def __init__(self, interface: str, name: str, doc: str) -> None:
        super().__init__(name, bool, doc)
        self._interface = interface

    def _read(self, obj: ComObject) -> Any:
        require(obj._api, self._interface, self._name)
        return super()._read(obj)

    def _write(self, obj: ComObject, com: Any, raw: Any) -> None:
        require(obj._api, self._interface, self._name)
        super()._write(obj, com, raw)


class _Number(Setting[int]):
    """
    One of the five numbers that VirtualBox reads and writes together.

    Args:
        positions: Where it is among them; all of them are written.
    """

    def __init__(
        self, positions: tuple[int, ...], doc: str, low: int, high: int, unit: str
    ) -> None:
        super().__init__("getNetworkSettings", int, doc, check=within(low, high, unit))
        self._positions = positions

    def _read(self, obj: ComObject) -> Any:
        return obj._current().getNetworkSettings()[self._positions[0]]

    def _write(self, _obj: ComObject, com: Any, raw: Any) -> None:
        # 0 leaves a number as it is.
        com.setNetworkSettings(*(raw if n in self._positions else 0 for n in range(5)))


class NatEngine(MachinePart):
    """
    The NAT engine of an adapter.

    On a running machine, changes hold from the next time that the adapter is attached:
    ``adapter.attach("NAT")`` does that at once.

    Example:
        ``machine.network[0].nat.network = "10.9.0.0/24"``
    """

    com: INATEngine

    network = Setting(
        "network",
        str,
        "Its network, as ``10.9.0.0/24``; empty for the default, 10.0.2.0/24 for the first adapter."
        " The guest gets .15 of it, the gateway is .2, the name server .3.",
        check=_check_network,
    )
    host_ip = Setting(
        "hostIP",
        str,
        "The host's address from which the guest's connections go out; empty for any.",
        check=_check_ipv4,
    )
    localhost_reachable = Setting(
        "localhostReachable", bool, "Whether the guest reaches 127.0.0.1 of the host, as .2."
    )
    forward_broadcast = Since("INATEngine", "forwardBroadcast", "Whether broadcasts go out, too.")
    dns_pass_domain = Setting(
        "DNSPassDomain", bool, "Whether the guest is told the host's domain name."
    )
    dns_proxy = Setting("DNSProxy", bool, "Whether the engine answers names by the host's servers.")
    dns_use_host_resolver = Setting(
        "DNSUseHostResolver", bool, "Whether it asks the host's resolver, not its servers."
    )
    tftp_enabled = Since("INATEngine", "enableTFTP", "Whether it has a TFTP server.")
    tftp_prefix = Setting("TFTPPrefix", str, "The TFTP server's folder on the host.")
    tftp_boot_file = Setting("TFTPBootFile", str, "The file that a guest is told to boot.")
    tftp_next_server = Setting(
        "TFTPNextServer",
        str,
        "The address of another TFTP server; empty for its own.",
        check=_check_ipv4,
    )
    mtu = _Number((0,), "The largest packet; 0 says the default.", 68, 16_000, "bytes")
    # VirtualBox sets the receiving buffer to the size of the sending one, whatever it was given.
    socket_buffer_kb = _Number((1, 2), "Its sockets' buffers; 0 says the default.", 8, 1024, "KiB")
    tcp_send_window_kb = _Number((3,), "The TCP window; 0 says the default.", 8, 1024, "KiB")
    tcp_receive_window_kb = _Number((4,), "The TCP window; 0 says the default.", 8, 1024, "KiB")

    def __init__(self, machine: MachineProperties, slot: int) -> None:
        self._slot = slot
        self.noun = f"network adapter {slot}: NAT engine"
        super().__init__(machine)

    def _locate(self, machine: Any) -> Any:
        return machine.getNetworkAdapter(self._slot).NATEngine

    @property
    @api_call("read the alias modes")
    def alias_modes(self) -> frozenset[str]:
        """
        How it translates ports; empty is the default.

        ``AliasLog`` logs, ``AliasProxyOnly`` does not translate, ``AliasUseSamePorts`` keeps the
        guest's ports where it can.
        """
        bits = int(self._current().aliasMode)
        api = self._api
        names = api.names("NATAliasMode")
        return frozenset(name for name in names if bits & int(api.value("NATAliasMode", name)))

    @alias_modes.setter
    @api_call("set the alias modes")
    def alias_modes(self, names: Iterable[AliasMode]) -> None:
        bits = 0
        for name in names:
            bits |= int(choose(self, "NATAliasMode", name))
        with self._changing() as com:
            com.aliasMode = bits
