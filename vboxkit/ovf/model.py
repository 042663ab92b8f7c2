"""What an appliance says of itself, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vboxkit.errors import OvfError
from vboxkit.ovf.parts import OperatingSystem, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.ovf.parts import (
        DeploymentOption,
        Disk,
        Eula,
        File,
        Item,
        Network,
        Product,
        Property,
        Section,
    )

__all__ = ["Collection", "Extension", "Package", "Place", "Problem", "VirtualSystem"]

_NO_OS = OperatingSystem()

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something stands: the file, the line in it (0: none), and the element's path."""

    file: str
    line: int = 0
    element: str = ""

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line}: {self.element}" if self.element else f"{self.file}{line}"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """
    Something that is wrong with an appliance.

    Attributes:
        severity: ``error``: it is broken; ``warning``: somebody, VirtualBox for one, may refuse or
            misread it; ``note``: worth knowing.
        code: A short name that stays, for programs: ``file-missing``.
        place: Where.
        sentence: What.
        remedy: What to do.
    """

    severity: Severity
    code: str
    place: Place
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.place}: {self.sentence}\n  try: {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Extension:
    """
    An element that OVF does not define: ``vbox:Machine``, ``vmw:Config``, ...

    Attributes:
        name: With the usual prefix of its namespace.
        namespace: The namespace.
        parent: The path of the element that it is in.
        required: Whether a reader that does not know it has to give up.
        attributes: Its own, and the ``ovf:key`` and ``ovf:value`` of VMware's.
        children: The names of the elements in it.
        text: Its text.
        line: In the descriptor.
    """

    name: str
    namespace: str
    parent: str
    required: bool
    attributes: tuple[tuple[str, str], ...] = pairs()
    children: tuple[str, ...] = ()
    text: str = ""
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class VirtualSystem:
    """
    A machine.

    Attributes:
        id: Its id in the descriptor; VirtualBox calls the machine by it.
        name: For people; the id where nothing is said.
        info: For people.
        annotation: A longer text.
        families: Hardware families: ``virtualbox-2.2``, ``vmx-13``.
        cpus: Processors, of the default configuration.
        memory_bytes: Memory, of the default configuration.
        firmware: ``efi``, ``bios``, or an empty string where nothing is said.
        os: The operating system.
        disks: The ids of its disks, in order.
        networks: The names of its adapters' networks, in order.
        items: All hardware.
        products: With properties.
        eulas: Licences.
        sections: What else is said.
        line: In the descriptor.
    """

    id: str
    name: str = ""
    info: str = ""
    annotation: str = ""
    families: tuple[str, ...] = ()
    cpus: int | None = None
    memory_bytes: int | None = None
    firmware: str = ""
    os: OperatingSystem = _NO_OS
    disks: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    products: tuple[Product, ...] = ()
    eulas: tuple[Eula, ...] = ()
    sections: tuple[Section, ...] = ()
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Machines, and collections of machines, that belong together."""

    id: str
    name: str = ""
    info: str = ""
    members: tuple[VirtualSystem | Collection, ...] = ()
    products: tuple[Product, ...] = ()
    eulas: tuple[Eula, ...] = ()
    sections: tuple[Section, ...] = ()
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Package:
    """
    An appliance, as `inspect` has read it.

    Attributes:
        path: The file.
        form: ``ova`` or ``ovf``.
        version: ``0.9``, ``1.0``, ``1.1`` or ``2.0``.
        flavour: ``virtualbox``, ``vmware``, or an empty string for others.
        descriptor: The name of the descriptor.
        bytes: Of the OVA; of descriptor and files otherwise.
        content: Machines and collections, as nested as they are.
        disks: All disks.
        files: All files referred to.
        networks: All networks.
        options: Deployment options.
        sections: What else is said of the whole.
        extensions: What vendors have added, at any depth.
        languages: Of texts besides the default.
        manifest: The name of the manifest; see `verify`.
        certificate: The name of the certificate.
        problems: The worst first.
    """

    path: str
    form: Literal["ova", "ovf"]
    version: str
    flavour: str
    descriptor: str
    bytes: int
    content: tuple[VirtualSystem | Collection, ...] = ()
    disks: tuple[Disk, ...] = ()
    files: tuple[File, ...] = ()
    networks: tuple[Network, ...] = ()
    options: tuple[DeploymentOption, ...] = ()
    sections: tuple[Section, ...] = ()
    extensions: tuple[Extension, ...] = ()
    languages: tuple[str, ...] = ()
    manifest: str = ""
    certificate: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def systems(self) -> tuple[VirtualSystem, ...]:
        """All machines, also those in collections."""
        return tuple(one for one in _flat(self.content) if isinstance(one, VirtualSystem))

    @property
    def products(self) -> tuple[Product, ...]:
        """All products, of machines and collections."""
        return tuple(product for one in _flat(self.content) for product in one.products)

    @property
    def eulas(self) -> tuple[Eula, ...]:
        """All licences, of machines and collections."""
        return tuple(eula for one in _flat(self.content) for eula in one.eulas)

    @property
    def properties(self) -> tuple[Property, ...]:
        """All properties, of all products."""
        return tuple(one for product in self.products for one in product.properties)

    def disk(self, id: str) -> Disk:  # noqa: A002 - the descriptor's word
        """
        Return a disk.

        Raises:
            KeyError: There is none of this id.
        """
        for disk in self.disks:
            if disk.id == id:
                return disk
        raise KeyError(id)

    def check(self) -> Package:
        """
        Return the package itself if nothing is broken in it.

        Raises:
            OvfError: There is a problem of severity ``error``: the first one.

        Example:
            ``inspect("x.ova").check().systems``
        """
        for problem in self.problems:
            if problem.severity == "error":
                place = problem.place
                line = f" (line {place.line})" if place.line else ""
                raise OvfError(
                    self.path,
                    problem.sentence,
                    element=f"{place.element}{line}",
                    hint=problem.remedy,
                )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists and plain values, for JSON."""
        data: dict[str, Any] = _plain(self)
        return data


def _flat(members: tuple[VirtualSystem | Collection, ...]) -> Iterator[VirtualSystem | Collection]:
    for member in members:
        yield member
        if isinstance(member, Collection):
            yield from _flat(member.members)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found: dict[str, Any] = {}
        if isinstance(value, (VirtualSystem, Collection)):
            found["type"] = type(value).__name__
        for one in dataclasses.fields(value):
            item = getattr(value, one.name)
            found[one.name] = dict(item) if one.metadata.get("pairs") else _plain(item)
        return found
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
