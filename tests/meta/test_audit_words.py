"""Each operation's first word says whether it changes something; see `vboxkit.core.audit`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import vboxkit
from vboxkit.core.audit import is_change

#: First words of operations that change something.
CHANGING = set(
    re.findall(
        r"\w+",
        """
        add apply attach cancel change clear clone close compact configure connect
        convert crash create decrypt delete destroy detach discard disconnect eject encrypt
        enroll export forget fork forward give import initialize insert lead let make
        map merge move open pause pin plug power register remove rename reset resize
        restart restore resume rewind roll save set shut start stop take trace type
        unlock unpin unregister write
        """,
    )
)


def operations() -> set[str]:
    """Return the operations that are written in the code, up to the first value in them."""
    found = set()
    for path in Path(vboxkit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            function = node.func
            name = getattr(function, "attr", getattr(function, "id", ""))
            first = node.args[0]
            if name not in {"api_call", "_translated"}:
                continue
            if isinstance(first, ast.Constant):
                found.add(str(first.value))
            elif isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
                found.add(str(first.values[0].value))
    return found


def test_every_operation_is_known() -> None:
    """A new verb is put on one of the two sides by who adds it."""
    known = operations()
    assert len(known) > 150
    unknown = {each for each in known if is_change(each) and each.split()[0] not in CHANGING}
    assert not unknown
