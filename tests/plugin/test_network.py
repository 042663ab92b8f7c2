"""The fixture `vm_network`: machines on a network, its faults, its report, and no trace of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dpkt import ethernet, pcap

from vboxkit.com.installation import driver_available
from vboxkit.core import processes

if TYPE_CHECKING:
    from tests.plugin.conftest import Runs

pytestmark = pytest.mark.vm


def switches() -> int:
    """Return how many switches run in the folder of this test."""
    found = processes.find(argument="vboxkit.net.server", environment={"VBK_RUN": str(Path.cwd())})
    return len(list(found))


@pytest.fixture
def net_run(vm_run: Runs, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Start runs whose switches can be told from others."""
    monkeypatch.setenv("VBK_RUN", str(Path.cwd()))
    return vm_run


def test_by_name_and_address(net_run: Runs) -> None:
    """As in the fixture's own example; with an address that was asked for; two networks."""
    net_run.pytester.makepyfile(
        """
        def test_two(vm_network, vm_lab):
            net = vm_network(["web", "db"], ips={"web": "10.77.0.80"})
            assert (net["web"].ip, net["db"].ip) == ("10.77.0.80", "10.77.0.2")
            for name in ("db", net["db"].ip):
                assert net["web"].ssh.run(f"ping -c 1 {name}").ok
            with net.partition({"web"}, {"db"}):
                assert net.faults == ["partition {web} from {db}"]
                assert not net["web"].ssh.run("ping -c 1 -W 1 db").ok
            assert net.faults == []
            assert net["web"].ssh.run("ping -c 1 db").ok
            with net.drop(100):
                with net.drop(0, "web", "db"):
                    assert net["web"].ssh.run("ping -c 1 db").ok
                assert not net["web"].ssh.run("ping -c 1 -W 1 db").ok
            other = vm_network(["lone"])
            assert not other["lone"].ssh.run("ping -c 1 -W 1 10.77.0.80").ok
            assert other.name == "lan-2"
        """
    )
    net_run("--vm-required").assert_outcomes(passed=1)
    assert switches() == 0


def test_a_failure_tells_the_seed_and_keeps_the_frames(net_run: Runs) -> None:
    """The seed is that of the test in each run; frames only of those that failed and asked."""
    net_run.pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.parametrize("fails", [False, True])
        def test_lossy(vm_network, fails):
            net = vm_network(["a", "b"], pcap=True)
            net.drop(40, "a", "b")
            net["a"].ssh.run("ping -c 3 -i 0.2 -W 1 b")
            assert not fails

        def test_given(vm_network):
            vm_network(["a"], seed=7)
            assert 0
        """
    )
    seeds = []
    for _ in range(2):
        result = net_run("--vm-required", "--vm-artifacts=art", "-k", "True or given")
        result.assert_outcomes(failed=2)
        text = result.stdout.str()
        seeds.append(re.findall(r"vm_network\(\.\.\., seed=(\d+)\)", text))
        result.stdout.fnmatch_lines(
            ["*- vm network lan -*", "a  10.77.0.2  *", "faults: drop 40 %*"]
        )
    assert seeds[0] == seeds[1]
    assert seeds[0][1] == "7"
    net_run("--vm-required", "--vm-artifacts=art", "-k", "False").assert_outcomes(passed=1)
    found = list((net_run.pytester.path / "art").rglob("*.pcap"))
    assert [path.parent.name for path in found] == ["test_it.py-test_lossy[True]"]
    with found[0].open("rb") as file:
        frames = [ethernet.Ethernet(data) for _, data in pcap.Reader(file)]
    assert any(frame.type == ethernet.ETH_TYPE_IP for frame in frames)
    assert switches() == 0


def test_wrong_arguments(net_run: Runs) -> None:
    """Each is refused with what is right, and leaves no machine and no switch."""
    net_run.pytester.makepyfile(
        """
        import pytest
        from vboxkit.errors import SettingsError

        @pytest.mark.parametrize(("names", "more", "words"), [
            ("web", {}, r"vm_network\\(\\['web', 'db'\\]\\)"),
            ([], {}, "a list of different names"),
            (["a", "a"], {}, "a list of different names"),
            (["a"], {"kind": "bus"}, "one of udp, internal"),
            (["a"], {"ips": {"b": "10.77.0.9"}}, "one of a"),
            (["a"], {"ips": {"a": "10.78.0.9"}}, "10.78.0.9"),
            (["a"], {"subnet": "x"}, "no IPv4 network"),
            (["a b"], {}, "a b"),
        ])
        def test_refused(vm_network, names, more, words):
            with pytest.raises(SettingsError, match=words):
                vm_network(names, **more)

        def test_image_without_adapter(vm_network, vm_lab):
            with pytest.raises(SettingsError, match="adapters=2"):
                vm_network(["a"], image=vm_lab.image("tiny"))
        """
    )
    net_run("--vm-required").assert_outcomes(passed=9)
    assert switches() == 0


@pytest.mark.skipif(driver_available(), reason="with the driver it works")
def test_of_virtualbox_own(net_run: Runs) -> None:
    """It needs the driver, and says so."""
    net_run.pytester.makepyfile(
        """
        import pytest
        from vboxkit.errors import DriverNeededError

        def test_internal(vm_network):
            with pytest.raises(DriverNeededError):
                vm_network(["a", "b"], kind="internal")
        """
    )
    net_run("--vm-required").assert_outcomes(passed=1)


def test_the_markers_hold(net_run: Runs) -> None:
    """Memory, steps of the image and isolation: the switch is then the only way in or out."""
    net_run.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def vm_provision():
            return ["echo step > /root/step"]
        """
    )
    net_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.vm(memory_mb=80)
        def test_memory(vm_network):
            net = vm_network(["a"])
            assert net["a"].vm.memory_mb == 80
            assert net["a"].ssh.succeed("cat /root/step") == "step\\n"

        @pytest.mark.vm(network="isolated")
        def test_apart(vm_network):
            net = vm_network(["a", "b"])
            assert [it.vm.network[0].cable_connected for it in net] == [False, False]
            assert [it.vm.network[1].cable_connected for it in net] == [True, True]
        """
    )
    net_run("--vm-required").assert_outcomes(passed=2)


def test_a_killed_run_leaves_nothing(net_run: Runs) -> None:
    """Neither a switch nor a machine, once the next run has begun."""
    net_run.pytester.makepyfile(
        test_hang="""
        from pathlib import Path

        def test_hang(vm_network):
            net = vm_network(["a", "b"], pcap=True)
            Path("there").touch()
            net["a"].ssh.run("sleep 600")
        """,
        test_next="def test_next(vm_lab): pass",
    )
    killed = net_run.start("--vm-required", "test_hang.py")
    net_run.wait_for("there", killed)
    assert switches() == 1
    killed.kill()
    killed.wait(30)
    net_run("--vm-required", "test_next.py").assert_outcomes(passed=1)
    assert switches() == 0
