"""`vboxkit bench` without a machine: rows, comparisons, files, words, and what a guest shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.cli.__main__ import main
from vboxkit.cli.bench import _shortened, figure, share
from vboxkit.errors import SettingsError
from vboxkit.lab.measurement import (
    GROUPS,
    Check,
    Measurement,
    Row,
    check_groups,
    compare,
    load,
    save,
)
from vboxkit.lab.measuring_hardware import Sight, _instructions
from vboxkit.lab.measuring_work import WORKS, HostPlace, WorkFailedError, rows

if TYPE_CHECKING:
    from vboxkit.lab.measuring_work import Work


def measurement(*rows: Row) -> Measurement:
    """Return a measurement of these rows."""
    return Measurement(
        name="tiny",
        where="a fork",
        taken=1.0,
        runs=2,
        emulated=True,
        virtualbox="7.2",
        host={"cpus": "2"},
        rows=list(rows),
        checks=[],
    )


def row(name: str, *values: float, unit: str = "MB/s", group: str = "cpu", **more: Any) -> Row:
    """Return a row."""
    return Row(group=group, name=name, unit=unit, values=list(values), **more)


def test_a_share_of_the_host_is_of_pairs() -> None:
    """The median of the pairs' ratios; without a host's values there is none."""
    it = row("x", 1.0, 2.0, 9.0, host_values=[10.0, 10.0, 10.0])
    assert (it.median, it.host, it.of_host) == (2.0, 10.0, 0.2)
    assert row("x", 1.0).of_host is None
    assert row("x").median is None


@pytest.mark.parametrize(
    ("then", "now", "unit", "verdict"),
    [
        ([1.0, 1.2], [1.3, 1.4], "MB/s", "better"),
        ([1.0, 1.2], [1.3, 1.4], "ms", "worse"),
        ([1.0, 1.2], [0.8, 0.9], "MB/s", "worse"),
        ([1.0, 1.2], [0.8, 0.9], "s", "better"),
        ([1.0, 1.2], [1.1, 3.0], "MB/s", "same"),
        ([], [1.1, 3.0], "MB/s", "not measured"),
    ],
)
def test_compared(then: list[float], now: list[float], unit: str, verdict: str) -> None:
    """A rate is better if it is more, a time if it is less; what overlaps is the same."""
    later, earlier = row("x", *now, unit=unit), row("x", *then, unit=unit)
    (found,) = compare(measurement(later), measurement(earlier))
    assert found.verdict == verdict
    if then:
        assert found.ratio == pytest.approx(sum(now) / sum(then))


def test_only_groups_of_now_are_compared() -> None:
    """Rows of another group do not clutter it; one of the same group that is gone is told."""
    then = measurement(row("a", 1.0), row("b", 1.0), row("c", 1.0, group="disk"))
    found = compare(measurement(row("b", 2.0), row("d", 2.0)), then)
    assert [it.key for it in found] == ["cpu: b", "cpu: d", "cpu: a"]
    assert [it.verdict for it in found] == ["better", "not measured", "not measured"]


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Saved and loaded it is the same."""
    it = measurement(row("x", 1.5, host_values=[2.5], note="é"))
    assert load(save(it, tmp_path / "a.json")) == it


@pytest.mark.parametrize(
    "text", ["", "[]", '{"name": "x"}', "\xff", '{"rows": [{"values": ["a"]}]}']
)
def test_a_file_that_holds_none(tmp_path: Path, text: str) -> None:
    """Another file is a typed error that names it."""
    file = tmp_path / "b.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"b\.json holds no measurement"):
        load(file)


def test_values_that_cannot_be(tmp_path: Path) -> None:
    """A figure of 0 or less would be divided by."""
    file = save(measurement(row("x", 0.0)), tmp_path / "c.json")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(file)


def test_groups() -> None:
    """In their order, all of them if none is named; a wrong one is an error with the right ones."""
    assert check_groups(["disk", "cpu"]) == ("cpu", "disk")
    assert check_groups([]) == GROUPS
    with pytest.raises(SettingsError, match="'gpu'") as error:
        check_groups(["cpu", "gpu"])
    assert "disk" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--only", "gpu"], "there is nothing to measure of the name 'gpu'"),
        (["--runs", "0"], "--runs"),
        (["--plot", "x.gif"], "neither a .png nor a .svg"),
        (["--save", "missing/x.json"], "there is no folder"),
    ],
)
def test_wrong_usage(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anything is looked for."""
    assert main(["bench", "tiny", *words]) == 2
    assert text in capsys.readouterr().err.replace("\n", " ")


def test_figures_for_people() -> None:
    """Three digits that count; parts of the host's speed in percent."""
    assert [figure(it) for it in (None, 0.0123, 1.0, 12.34, 543458.5)] == [
        "-", "0.0123", "1.00", "12.3", "543,458",
    ]  # fmt: skip
    assert [share(it) for it in (None, 0.00034, 0.5, 1.02, 3.0)] == [
        "", "0.034 %", "50 %", "102 %", "3.0 x",
    ]  # fmt: skip
    assert _shortened(["avx", "avx512f", "avx512bw", "clflushopt"]) == [
        "avx", "avx512* (2)", "clflushopt",
    ]  # fmt: skip


def test_verdicts() -> None:
    """As configured, what is missing, or that it is not known."""
    assert Check(name="x", configured="1", seen="1").verdict == "as configured"
    assert Check(name="x", configured="1", seen="0", missing=["a"], note="b").verdict == (
        "missing: a; b"
    )
    assert Check(name="x", configured="1", seen="", known=False).verdict == "not known"


def test_what_a_guest_shows() -> None:
    """CPUs, RAM, disks without loops, cards without the loopback, USB devices without hubs."""
    sight = Sight(
        {
            "cpu": ["processor : 0", "flags : sse2 constant_tsc", "processor : 1"],
            "memory": ["MemTotal:  55000 kB"],
            "iomem": ["00001000-0009fbff : System RAM", "00100000-03feffff : System RAM"],
            "disks": ["sda 1048576", "loop0 8", "sr0 2097151"],
            "cards": [
                "lo 00:00:00:00:00:00 1",
                "eth0 08:00:27:aa:bb:cc 1",
                "eth1 08:00:27:00:00:01",
            ],
            "usb": ["1d6b:0002", "046d:c52b"],
        }
    )
    assert (sight.cpus, sight.flags, sight.ram_mb) == (2, {"sse2"}, (64, True))
    assert (sight.disks, sight.drives) == ({"sda": 512 << 20}, 1)
    assert sight.cards == {"eth0": ("080027AABBCC", "1"), "eth1": ("080027000001", "")}
    assert sight.usb == ["046d:c52b"]
    # Who is not root sees zeros.
    sight.parts["iomem"] = ["00000000-00000000 : System RAM"]
    assert sight.ram_mb == (53, False)
    host = Sight({"cpu": ["flags : sse2 avx2 constant_tsc"]})
    assert _instructions(sight, host).missing == ["avx2"]


def _cheap(work: Work) -> bool:
    return work.group in {"cpu", "disk"}


def test_the_host_does_the_work(tmp_path: Path) -> None:
    """Each shell line runs here as well; files stay within the limits, in the folder."""
    host = HostPlace(tmp_path / "host", {"disk": 64, "ram": 64}, "dash", "1")
    guest = HostPlace(tmp_path / "guest", {"disk": 64, "ram": 64}, "dash", "1")
    for place in (host, guest):
        place.variables["mem"] = place.variables["dir"] + "/mem"
    found = list(rows([it for it in WORKS if _cheap(it)], guest, host, runs=1))
    assert [it.note for it in found if "not" in it.note] == []
    assert all(it.median and it.host for it in found)
    assert max(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= 64 << 16


def test_work_that_fails_is_told(tmp_path: Path) -> None:
    """A row without values says why: no room, or what the tool said."""
    place = HostPlace(tmp_path, {"disk": 0, "ram": 0}, "dash", "1")
    (found, *_) = rows([it for it in WORKS if it.name == "write with fsync"], place, None, runs=1)
    assert (found.values, found.note) == ([], "not measured: too little room: 0 blocks of 64 KiB")
    with pytest.raises(WorkFailedError, match="no-such-tool"):
        place.clock("echo vbk-begin; no-such-tool; echo vbk-end $?")
