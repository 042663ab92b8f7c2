"""What the switch answers itself: ARP, ping, DHCP and DNS."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest
from dpkt import arp, dhcp, dns, ethernet, icmp, ip, udp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.net.conftest import ALL, Clock, Station, mac
from vboxkit.errors import AlreadyExistsError, SettingsError
from vboxkit.net import Switch
from vboxkit.net.directory import Directory, mac_bytes, mac_text
from vboxkit.net.services import MAC, Services

if TYPE_CHECKING:
    from collections.abc import Iterator

SWITCH, EVERYBODY = IPv4Address("10.77.0.1"), IPv4Address("255.255.255.255")
NOTHING = "0.0.0.0"  # noqa: S104 - a client that has no address yet
A, STRANGER = mac(1), mac(77)


@pytest.fixture
def directory() -> Directory:
    """Make a network with the members a and b."""
    made = Directory("10.77.0.0/24")
    made.add("a", A)
    made.add("B", mac(2), "10.77.0.50")
    return made


@pytest.fixture
def services(directory: Directory) -> Services:
    """Make its services."""
    return Services(directory)


def checksum(data: bytes) -> int:
    """Return the Internet checksum, by the book: 0 of data that holds a right one."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def sent(data: bytes, *, source: IPv4Address, target: IPv4Address, ports: tuple[int, int]) -> bytes:
    """Return a client's frame."""
    inner = udp.UDP(sport=ports[0], dport=ports[1], data=data)
    inner.ulen = len(inner)
    packet = ip.IP(src=source.packed, dst=target.packed, p=ip.IP_PROTO_UDP, data=inner)
    packet.len = len(packet)
    return bytes(ethernet.Ethernet(src=A, dst=ALL if target == EVERYBODY else MAC, data=packet))


def received(frame: bytes | None) -> Any:
    """Return the answer's IP packet, whose checksums are right, with its frame as `.frame`."""
    assert frame is not None
    assert len(frame) >= 60
    parsed: Any = ethernet.Ethernet(frame)
    packet = parsed.data
    raw = frame[14 : 14 + packet.len]
    assert checksum(raw[:20]) == 0
    pseudo = raw[12:20] + bytes([0, packet.p]) + struct.pack(">H", len(raw) - 20)
    assert checksum((pseudo if packet.p == ip.IP_PROTO_UDP else b"") + raw[20:]) == 0
    packet.frame = parsed
    return packet


# ARP and ping


def test_arp_and_ping(services: Services) -> None:
    """The switch's own address is answered for; those of others are not."""
    for address, wanted in (("10.77.0.1", True), ("10.77.0.2", False)):
        asked = arp.ARP(sha=A, spa=bytes([10, 77, 0, 2]), tpa=IPv4Address(address).packed)
        frame = ethernet.Ethernet(src=A, dst=ALL, type=ethernet.ETH_TYPE_ARP, data=asked)
        answer = services.answer(bytes(frame), 0.0)
        assert (answer is not None) == wanted
        if answer is not None:
            found: Any = ethernet.Ethernet(answer)
            assert (found.src, found.dst, found.data.op) == (MAC, A, arp.ARP_OP_REPLY)
            assert (found.data.sha, found.data.spa) == (MAC, SWITCH.packed)
    ping = icmp.ICMP(type=icmp.ICMP_ECHO, data=icmp.ICMP.Echo(id=7, seq=9, data=b"payload"))
    packet = ip.IP(
        src=bytes([10, 77, 0, 2]), dst=SWITCH.packed, p=ip.IP_PROTO_ICMP, data=bytes(ping)
    )
    packet.len = len(packet)
    reply = received(services.answer(bytes(ethernet.Ethernet(src=A, dst=MAC, data=packet)), 0.0))
    assert reply.data.type == icmp.ICMP_ECHOREPLY
    assert (reply.data.data.id, reply.data.data.seq, reply.data.data.data) == (7, 9, b"payload")


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=120), st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x81\x00", b"\x86\xdd"])
)
def test_no_frame_breaks_them(data: bytes, kind: bytes) -> None:
    """Whatever a guest sends, there is an answer or none, and no error."""
    found = Services(Directory("10.77.0.0/24")).answer(ALL + A + kind + data, 0.0)
    assert found is None or len(found) >= 60


# DHCP


class Client:
    """A DHCP client, as RFC 2131 has it."""

    def __init__(self, services: Services, card: bytes) -> None:
        self.services = services
        self.card = card
        self.now = 0.0

    def ask(
        self, kind: int, *, ciaddr: str = NOTHING, flags: int = 0, **options: bytes
    ) -> dict[str, Any] | None:
        """Send a message; return what the answer says, or `None`."""
        numbers = {"wanted": dhcp.DHCP_OPT_REQ_IP, "server": dhcp.DHCP_OPT_SERVER_ID}
        message = dhcp.DHCP(
            xid=0x1234,
            flags=flags,
            ciaddr=int(IPv4Address(ciaddr)),
            chaddr=self.card.ljust(16, b"\0"),
            opts=[
                (dhcp.DHCP_OPT_MSGTYPE, bytes([kind])),
                *((numbers[name], value) for name, value in options.items()),
            ],
        )
        frame = sent(bytes(message), source=IPv4Address(ciaddr), target=EVERYBODY, ports=(68, 67))
        answer = self.services.answer(frame, self.now)
        if answer is None:
            return None
        packet = received(answer)
        assert (packet.data.sport, packet.data.dport) == (67, 68)
        reply: Any = dhcp.DHCP(bytes(packet.data.data))
        assert (reply.op, reply.xid, reply.chaddr) == (2, 0x1234, self.card)
        found = dict(reply.opts)
        assert found[dhcp.DHCP_OPT_SERVER_ID] == SWITCH.packed
        return {
            "kind": found[dhcp.DHCP_OPT_MSGTYPE][0],
            "ip": str(IPv4Address(reply.yiaddr)),
            "options": found,
            "to": packet.frame.dst,
            "to_ip": str(IPv4Address(packet.dst)),
        }

    def lease(self) -> str | None:
        """Go through the four messages; return the address."""
        offer = self.ask(dhcp.DHCPDISCOVER)
        if offer is None:
            return None
        assert offer["kind"] == dhcp.DHCPOFFER
        wanted = IPv4Address(offer["ip"]).packed
        ack = self.ask(dhcp.DHCPREQUEST, wanted=wanted, server=SWITCH.packed)
        assert ack is not None
        assert (ack["kind"], ack["ip"]) == (dhcp.DHCPACK, offer["ip"])
        return str(ack["ip"])


def test_members_have_their_own_address(services: Services) -> None:
    """With all that a guest needs, and no gateway: its way out is another card."""
    client = Client(services, mac(2))
    assert Client(services, A).lease() == "10.77.0.2"
    assert client.lease() == "10.77.0.50"
    ack = client.ask(dhcp.DHCPREQUEST, wanted=bytes([10, 77, 0, 50]))
    assert ack is not None
    options = ack["options"]
    assert options[dhcp.DHCP_OPT_NETMASK] == bytes([255, 255, 255, 0])
    assert options[dhcp.DHCP_OPT_DNS_SVRS] == SWITCH.packed
    assert (options[dhcp.DHCP_OPT_DOMAIN], options[dhcp.DHCP_OPT_HOSTNAME]) == (b"internal", b"B")
    assert options[dhcp.DHCP_OPT_LEASE_SEC] == struct.pack(">I", 86_400)
    assert dhcp.DHCP_OPT_ROUTER not in options
    assert services.dhcp.leases(0.0) == {}


def test_where_answers_go(services: Services) -> None:
    """To the card, unless it asks for a broadcast; to its address when it renews."""
    client = Client(services, A)
    offer = client.ask(dhcp.DHCPDISCOVER)
    assert offer is not None
    assert (offer["to"], offer["to_ip"]) == (A, "10.77.0.2")
    offer = client.ask(dhcp.DHCPDISCOVER, flags=0x8000)
    assert offer is not None
    assert (offer["to"], offer["to_ip"]) == (ALL, "255.255.255.255")
    renewed = client.ask(dhcp.DHCPREQUEST, ciaddr="10.77.0.2")
    assert renewed is not None
    assert (renewed["kind"], renewed["to_ip"]) == (dhcp.DHCPACK, "10.77.0.2")
    told = client.ask(dhcp.DHCPINFORM, ciaddr="10.77.0.2")
    assert told is not None
    assert (told["kind"], told["ip"]) == (dhcp.DHCPACK, NOTHING)
    assert dhcp.DHCP_OPT_LEASE_SEC not in told["options"]


def test_a_wrong_address_is_refused(services: Services) -> None:
    """A guest that remembers one of another network, or somebody else's, is told so."""
    for wanted in ("192.168.1.5", "10.77.0.50", "10.77.0.1", "10.77.0.255"):
        answer = Client(services, A).ask(
            dhcp.DHCPREQUEST, wanted=IPv4Address(wanted).packed, flags=0
        )
        assert answer is not None, wanted
        assert (answer["kind"], answer["ip"], answer["to"]) == (dhcp.DHCPNAK, NOTHING, ALL)


def test_strangers_get_what_is_free(services: Services) -> None:
    """The same one again, what they ask for if it is free, and it is free again when released."""
    first, second = Client(services, STRANGER), Client(services, mac(78))
    assert first.lease() == first.lease() == "10.77.0.254"
    assert second.lease() == "10.77.0.253"
    first.ask(dhcp.DHCPRELEASE, ciaddr="10.77.0.254")
    asked = Client(services, mac(79)).ask(dhcp.DHCPDISCOVER, wanted=bytes([10, 77, 0, 254]))
    assert asked is not None
    assert asked["ip"] == "10.77.0.254"
    # Of others nothing can be released, and a declined address is not given out for an hour.
    first.ask(dhcp.DHCPRELEASE, ciaddr="10.77.0.253")
    assert second.lease() == "10.77.0.253"
    second.ask(dhcp.DHCPDECLINE, wanted=bytes([10, 77, 0, 253]))
    assert second.lease() == "10.77.0.252"
    second.now = 3601.0
    assert Client(services, mac(80)).services.dhcp.leases(3601.0).keys() >= {
        IPv4Address("10.77.0.252")
    }


def test_another_servers_business(services: Services) -> None:
    """Who chose another server is left alone."""
    client = Client(services, A)
    assert client.ask(dhcp.DHCPREQUEST, server=bytes([10, 0, 0, 9])) is None


def test_a_small_network_runs_out_of_addresses() -> None:
    """Then there is no offer; after a day without a word addresses are free again."""
    services = Services(Directory("10.77.0.0/29"))
    clients = [Client(services, mac(100 + n)) for n in range(6)]
    assert [client.lease() for client in clients] == [
        *(f"10.77.0.{n}" for n in (6, 5, 4, 3, 2)),
        None,
    ]
    clients[5].now = 86_401.0
    assert clients[5].lease() == "10.77.0.6"


def test_an_offer_lasts_a_minute(services: Services) -> None:
    """What nobody came back for is offered to the next."""
    first, second = Client(services, STRANGER), Client(services, mac(78))
    offers = [client.ask(dhcp.DHCPDISCOVER) for client in (first, second)]
    assert [offer["ip"] for offer in offers if offer] == ["10.77.0.254", "10.77.0.253"]
    second.now = 61.0
    third = Client(services, mac(79))
    third.now = 61.0
    assert third.lease() == "10.77.0.254"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_no_message_breaks_dhcp(data: bytes) -> None:
    """Garbage is not answered; what begins as a message may be."""
    services = Services(Directory("10.77.0.0/24"))
    services.dhcp.answer(data, 0.0)
    whole = bytes(dhcp.DHCP(chaddr=A.ljust(16, b"\0"), opts=[]))[:240] + data
    found = services.dhcp.answer(whole, 0.0)
    assert found is None or len(found.data) >= 300


# DNS


def resolve(services: Services, name: str, kind: int = dns.DNS_A) -> tuple[int, list[str]]:
    """Ask the name server; return the code and the answers."""
    query: Any = dns.DNS(id=77, op=dns.DNS_RD)
    query.qd, query.an, query.ns, query.ar = [], [], [], []
    question = dns.DNS.Q(name=name, type=kind)
    query.qd.append(question)
    frame = sent(bytes(query), source=IPv4Address("10.77.0.2"), target=SWITCH, ports=(40_000, 53))
    packet = received(services.answer(frame, 0.0))
    assert (packet.data.sport, packet.data.dport) == (53, 40_000)
    reply: Any = dns.DNS(bytes(packet.data.data))
    assert (reply.id, reply.qr, reply.qd[0].name) == (77, 1, name)
    found = [str(IPv4Address(rr.ip)) if rr.type == dns.DNS_A else rr.ptrname for rr in reply.an]
    return reply.rcode, found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a", "10.77.0.2"),
        ("A", "10.77.0.2"),
        ("b", "10.77.0.50"),
        ("b.internal", "10.77.0.50"),
        ("B.Internal", "10.77.0.50"),
        ("switch", "10.77.0.1"),
    ],
)
def test_members_names(services: Services, name: str, wanted: str) -> None:
    """Alone or with the domain, in any case; and of a kind that they have not, there is nothing."""
    assert resolve(services, name) == (dns.DNS_RCODE_NOERR, [wanted])
    assert resolve(services, name, dns.DNS_AAAA) == (dns.DNS_RCODE_NOERR, [])


def test_names_and_addresses_that_are_none(services: Services) -> None:
    """Of its own domain it knows all; of the rest it says nothing, so that others are asked."""
    assert resolve(services, "c.internal") == (dns.DNS_RCODE_NXDOMAIN, [])
    for name in ("c", "example.com", "a.example.com", "5.1.168.192.in-addr.arpa"):
        assert resolve(services, name, dns.DNS_PTR if "arpa" in name else dns.DNS_A) == (
            dns.DNS_RCODE_REFUSED,
            [],
        )
    assert resolve(services, "9.0.77.10.in-addr.arpa", dns.DNS_PTR) == (dns.DNS_RCODE_NXDOMAIN, [])


def test_addresses_lead_back(services: Services) -> None:
    """A PTR question has the name with its domain."""
    assert resolve(services, "50.0.77.10.in-addr.arpa", dns.DNS_PTR) == (0, ["B.internal"])
    assert resolve(services, "1.0.77.10.in-addr.arpa", dns.DNS_PTR) == (0, ["switch.internal"])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_no_query_breaks_dns(data: bytes) -> None:
    """Garbage is answered or not, and no error."""
    server = Services(Directory("10.77.0.0/24")).dns
    for query in (data, b"\0\1\1\0\0\1\0\0\0\0\0\0" + data):
        found = server.answer(query)
        assert found is None or len(found) >= 12


# The directory, and all together


def test_what_a_directory_refuses(directory: Directory) -> None:
    """Names, addresses and networks that cannot be, or that are taken: with the reason."""
    for name in ("", "a b", "-x", "x" * 64, "a.b", "ä"):
        with pytest.raises(SettingsError, match="cannot be named"):
            directory.add(name, mac(9))
    for address in ("10.78.0.1", "10.77.0.0", "10.77.0.1", "10.77.0.255", "many"):
        with pytest.raises(SettingsError, match=address):
            directory.add("x", mac(9), address)
    taken: list[tuple[str, bytes, str | None]] = [
        ("A", mac(9), None),
        ("x", A, None),
        ("x", mac(9), "10.77.0.50"),
    ]
    for name, card, wanted in taken:
        with pytest.raises(AlreadyExistsError, match="already"):
            directory.add(name, card, wanted)
    assert len(directory) == 2
    for network in ("10.77.0.5/24", "fe80::/64", "10.0.0.0/8", "10.0.0.0/30", "x"):
        with pytest.raises(SettingsError):
            Directory(network)


def test_a_full_directory() -> None:
    """A /29 holds five members; one that leaves makes room, with the same address."""
    directory = Directory("10.77.0.0/29")
    given = [str(directory.add(f"m{n}", mac(n)).ip) for n in range(5)]
    assert given == [f"10.77.0.{n}" for n in range(2, 7)]
    with pytest.raises(SettingsError, match="full"):
        directory.add("more", mac(9))
    directory.remove("M2")
    directory.remove("m2")
    assert str(directory.add("more", mac(9)).ip) == "10.77.0.4"


def test_mac_addresses() -> None:
    """Both ways; what is none is refused."""
    assert mac_text(mac_bytes("08:00:27:AB:CD:EF")) == "08:00:27:ab:cd:ef"
    with pytest.raises(ValueError, match="MAC"):
        mac_bytes("08:00")


@pytest.fixture
def served(directory: Directory, clock: Clock) -> Iterator[Switch]:
    """Make a switch with services."""
    made = Switch(services=Services(directory), clock=clock)
    yield made
    made.close()


def test_answers_come_through_the_switch(served: Switch) -> None:
    """To who asked alone, and no fault meets them; the question for the switch goes to nobody."""
    served.faults.set("drop", 100)
    query = dns.DNS(id=1)
    query.qd, query.an, query.ns, query.ar = [dns.DNS.Q(name="b")], [], [], []
    question = sent(bytes(query), source=IPv4Address("10.77.0.2"), target=SWITCH, ports=(5000, 53))
    with Station(1) as a, Station(2) as b:
        a.plug(served, "a")
        b.plug(served, "b")
        a.send(question)
        served.step(1)
        reply: Any = dns.DNS(bytes(received(a.receive()).data.data))
        assert reply.an[0].ip == bytes([10, 77, 0, 50])
        assert (a.receive(), b.receive()) == (None, None)
