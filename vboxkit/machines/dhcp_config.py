"""What a DHCP server tells: options and lease times, for everybody, groups or single adapters."""

from __future__ import annotations

import ipaddress
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.machines.accessors import UINT32
from vboxkit.machines.base import ComObject, api_call
from vboxkit.machines.forwards import check_address
from vboxkit.machines.mappings import LiveMapping
from vboxkit.machines.parts import Setting, choose, invalid, require_text, within

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vboxkit.com.interfaces import IDHCPConfig
    from vboxkit.machines.dhcp import DhcpServer

__all__ = ["DhcpAdapterConfig", "DhcpConfig", "DhcpGroup", "DhcpOptions", "GroupCondition", "whose"]

GroupCondition = Literal[
    "MAC",
    "MACWildcard",
    "vendorClassID",
    "vendorClassIDWildcard",
    "userClassID",
    "userClassIDWildcard",
]


class DhcpOptions(LiveMapping[str]):
    """
    The DHCP options of a configuration, as names and texts; behaves like a `dict`.

    Names are VirtualBox's: ``DomainNameServers``, ``DomainName``, ``NTPServers``, ... Several
    addresses stand in one text, with a space between.

    Example:
        ``server.config.options["DomainNameServers"] = "10.7.0.1 10.7.0.2"``
    """

    noun = "DHCP option"

    def _all(self) -> dict[str, str]:
        values, options, _ = self.com.getAllOptions()
        api = self._api
        names = (api.name("DHCPOption", option) for option in options)
        return dict(zip(names, map(str, values), strict=True))

    def _check(self, name: str, value: Any) -> None:
        choose(self._owner, "DHCPOption", name)
        require_text(self._owner, self.noun, value)

    def _write(self, name: str, value: Any) -> None:
        normal = self._api.value("DHCPOptionEncoding", "Normal")
        self.com.setOption(choose(self._owner, "DHCPOption", name), normal, value)

    def _remove(self, name: str) -> None:
        self.com.removeOption(choose(self._owner, "DHCPOption", name))

    def clear(self) -> None:
        """Remove all but the network mask, which is the server's own."""
        with self._translated("remove all"), self._changing():
            self.com.removeAllOptions()

    def set_bytes(self, name: str, value: bytes) -> None:
        """Set an option to bytes as they are sent, for what has no text."""
        raw = choose(self._owner, "DHCPOption", name)
        with self._translated(f"set {name!r}"), self._changing():
            self.com.setOption(raw, self._api.value("DHCPOptionEncoding", "Hex"), value.hex(":"))


class DhcpConfig(ComObject):
    """
    What a DHCP server tells: everybody, a group, or one adapter.

    Attributes:
        options: The DHCP options; a `dict`.
    """

    com: IDHCPConfig

    min_lease_s = Setting(
        "minLeaseTime",
        int,
        "The shortest lease, in seconds; 0 for the default.",
        check=within(0, UINT32, "s"),
    )
    default_lease_s = Setting(
        "defaultLeaseTime",
        int,
        "The lease of those who do not ask, in seconds; 0: the default.",
        check=within(0, UINT32, "s"),
    )
    max_lease_s = Setting(
        "maxLeaseTime",
        int,
        "The longest lease, in seconds; 0 for the default.",
        check=within(0, UINT32, "s"),
    )

    def __init__(self, server: DhcpServer, com: Any, *, noun: str) -> None:
        super().__init__(server._api, com)
        self._server = server
        self._noun = noun
        self.options = DhcpOptions(self)

    def _subject(self) -> str:
        return f"{self._server._subject()}: {self._noun}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._noun} of {self._server!r}>"

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        with self._server._changing():
            yield self.com

    @property
    @api_call("read the forced options")
    def forced_options(self) -> list[str]:
        """Options that are told also to those who do not ask."""
        return self._names("forcedOptions")

    @forced_options.setter
    @api_call("set the forced options")
    def forced_options(self, names: Iterable[str]) -> None:
        self._set_names("forcedOptions", names)

    @property
    @api_call("read the suppressed options")
    def suppressed_options(self) -> list[str]:
        """Options that are told to nobody."""
        return self._names("suppressedOptions")

    @suppressed_options.setter
    @api_call("set the suppressed options")
    def suppressed_options(self, names: Iterable[str]) -> None:
        self._set_names("suppressedOptions", names)

    def _names(self, attribute: str) -> list[str]:
        api = self._api
        return [api.name("DHCPOption", value) for value in api.array(self.com, attribute)]

    def _set_names(self, attribute: str, names: Iterable[str]) -> None:
        values = [choose(self, "DHCPOption", name) for name in names]
        with self._changing() as com:
            self._api.set_array(com, attribute, values)

    def delete(self) -> None:
        """Remove it; the server's own cannot be removed."""
        with self._translated("delete it"), self._changing() as com:
            com.remove()


class DhcpAdapterConfig(DhcpConfig):
    """What a DHCP server tells one adapter."""

    @property
    @api_call("read the fixed address")
    def fixed_address(self) -> str | None:
        """The address that it always gets, or `None`."""
        return str(self._raw().fixedAddress) or None

    @fixed_address.setter
    @api_call("set the fixed address")
    def fixed_address(self, address: str | None) -> None:
        if address:
            check_address(self, address, version=4)
            network = self._server.network
            if network is not None and ipaddress.IPv4Address(address) not in network:
                # VirtualBox takes any.
                raise invalid(
                    self, f"{address} is not in {network}", hint=f"an address in {network}"
                )
        with self._changing():
            self._raw().fixedAddress = address or ""

    def _raw(self) -> Any:
        return self._api.cast(self.com, "IDHCPIndividualConfig")


class DhcpGroup(DhcpConfig):
    """What a DHCP server tells those who fulfil its conditions."""

    @property
    @api_call("read the conditions")
    def conditions(self) -> list[tuple[str, str, bool]]:
        """Its conditions: kind, value, and whether it lets in (or keeps out)."""
        api = self._api
        return [
            (
                api.name("DHCPGroupConditionType", each.type),
                str(each.value),
                bool(each.inclusive),
            )
            for each in api.array(self._raw(), "conditions")
        ]

    @api_call("add a condition")
    def add_condition(self, kind: GroupCondition, value: str, *, inclusive: bool = True) -> None:
        """
        Add a condition.

        VirtualBox 7.2 refuses class identifiers of less than 255 bytes as "too long".

        Args:
            kind: As ``MACWildcard``.
            value: As ``08:00:27:*``.
            inclusive: Whether it lets in or keeps out.
        """
        raw = choose(self, "DHCPGroupConditionType", kind)
        with self._changing():
            self._raw().addCondition(inclusive, raw, value)

    @api_call("remove the conditions")
    def clear_conditions(self) -> None:
        """Remove all its conditions."""
        with self._changing():
            self._raw().removeAllConditions()

    def _raw(self) -> Any:
        return self._api.cast(self.com, "IDHCPGroupConfig")


def whose(api: Any, com: Any) -> str:
    """Name whose configuration a raw ``IDHCPConfig`` is."""
    raw = api.cast(com, "IDHCPIndividualConfig")
    if api.name("DHCPConfigScope", com.scope) == "MAC":
        return f"MAC address {raw.MACAddress}"
    return f"machine {raw.machineId}, adapter {raw.slot}"
