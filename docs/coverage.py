"""
Make ``docs/coverage.md`` anew: each member of VirtualBox's API, and where vboxkit has it.

    python docs/coverage.py [--output FILE]

It puts together what there is (``vboxkit/com/interfaces.pyi``, itself generated) and what was
decided (``docs/coverage.toml``, kept by hand), and fails if they do not agree.
"""

from __future__ import annotations

import argparse
import ast
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
TYPES = HERE.parent / "vboxkit" / "com" / "interfaces.pyi"
ANSWERS = HERE / "coverage.toml"
OUTPUT = HERE / "coverage.md"
#: The modules with the classes of events.
EVENTS = [
    HERE.parent / "vboxkit" / "machines" / name for name in ("event_kinds.py", "vm_event_kinds.py")
]

RAW_ONLY = "raw only: "
#: What VirtualBox puts into an interface that would have no member.
EMPTY = "midlDoesNotLikeEmptyInterfaces"

_HEAD = """\
# What of VirtualBox's API vboxkit has

Generated, do not edit: `python docs/coverage.py` makes it of `docs/coverage.toml` and of the API of
VirtualBox {version}, as `vboxkit/com/interfaces.pyi` has it.

Where a row names something, that is where vboxkit has it: `Machine.cpus` is the attribute `cpus`
of the class `Machine`, and a class alone means its objects themselves (`in`, `[...]`, iteration).
All else is there as well, one step below: an object's raw one is its `.com`, typed.

| | in vboxkit | raw only | all |
|---|---|---|---|
| interfaces | {interfaces_in} | {interfaces_raw} | {interfaces} |
| their members | {members_in} | {members_raw} | {members} |

An interface counts as being in vboxkit if one of its members is.
"""


class Disagreement(Exception):  # noqa: N818 - it is no failure of the program
    """What there is and what was decided do not fit together."""


@dataclass(frozen=True)
class Interface:
    """An interface of VirtualBox: its name, the one that it extends, and its own members."""

    name: str
    base: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """Members (or interfaces) that share an answer."""

    names: tuple[str, ...]
    answer: str

    @property
    def raw_only(self) -> bool:
        """Whether vboxkit does not have them."""
        return self.answer.startswith(RAW_ONLY)

    def line(self) -> str:
        """Return it as a line of a table."""
        return f"| {', '.join(f'`{name}`' for name in self.names)} | {_shown(self.answer)} |"


def _shown(answer: str) -> str:
    if answer.startswith(RAW_ONLY):
        return answer
    names, remark = parts(answer)
    shown = ", ".join(f"`{name}`" for name in names)
    return f"{shown} ({remark})" if remark else shown


def parts(answer: str) -> tuple[list[str], str]:
    """Return the names and the remark of an answer."""
    names, _, remark = answer.partition(" (")
    return names.split(", "), remark.removesuffix(")")


def read_types(path: Path = TYPES) -> tuple[str, dict[str, Interface]]:
    """Return the version and the interfaces of the generated types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    version = (ast.get_docstring(tree) or "").split("VirtualBox ", 1)[1].split(",")[0]
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name[0] == "I" and node.name[1].isupper():
            names = [
                item.name if isinstance(item, ast.FunctionDef) else ast.unparse(item.target)
                for item in node.body
                if isinstance(item, ast.FunctionDef | ast.AnnAssign)
            ]
            members = tuple(dict.fromkeys(name for name in names if name != EMPTY))
            found[node.name] = Interface(node.name, ast.unparse(node.bases[0]), members)
    return version, found


def read_events(paths: list[Path] | None = None) -> set[str]:
    """Return the names of the classes of events."""
    return {
        node.name
        for path in paths or EVENTS
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }


def _rows(table: dict[str, str]) -> list[Row]:
    return [Row(tuple(key.split(", ")), answer) for key, answer in table.items()]


def _check_members(interface: Interface, rows: list[Row]) -> None:
    named = [name for row in rows for name in row.names]
    twice = {name for name in named if named.count(name) > 1}
    missing, unknown = set(interface.members) - set(named), set(named) - set(interface.members)
    for what, wrong in (("twice", twice), ("not", missing), ("and does not exist", unknown)):
        if wrong:
            raise Disagreement(f"{interface.name}: named {what}: {', '.join(sorted(wrong))}")


def _is_event(name: str, interfaces: dict[str, Interface]) -> bool:
    while name in interfaces:
        if name == "IEvent":
            return True
        name = interfaces[name].base
    return False


def decide(
    interfaces: dict[str, Interface], answers: dict[str, dict[str, str]], events: set[str]
) -> tuple[dict[str, list[Row]], list[Row]]:
    """
    Return the rows of the interfaces that are told member by member, and a row for each other one.

    Raises:
        Disagreement: An interface or member is missing, unknown, or has two answers.
    """
    patterns = {
        pattern: answer
        for key, answer in answers["interfaces"].items()
        for pattern in key.split(", ")
    }
    detailed: dict[str, list[Row]] = {}
    others, used = [], set()
    for name, interface in interfaces.items():
        if name in answers:
            detailed[name] = _rows(answers[name])
            _check_members(interface, detailed[name])
            used.add(name)
            continue
        fitting = [pattern for pattern in patterns if fnmatchcase(name, pattern)]
        exact = [pattern for pattern in fitting if pattern == name]
        typed = _is_event(name, interfaces) and name[1:] in events
        if exact or (fitting and not typed):
            chosen = exact or fitting
            if len(chosen) > 1:
                raise Disagreement(f"{name} has several answers: {chosen}")
            others.append(Row((name,), patterns[chosen[0]]))
            used.add(chosen[0])
        elif typed:
            others.append(Row((name,), name[1:]))
        else:
            raise Disagreement(f"{name} has no answer in {ANSWERS.name}")
    unknown = (set(answers) - {"interfaces"} - set(interfaces)) | (set(patterns) - used)
    if unknown:
        raise Disagreement(f"there is no interface {', '.join(sorted(unknown))}")
    return detailed, others


def render() -> str:
    """Return the page."""
    version, interfaces = read_types()
    answers = tomllib.loads(ANSWERS.read_text(encoding="utf-8"))
    detailed, others = decide(interfaces, answers, read_events())

    def members(rows: list[Row], *, raw_only: bool) -> int:
        return sum(len(row.names) for row in rows if row.raw_only == raw_only)

    raw_others = [row for row in others if row.raw_only]
    raw_detailed = [n for n, rows in detailed.items() if not members(rows, raw_only=False)]
    in_vboxkit = sum(members(rows, raw_only=False) for rows in detailed.values()) + sum(
        len(interfaces[row.names[0]].members) for row in others if not row.raw_only
    )
    total = sum(len(interface.members) for interface in interfaces.values())
    raw = len(raw_others) + len(raw_detailed)
    lines = [
        _HEAD.format(
            version=version,
            interfaces=len(interfaces),
            interfaces_raw=raw,
            interfaces_in=len(interfaces) - raw,
            members=total,
            members_in=in_vboxkit,
            members_raw=total - in_vboxkit,
        )
    ]
    order = [name for name in answers if name in detailed]
    for name in order:
        rows = detailed[name]
        covered = members(rows, raw_only=False)
        lines += [f"## {name}", "", f"{covered} of {len(interfaces[name].members)} members.", ""]
        lines += ["| member | vboxkit |", "|---|---|", *(row.line() for row in rows), ""]
    lines += ["## Other interfaces", "", "| interface | vboxkit |", "|---|---|"]
    lines += [row.line() for row in others if not _is_event(row.names[0], interfaces)]
    lines += [
        "",
        "## Events",
        "",
        "Each class has the event's values as fields; see `Machine.events`, `VirtualBox.events`.",
        "",
        "| interface | vboxkit |",
        "|---|---|",
    ]
    lines += [row.line() for row in others if _is_event(row.names[0], interfaces)]
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="%(default)s if left out")
    chosen = parser.parse_args()
    try:
        chosen.output.write_text(render(), encoding="utf-8")
    except Disagreement as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
