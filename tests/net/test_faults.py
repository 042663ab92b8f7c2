"""The faults: what they do, whom they meet, and that a run repeats."""

from __future__ import annotations

import pytest

from tests.net.conftest import frame, mac
from vboxkit.errors import SettingsError
from vboxkit.net import Faults

IP, ARP = 0x0800, 0x0806


def one(number: int = 0, *, kind: int = IP) -> bytes:
    """Return a frame that can be told from others."""
    return frame(mac(2), mac(1), number.to_bytes(4, "big"), kind=kind)


def passed(faults: Faults, count: int, *, source: str = "a", target: str = "b") -> list[int]:
    """Send so many frames; return the numbers of those that arrived."""
    return [n for n in range(count) if faults.apply(source, target, one(n), now=float(n))]


def test_without_faults_all_passes_at_once() -> None:
    """Nothing is set: nothing happens."""
    faults = Faults()
    assert not faults.active
    assert faults.apply("a", "b", one(), now=5.0) == [(5.0, one())]


def test_drop_all_and_none() -> None:
    """100 % lets nothing through, 0 % all."""
    faults = Faults()
    faults.set("drop", 100)
    assert passed(faults, 100) == []
    assert faults.counts["a", "b", "drop"] == 100
    faults.set("drop", 0)
    assert not faults.active
    assert passed(faults, 100) == list(range(100))


@pytest.mark.parametrize("percent", [1, 30, 99])
def test_drop_loses_about_as_many_as_it_says(percent: int) -> None:
    """Of 5,000 frames, within five standard deviations."""
    faults = Faults(seed=7)
    faults.set("drop", percent)
    lost = 5000 - len(passed(faults, 5000))
    share = percent / 100
    assert abs(lost - 5000 * share) < 5 * (5000 * share * (1 - share)) ** 0.5


def test_the_same_seed_repeats_and_another_does_not() -> None:
    """Decisions depend on the seed alone."""
    runs = []
    for seed in (3, 3, 4):
        faults = Faults(seed)
        faults.set("drop", 40)
        runs.append(passed(faults, 200))
    assert runs[0] == runs[1] != runs[2]


def test_what_else_is_going_on_does_not_shift_decisions() -> None:
    """Neither time, nor other pairs, nor ARP, nor another fault changes what is lost."""
    quiet = Faults(1)
    quiet.set("drop", 40, "a", "b")
    wanted = passed(quiet, 100)
    busy = Faults(1)
    busy.apply("a", "b", one(), now=0.0)  # before the fault was set
    busy.set("drop", 40, "a", "b")
    busy.set("duplicate", 50)
    busy.set("delay", 30, jitter=20)
    found = []
    for number in range(100):
        busy.apply("b", "a", one(), now=9.0)
        busy.apply("a", "c", one(), now=9.0)
        busy.apply("a", "b", one(kind=ARP), now=9.0)
        if busy.apply("a", "b", one(number), now=number * 17.3):
            found.append(number)
    assert found == wanted
    assert 0 < len(wanted) < 100


def test_setting_a_fault_again_hits_others_and_repeats_so() -> None:
    """A second `drop(40)` begins to count anew, with decisions of its own."""
    runs = []
    for _ in range(2):
        faults = Faults(1)
        faults.set("drop", 40)
        first = passed(faults, 200)
        faults.heal()
        assert passed(faults, 10) == list(range(10))
        faults.set("drop", 40)
        runs.append((first, passed(faults, 200)))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]


def test_the_most_special_counts() -> None:
    """A pair's setting counts more than a member's, and that more than the one for all."""
    faults = Faults()
    faults.set("drop", 100)
    faults.set("drop", 0, "c")
    faults.set("drop", 100, "c", "d")
    assert passed(faults, 1) == []
    assert passed(faults, 1, source="a", target="c") == [0]
    assert passed(faults, 1, source="c", target="a") == [0]
    assert passed(faults, 1, source="c", target="d") == passed(faults, 1, source="d", target="c")
    assert passed(faults, 1, source="d", target="c") == []


def test_what_is_unset_makes_no_exception() -> None:
    """Of a pair's fault that has ended nothing is left; one of 0 is an exception."""
    faults = Faults()
    faults.set("drop", 0, "a", "b")
    faults.set("drop", 100)
    assert len(passed(faults, 20)) == 20
    faults.unset("drop", "b", "a")
    assert passed(faults, 20) == []
    faults.unset("drop")
    faults.unset("drop")
    assert not faults.active
    assert len(passed(faults, 20)) == 20


def test_a_partition_and_its_end() -> None:
    """Groups do not hear each other; who is in none hears all; a new one replaces the old one."""
    faults = Faults()
    faults.partition([{"a"}, {"b", "c"}])

    def hear() -> set[str]:
        return {
            x + y for x in "abcd" for y in "abcd" if x < y and passed(faults, 1, source=x, target=y)
        }

    assert hear() == {"bc", "ad", "bd", "cd"}
    faults.partition([{"a", "b"}, {"c"}])
    assert hear() == {"ab", "ad", "bd", "cd"}
    faults.partition([])
    assert not faults.active
    faults.partition([{"a"}, {"b"}])
    faults.heal()
    assert len(hear()) == 6


def test_delay_and_jitter() -> None:
    """By what they say; and jitter lets nothing overtake."""
    faults = Faults()
    faults.set("delay", 80)
    ((due_at, data),) = faults.apply("a", "b", one(), now=1.0)
    assert due_at == pytest.approx(1.08)
    assert data == one()
    faults.set("delay", 50, jitter=40)
    due = [faults.apply("a", "b", one(n), now=n * 0.001)[0][0] for n in range(300)]
    assert due == sorted(due)
    waits = [late - n * 0.001 for n, late in enumerate(due)]
    assert 0.01 <= min(waits) < 0.05 < max(waits) <= 0.09
    spread = [faults.apply("a", "b", one(n), now=n * 10.0)[0][0] - n * 10 for n in range(300)]
    assert len(set(spread)) > 200


def test_duplicate() -> None:
    """The same frame, twice."""
    faults = Faults()
    faults.set("duplicate", 100)
    assert faults.apply("a", "b", one(), now=0.0) == [(0.0, one())] * 2


def test_reorder_lets_later_ones_overtake() -> None:
    """Some are held back; none is lost."""
    faults = Faults(1)
    faults.set("reorder", 30)
    due = [(faults.apply("a", "b", one(n), now=n * 0.01)[0][0], n) for n in range(100)]
    order = [n for _, n in sorted(due)]
    assert sorted(order) == list(range(100)) != order


def test_corrupt_turns_one_bit_behind_the_header() -> None:
    """So that it arrives where it was to go; and the same bit with the same seed."""
    runs = []
    for _ in range(2):
        faults = Faults(5)
        faults.set("corrupt", 100)
        runs.append([faults.apply("a", "b", one(n), now=0.0)[0][1] for n in range(50)])
    assert runs[0] == runs[1]
    places = set()
    for number, changed in enumerate(runs[0]):
        before = one(number)
        assert len(changed) == len(before)
        assert changed[:14] == before[:14]
        turned = int.from_bytes(changed, "big") ^ int.from_bytes(before, "big")
        assert turned.bit_count() == 1
        places.add(turned)
    assert len(places) > 10
    header = one()[:14]
    assert faults.apply("a", "b", header, now=0.0)[0][1] == header


def test_bandwidth_is_that_of_a_line() -> None:
    """Frames leave one after the other, each direction by itself; a second's worth waits."""
    faults = Faults()
    faults.set("bandwidth", 80, "a", "b")  # 10,000 bytes a second
    data = frame(mac(2), mac(1), bytes(986))
    found = [faults.apply("a", "b", data, now=0.0) for _ in range(15)]
    due = [it[0][0] for it in found if it]
    assert due == pytest.approx([0.1 * n for n in range(1, len(due) + 1)])
    assert len(due) in {11, 12}
    assert faults.counts["a", "b", "overrun"] == 15 - len(due)
    assert faults.apply("b", "a", data, now=0.0)[0][0] == pytest.approx(0.1)
    assert faults.apply("a", "b", data, now=60.0)[0][0] == pytest.approx(60.1)
    assert faults.apply("a", "c", data, now=0.0)[0][0] == 0.0


@pytest.mark.parametrize(
    ("kind", "amount", "between", "words"),
    [
        ("dorp", 1, (), "one of drop"),
        ("drop", 101, (), "0 to 100 percent"),
        ("drop", -1, (), "0 to 100 percent"),
        ("drop", float("nan"), (), "0 to 100 percent"),
        ("delay", float("inf"), (), "0 or more ms"),
        ("bandwidth", -5, (), "0 or more kbit/s"),
        ("drop", 1, ("a", "a"), "two members"),
        ("drop", 1, ("a", "b", "c"), "two members"),
    ],
)
def test_what_cannot_be(kind: str, amount: float, between: tuple[str, ...], words: str) -> None:
    """Refused with what could be, and nothing is set."""
    faults = Faults()
    with pytest.raises(SettingsError) as caught:
        faults.set(kind, amount, *between)
    assert words in str(caught.value)
    assert not faults.active


@pytest.mark.parametrize("groups", [[{"a", "b"}], [{"a"}, {"a", "b"}]])
def test_partitions_that_cannot_be(groups: list[set[str]]) -> None:
    """One group alone, and a member in two."""
    faults = Faults()
    with pytest.raises(SettingsError):
        faults.partition(groups)
    assert not faults.active
