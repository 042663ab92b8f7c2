"""The fixture `vm_network`: machines on a network, its faults, its report, and no trace of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dpkt import ethernet, pcap

from vboxkit.com.installation import driver_available
from vboxkit.core import processes
from vboxkit.core.waiting import wait_until

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


@pytest.mark.skipif(driver_available(), reason="with the driver machines start")
def test_of_virtualbox_own_at_rest(net_run: Runs) -> None:
    """What can be seen of it without the driver: wires and addresses, and the way back."""
    net_run.pytester.makepyfile(
        """
        import pytest
        from vboxkit.errors import AlreadyExistsError, DriverNeededError

        def wire(vm):
            adapter = vm.network[1]
            return adapter.attachment, adapter.network, adapter.cable_connected

        def test_wires(vm_factory, vm_lab):
            one, two = vm_factory.many(2)
            for vm in (one, two):
                vm.power_off()
            lans = [vm_lab.network("lan", kind="internal") for _ in range(2)]
            with lans[0] as net, lans[1] as other:
                b = net.add(two, name="b", ip="10.77.0.9")
                with pytest.raises(AlreadyExistsError):
                    net.add(one, name="a", ip="10.77.0.9")
                a = net.add(one, name="a")
                assert (a.ip, b.ip) == ("10.77.0.2", "10.77.0.9")
                assert wire(one) == wire(two)
                kind, network, cable = wire(one)
                assert (kind, cable) == ("Internal", True)
                assert network.startswith("vboxkit-lan-")
                net.remove("a")
                other.add(one, name="a")
                assert wire(one)[1] != network
                with pytest.raises(DriverNeededError, match="network adapter 1 is attached as"):
                    one.start()
            for vm in (one, two):
                assert (vm.network[1].attachment, vm.network[1].cable_connected) == ("NAT", False)
                vm.start()
                vm.wait_ready()
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


def test_workers_have_networks_of_their_own(net_run: Runs) -> None:
    """
    Two workers at the same time, each with a network: of one name, with the same addresses.

    Each machine hears the one of its own worker, what is dropped for one goes through for the
    other, and neither a switch nor a port is left.
    """
    pytest.importorskip("xdist")
    net_run.pytester.makepyfile(
        """
        import pytest
        from pathlib import Path
        from vboxkit.core.waiting import wait_until

        @pytest.mark.parametrize("mine", ["one", "two"])
        def test_apart(vm_network, mine, worker_id):
            net = vm_network(["web", "client"], ips={"web": "10.77.0.80"})
            (other,) = {"one", "two"} - {mine}
            net["web"].ssh.succeed(f"echo {mine} > /root/index.html && httpd -h /root")
            assert net["client"].ssh.wait_until_succeeds("wget -qO- http://web/") == f"{mine}\\n"
            meet(mine, other, "up")
            # Both are up: what each one hears is its own.
            assert net["client"].ssh.succeed("wget -qO- http://10.77.0.80/") == f"{mine}\\n"
            if mine == "one":
                net.drop(100)
            meet(mine, other, "dropped")
            assert net["client"].ssh.run("ping -c 1 -W 2 web").ok == (mine == "two")
            assert (net.counts().get(("client", "web", "drop"), 0) > 0) == (mine == "one")
            Path("workers.txt").open("a").write(f"{worker_id}\\n")
            meet(mine, other, "over")

        def meet(mine, other, word):
            Path(f"{word}-{mine}").touch()
            wait_until(
                lambda: True if Path(f"{word}-{other}").exists() else None,
                what=f"the other worker to be {word}",
                timeout=90,
            )
        """
    )
    net_run("--vm-required", "-n2").assert_outcomes(passed=2)
    assert set((net_run.pytester.path / "workers.txt").read_text().split()) == {"gw0", "gw1"}
    assert switches() == 0


def test_a_killed_worker_takes_its_network_along(net_run: Runs) -> None:
    """A worker that is killed costs one test; its switch ends, and the other's goes on."""
    pytest.importorskip("xdist")
    net_run.pytester.makepyfile(
        """
        import os, signal
        from pathlib import Path
        from vboxkit.core.waiting import wait_until

        def test_bad(vm_network):
            vm_network(["a"])
            wait_until(lambda: Path("up").exists() or None, what="the other", timeout=90)
            os.kill(os.getpid(), signal.SIGKILL)

        def test_good(vm_network):
            net = vm_network(["a", "b"])
            Path("up").touch()
            net["a"].ssh.run("sleep 5")
            assert net["a"].ssh.run("ping -c 1 b").ok
        """
    )
    net_run("--vm-required", "-n2").assert_outcomes(passed=1, failed=1)
    wait_until(lambda: None if switches() else True, what="the switch to end", timeout=10)
    wait_until(
        lambda: None if net_run.look()["leases"] else True,
        what="the machines to be removed",
        timeout=30,
        poll=1,
    )


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
