"""
A suite of 60 small tests on two workers: each with a fork, against each with a machine that boots.

``RUNS`` is how often both are run in turn. ``REPEATS`` (20 if left out) is how often the suite is
run with forks in all: a test that fails in any of these runs is flaky. ``TESTS`` is the part of a
test's name, as pytest's ``-k`` has it, for a smaller sample.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import fork_rivals
from figures import Figure, rows

import vboxkit
from vboxkit.settings import environment

__all__ = ["bench", "compare"]

WORKERS = 2
REPEATS = 20
#: How many times as long a suite has to take whose machines boot.
FASTER = 2.5
FOLDER = Path(__file__).with_name("sample_suite")


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    return compare("tiny", [FOLDER], runs, at_least=FASTER, timeout=1800)


def compare(
    image: str, tests: list[Path], runs: int, *, at_least: float, timeout: float
) -> list[Figure]:
    """
    Run some tests with forks and with machines that boot, in turn, and look for flaky ones.

    Args:
        image: What the machines are.
        tests: Files or folders of tests.
        runs: How often both are run.
        at_least: How many times as long those that boot have to take.
        timeout: Seconds for one run.
    """
    repeats = max(runs, int(environment().get("REPEATS", str(REPEATS))))
    with vboxkit.Lab() as lab:
        fork_rivals.sweep(lab)
        with lab.fork(image, timeout=timeout) as vm:  # built, and booted once, off the clock
            vm.ssh.succeed("true")
    names = {True: f"suite, forks, {image}", False: f"suite, boots, {image}"}
    times: dict[str, list[float]] = {names[True]: [], names[False]: []}
    failed: dict[str, int] = {}
    broken: list[str] = []
    count = 0
    for number in range(repeats):
        for forks in (True, False)[:: -1 if number % 2 else 1]:
            if not forks and number >= runs:
                continue
            took, outcome = run(image, tests, forks=forks, timeout=timeout)
            if number < runs:
                times[names[forks]].append(took)
            wrong = [name for name, fine in outcome.items() if not fine]
            if forks:
                count = len(outcome)
                for name in wrong:
                    failed[name] = failed.get(name, 0) + 1
            else:
                broken += wrong
    for name, many in sorted(failed.items()):
        print(f"failed in {many} of {repeats} runs: {name}", file=sys.stderr)
    for name in sorted(set(broken)):
        print(f"failed where it boots: {name}", file=sys.stderr)
    return [
        *rows(times, ours=names[True], at_least={names[False]: at_least}),
        none(f"flaky of {count} tests, {repeats} runs", len(failed)),
        none(f"failed where they boot, {runs} runs", len(set(broken))),
    ]


def none(name: str, count: int) -> Figure:
    """Return the line of a number that is to be 0."""
    return Figure(name, count, 0.0, "", 1.0, [float(count)], "0", count == 0)


def run(
    image: str, tests: list[Path], *, forks: bool, timeout: float
) -> tuple[float, dict[str, bool]]:
    """Run the tests once; return the seconds of the whole command, and which tests passed."""
    wanted = environment().get("TESTS", "")
    folder = Path(tempfile.mkdtemp(prefix="vboxkit-bench-"))
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(FOLDER / "pytest.ini")]
    command += ["--rootdir", str(FOLDER), f"-n{WORKERS}", "--vm-required", f"--vm-image={image}"]
    command += [f"--junit-xml={report}", *([] if forks else ["--boot"])]
    command += [*(["-k", wanted] if wanted else []), *map(str, tests)]
    inherited = {key: it for key, it in os.environ.items() if not key.startswith("PYTEST_")}
    try:
        begin = time.perf_counter()
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            cwd=folder,
            env=inherited,
        )
        took = time.perf_counter() - begin
        # 1: some tests failed, which the report has.
        if done.returncode not in {0, 1}:
            raise RuntimeError(f"pytest: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        outcome = {
            f"{it.get('classname')}::{it.get('name')}": not len(it.findall("failure"))
            and not len(it.findall("error"))
            for it in ET.parse(report).iter("testcase")  # noqa: S314 - pytest's own
        }
    finally:
        shutil.rmtree(folder)
    return took, outcome
