"""``vboxkit replay``: the state in which a test failed, again and again."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core.waiting import wait_until
from vboxkit.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plugin.conftest import Runs

pytestmark = pytest.mark.vm

Done = subprocess.CompletedProcess[str]


class Shell:
    """A shell of the user's: in another folder, without the environment of the run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {name: value for name, value in environment().items() if name != "VBOXKIT_HOME"}

    def __call__(self, line: str, stdin: str = "") -> Done:
        """Run what was pasted."""
        return subprocess.run(  # noqa: S602 - a shell is what is tested
            line,
            shell=True,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
            cwd=self.folder,
            env=self.env,
        )

    def out(self, line: str, stdin: str = "") -> str:
        """Run what was pasted, and return what it writes; it must succeed."""
        done = self(line, stdin)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, line: str) -> Any:
        """Run what was pasted with ``--json``."""
        return json.loads(self.out(f"{line} --json"))


@pytest.fixture
def shell(vm_run: Runs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Give a shell; what was kept is removed at the end."""
    yield Shell(tmp_path_factory.mktemp("elsewhere"))
    vm_run.look("gc-kept")


def _pasted(result: pytest.RunResult, what: str) -> list[str]:
    """Return the commands that the summary shows."""
    return re.findall(rf"^ *{what}: (.+)$", result.stdout.str(), re.MULTILINE)


def test_again_and_again(vm_run: Runs, shell: Shell) -> None:
    """The state of the moment of the failure, whatever teardown and those who looked did to it."""
    vm_run.pytester.makepyfile(
        test_web="""
        import pytest

        @pytest.fixture
        def server(vm):
            yield vm
            vm.ssh.succeed("echo cleaned up > /root/state")

        @pytest.mark.parametrize("word", ["it's one"])
        def test_reload(server, word):
            server.ssh.succeed("echo broken > /root/state")
            assert False

        def test_good(vm):
            pass
        """
    )
    result = vm_run("--vm-keep=failed")
    result.assert_outcomes(passed=1, failed=1)
    (get_in,) = _pasted(result, "get in")
    (replay,) = _pasted(result, "replay")
    assert shell.out(f"{get_in} -- cat /root/state") == "cleaned up\n"

    said = shell.out(replay)
    (get_in_fork,) = re.findall(r"get in: (.+)", said)
    assert shell.out(f"{get_in_fork} -- cat /root/state") == "broken\n"
    shell.out(f"{get_in_fork} -- rm /root/state")

    command = replay.partition(" replay ")[0]
    (second,) = shell.json(f"{command} replay test_reload --name second")
    assert second["name"] == "second"
    assert second["answers"]
    assert shell.out(f"{command} ssh second -- cat /root/state") == "broken\n"
    assert shell.out(f"{command} replay reload --ssh", "cat /root/state\n") == "broken\n"

    # What is kept stays, and the fork of --ssh, whose owner has ended, does not.
    shell.out(f"{command} gc")
    (row,) = shell.json(f"{command} replay")
    assert row["test"] == "test_web.py::test_reload[it's one]"
    assert get_in.endswith(f" ssh {row['machine']}")
    assert (row["state"], row["failed"]) == ("Running", True)
    assert "second" in row["forks"]
    assert len(row["forks"]) == 2
    assert "test_reload" in shell.out(f"{command} replay")
    assert set(vm_run.look()["machines"]) >= {row["machine"], *row["forks"]}

    removed = shell.json(f"{replay} --rm")["removed"]
    assert set(removed) == {row["machine"], *row["forks"]}
    assert shell.json(f"{command} replay") == []
    vm_run.assert_nothing_left()


def test_in_any_state(vm_run: Runs, shell: Shell) -> None:
    """Paused, saved, and powered off since: each can be replayed; powered off before: an error."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def off_later(vm):
            yield vm
            vm.power_off()

        def test_later(off_later):
            off_later.ssh.succeed("touch /root/here")
            assert False

        @pytest.mark.parametrize("verb", ["pause", "save_state", "power_off"])
        def test_it(vm, verb):
            vm.ssh.succeed("touch /root/here")
            getattr(vm, verb)()
            assert False
        """
    )
    result = vm_run("--vm-keep=failed")
    result.assert_outcomes(failed=4)
    lines = {line.rpartition("test_")[2].rstrip("'"): line for line in _pasted(result, "replay")}
    assert set(lines) == {"later", "it[pause]", "it[save_state]"}
    for line in lines.values():
        assert shell.out(f"{line} --ssh", "test -e /root/here && echo yes\n") == "yes\n"
    command = lines["later"].partition(" replay ")[0]
    states = {
        row["test"].rpartition("::")[2]: row["state"] for row in shell.json(f"{command} replay")
    }
    assert states == {
        "test_later": "PoweredOff",
        "test_it[pause]": "Paused",
        "test_it[save_state]": "Saved",
        "test_it[power_off]": "PoweredOff",
    }
    done = shell(f"{command} replay power_off")
    assert done.returncode == 1
    assert "is PoweredOff" in done.stderr
    assert "try: its disks are there: `vboxkit start test-it-power-off-" in done.stderr


def test_several_machines(vm_run: Runs, shell: Shell) -> None:
    """All machines of a test, its own and the shared ones; a shared one by each of its tests."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.vm(count=2)
        def test_first(vms, vm_module):
            for number, vm in enumerate([*vms, vm_module]):
                vm.ssh.succeed(f"echo {number} > /root/number")
            assert False

        def test_second(vm_module):
            assert False
        """
    )
    result = vm_run("--vm-keep=failed", "-n0")
    result.assert_outcomes(failed=2)
    command = _pasted(result, "replay")[0].partition(" replay ")[0]
    tests = [row["test"].rpartition("::")[2] for row in shell.json(f"{command} replay")]
    assert sorted(tests) == ["test_first"] * 3 + ["test_second"]
    done = shell(f"{command} replay test_first --ssh")
    assert (done.returncode, "has 3 machines: " in done.stderr) == (1, True)
    made = shell.json(f"{command} replay test_first")
    numbers = [shell.out(f"{command} ssh {it['name']} -- cat /root/number") for it in made]
    assert sorted(numbers) == ["0\n", "1\n", "2\n"]
    done = shell(f"{command} replay test_fist")
    assert (done.returncode, "test_first" in done.stderr) == (1, True)


def test_of_a_test_that_passed(vm_run: Runs, shell: Shell) -> None:
    """``--vm-keep=always``: the state of the first replay, and that one from then on."""
    vm_run.pytester.makepyfile("def test_good(vm): pass")
    result = vm_run("--vm-keep=always")
    result.assert_outcomes(passed=1)
    (get_in,) = _pasted(result, "get in")
    (replay,) = _pasted(result, "replay")
    shell.out(f"{get_in} -- touch /root/first")
    assert shell.out(f"{replay} --ssh", "ls /root\n") == "first\n"
    shell.out(f"{get_in} -- touch /root/second")
    assert shell.out(f"{replay} --ssh", "ls /root\n") == "first\n"


def test_a_killed_replay_leaves_nothing(vm_run: Runs, shell: Shell) -> None:
    """The fork of ``--ssh`` goes with its owner, within 30 s; what was kept stays."""
    vm_run.pytester.makepyfile("def test_bad(vm): assert False")
    result = vm_run("--vm-keep=failed")
    (replay,) = _pasted(result, "replay")
    kept = set(vm_run.look()["machines"])
    process = subprocess.Popen(  # noqa: S602 - as above
        f"exec {replay} --ssh",
        shell=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=shell.env,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("echo there\n")
        process.stdin.flush()
        assert process.stdout.readline() == "there\n"
        assert len(set(vm_run.look()["machines"]) - kept) == 1
        process.kill()
    wait_until(
        lambda: True if set(vm_run.look()["machines"]) == kept else None,
        what="the fork to be removed",
        timeout=30,
        poll=1,
    )
