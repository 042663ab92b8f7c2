"""The switch, with plain UDP sockets as machines."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from dpkt import pcap

from tests.net.conftest import ALL, Clock, Station, frame, mac
from vboxkit.errors import AlreadyExistsError
from vboxkit.net.capture import Capture
from vboxkit.net.services import MAC
from vboxkit.net.table import MacTable

if TYPE_CHECKING:
    from pathlib import Path

    from vboxkit.net import Switch


def test_what_is_for_all_comes_to_all_others(switch: Switch, stations: list[Station]) -> None:
    """A broadcast or multicast frame comes to everybody but who sent it."""
    a, b, c = stations
    for target in (ALL, bytes.fromhex("01005e000001")):
        sent = frame(target, a.mac, b"hello")
        a.send(sent)
        switch.step(1)
        assert (a.receive(), b.receive(), c.receive()) == (None, sent, sent)


def test_it_learns(switch: Switch, stations: list[Station]) -> None:
    """What is for a card that was not heard yet goes to all; once it was, to its port alone."""
    a, b, c = stations
    first = frame(b.mac, a.mac, b"who are you")
    a.send(first)
    switch.step(1)
    assert (b.receive(), c.receive()) == (first, first)
    answer = frame(a.mac, b.mac, b"b")
    b.send(answer)
    switch.step(1)
    assert (a.receive(), c.receive()) == (answer, None)
    a.send(first)
    switch.step(1)
    assert (b.receive(), c.receive()) == (first, None)


def test_a_card_that_moves_is_found_again(switch: Switch, stations: list[Station]) -> None:
    """The port at which it was heard last counts."""
    a, b, c = stations
    b.send(frame(ALL, mac(9)))
    switch.step(1)
    c.send(frame(ALL, mac(9)))
    switch.step(1)
    for station in stations:
        while station.receive() is not None:
            pass
    sent = frame(mac(9), a.mac)
    a.send(sent)
    switch.step(1)
    assert (b.receive(), c.receive()) == (None, sent)


def test_what_it_has_learnt_ages(switch: Switch, stations: list[Station], clock: Clock) -> None:
    """After 300 s without a frame of it a card may be anywhere."""
    a, b, c = stations
    b.send(frame(a.mac, b.mac))
    switch.step(1)
    c.receive()
    sent = frame(b.mac, a.mac)
    clock.now += 299
    a.send(sent)
    switch.step(1)
    assert (b.receive(), c.receive()) == (sent, None)
    clock.now += 2
    a.send(sent)
    switch.step(1)
    assert (b.receive(), c.receive()) == (sent, sent)


def test_the_table_has_a_bound() -> None:
    """A guest that makes addresses up pushes the oldest out."""
    table = MacTable(most=3)
    for number in range(5):
        table.learn(mac(number), "a", now=0.0)
    table.learn(mac(2), "b", now=0.0)
    table.learn(mac(7), "a", now=0.0)
    assert len(table) == 3
    assert [table.find(mac(n), 0.0) for n in (1, 2, 3, 4, 7)] == [None, "b", None, "a", "a"]


def test_strangers_are_not_heard(switch: Switch, stations: list[Station]) -> None:
    """The port of a machine takes nothing from another socket."""
    a, b, _ = stations
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(frame(ALL, mac(66)), ("127.0.0.1", a.end))
    a.send(frame(ALL, a.mac, b"mine"))
    switch.step(1)
    assert b.receive() == frame(ALL, a.mac, b"mine")
    assert b.receive() is None
    assert switch.counts["a", "received"] == 1


def test_a_machine_that_is_off_is_no_error(switch: Switch, stations: list[Station]) -> None:
    """Its port goes on, and what is sent once it is back arrives, from the first frame on."""
    a, b, c = stations
    b.socket.close()
    for _ in range(3):
        a.send(frame(ALL, a.mac))
        switch.step(1)
        assert c.receive() is not None
    b.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    b.socket.bind(("127.0.0.1", b.port))
    sent = frame(ALL, a.mac, b"welcome back")
    a.send(sent)
    switch.step(1)
    assert b.receive() == sent
    b.send(frame(ALL, b.mac, b"here"))
    switch.step(1)
    assert a.receive() == frame(ALL, b.mac, b"here")


def test_large_frames_and_bits_of_them(switch: Switch, stations: list[Station]) -> None:
    """Jumbo frames pass whole; what is no frame at all does not."""
    a, b, _ = stations
    large = frame(ALL, a.mac, bytes(9000))
    for sent in (b"", b"short", large):
        a.send(sent)
    switch.step(1)
    assert b.receive() == large
    assert b.receive() is None
    assert switch.counts["a", "runt"] == 2


def test_nobody_plays_the_switch(switch: Switch, stations: list[Station]) -> None:
    """A machine that sends with the switch's own address is not heard."""
    a, b, _ = stations
    a.send(frame(ALL, MAC))
    switch.step(1)
    assert b.receive() is None
    assert switch.counts["a", "forged"] == 1


def test_ports_come_and_go(switch: Switch, stations: list[Station]) -> None:
    """A name is there once; one that was removed gets nothing more, and its number is free."""
    a, b, c = stations
    with pytest.raises(AlreadyExistsError, match="'b'"):
        switch.add_port("b", 20_000)
    b.send(frame(ALL, b.mac))
    switch.step(1)
    switch.remove_port("b")
    switch.remove_port("b")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", b.end))
    for station in stations:
        while station.receive() is not None:
            pass
    sent = frame(b.mac, a.mac)
    a.send(sent)
    switch.step(1)
    assert (b.receive(), c.receive()) == (None, sent)


def test_a_delay_holds_frames_back(switch: Switch, stations: list[Station], clock: Clock) -> None:
    """They come in their order when the time is up, and not to a port that has gone meanwhile."""
    a, b, c = stations
    switch.faults.set("delay", 100, "a", "b")
    for number in range(3):
        a.send(frame(ALL, a.mac, bytes([number])))
    switch.step(1)
    assert [c.receive() is not None for _ in range(3)] == [True] * 3
    clock.now += 0.099
    switch.step(0)
    assert b.receive() is None
    clock.now += 0.002
    switch.step(0)
    assert [b.receive() for _ in range(3)] == [frame(ALL, a.mac, bytes([n])) for n in range(3)]
    a.send(frame(ALL, a.mac))
    switch.step(1)
    switch.remove_port("b")
    clock.now += 1
    switch.step(0)
    assert b.receive() is None


def test_a_recording_has_all_that_was_sent(
    switch: Switch, stations: list[Station], tmp_path: Path
) -> None:
    """Also what a fault then dropped; readers see it at once, and whole."""
    a, _, _ = stations
    switch.capture = Capture(tmp_path / "x.pcap")
    switch.faults.set("drop", 100)
    sent = [frame(ALL, a.mac, bytes([n]) * (n * 100)) for n in range(20)]
    for one in sent:
        a.send(one)
    switch.step(1)
    with (tmp_path / "x.pcap").open("rb") as file:
        reader = pcap.Reader(file)
        found = [(time, data) for time, data in reader]
    assert reader.datalink() == pcap.DLT_EN10MB
    assert [data for _, data in found] == sent
    assert found == sorted(found, key=lambda item: item[0])
