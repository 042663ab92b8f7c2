"""What is loaded late, or meanwhile: the command shall start at once."""

from __future__ import annotations

import json
import subprocess
import sys


def loaded(code: str) -> set[str]:
    """Return the modules that a process of its own has after some code."""
    code = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


def test_paramiko_is_loaded_in_a_thread() -> None:
    """When the thread has ended it is there, once."""
    code = (
        "import threading\n"
        "from vboxkit.guest import preload\n"
        "assert 'paramiko' not in sys.modules\n"
        "preload.meanwhile()\n"
        "[it.join() for it in threading.enumerate() if it is not threading.current_thread()]\n"
        "preload.meanwhile()\n"
        "assert threading.active_count() == 1"
    )
    assert "paramiko" in loaded(code)


def test_what_few_need_is_not_loaded_with_the_lab() -> None:
    """Event classes, whole descriptions, and SSH come when they are asked for."""
    late = {"vboxkit.machines.event_kinds", "vboxkit.machines.describing", "paramiko", "rich"}
    assert late.isdisjoint(loaded("import vboxkit.lab.lab"))
    code = (
        "from vboxkit.machines.event_base import kinds; assert 'OnMachineStateChanged' in kinds()"
    )
    assert {"vboxkit.machines.event_kinds", "vboxkit.machines.vm_event_kinds"} <= loaded(code)


def test_steps_that_nobody_sees_do_not_load_rich() -> None:
    """Where standard error is no terminal, and lines are not asked for."""
    code = "from vboxkit.cli.live import showing\nwith showing(keep=False, plain=False): pass"
    assert "rich" not in loaded(code)
