"""``vboxkit audit``."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import click

from vboxkit.cli import failure, output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vboxkit.cli.state import State

_EPILOG = """\b
Examples:
  vboxkit audit show --vm web --since 1h
  vboxkit audit verify
"""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800}


class _Since(click.ParamType):  # type: ignore[type-arg]  # generic for type checkers only
    name = "since"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        match = re.fullmatch(r"(\d+)\s*([smhdw])", value.strip())
        try:
            if match:
                span = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
                return datetime.now(timezone.utc) - span
            return datetime.fromisoformat(value).astimezone(timezone.utc)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a span (90s, 10m, 1h, 2d) nor a date and time in ISO 8601",
                param,
                ctx,
            )


@click.group(epilog=_EPILOG)
def audit() -> None:
    """Show the changes that were made, and check that their log is whole."""


@audit.command(epilog="Example: vboxkit audit show --vm web --since 1h --json | jq .operation")
@click.option("--vm", metavar="NAME", help="Only changes of this machine.")
@click.option("--since", type=_Since(), metavar="WHEN", help="1h, 2d, or 2026-01-31T12:00.")
@click.option("--user", help="Only changes that this user made.")
@click.option("--failed", is_flag=True, help="Only changes that failed.")
@click.option("--last", "-n", type=click.IntRange(1), metavar="N", help="Only the last N.")
@output.json_option
@click.pass_obj
def show(
    state: State,
    *,
    vm: str | None,
    since: datetime | None,
    user: str | None,
    failed: bool,
    last: int | None,
    as_json: bool,
) -> None:
    """
    Show what was changed: when, by whom, which object, and what came of it.

    The log of each VirtualBox home is in the home; --home chooses one.
    """
    found = list(_matching(state, vm=vm, since=since, user=user, failed=failed))
    if last is not None:
        found = found[-last:]
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.out().print("no changes")
        return
    output.table(
        "",
        ["time", "user", "object", "change", "result", "seconds>"],
        [
            (
                datetime.fromisoformat(each["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                f"{each['user']} ({each['program']} {each['pid']})",
                each["object"],
                "\n".join((each["operation"], *map(_value, each["values"]))),
                each["result"],
                f"{each['seconds']:.2f}",
            )
            for each in found
        ],
    )


def _value(value: dict[str, Any]) -> str:
    if value["from"] is None:
        return f"  {value['name']} {value['to']}"
    return f"  {value['name']}: {value['from']} -> {value['to']}"


def _matching(
    state: State,
    *,
    vm: str | None,
    since: datetime | None,
    user: str | None,
    failed: bool,
) -> Iterator[dict[str, Any]]:
    from vboxkit.core.audit_check import entries

    for each in entries(state.settings.home):
        # Names are quoted wherever they are told: 'web' is not found in 'web-2'.
        told = (each["object"], each["operation"], *map(str, each["values"]))
        if (
            (vm is None or any(repr(vm) in words for words in told))
            and (since is None or datetime.fromisoformat(each["time"]) >= since)
            and (user is None or each["user"] == user)
            and (not failed or each["result"] != "done")
        ):
            yield each


@audit.command(epilog="Example: vboxkit audit verify --json")
@output.json_option
@click.pass_obj
def verify(state: State, *, as_json: bool) -> int:
    """
    Check that no line of the log was edited, added, moved or taken away.

    The exit code is 1 if one was. The hash that is printed proves all lines up to now: who keeps
    it elsewhere notices a log that was written anew from its beginning.
    """
    from vboxkit.core.audit_check import verify as check

    verdict = check(state.settings.home)
    if as_json:
        output.print_json(asdict(verdict))
    else:
        for each in verdict.damages:
            place = f"{each.file}:{each.line}" if each.line else each.file
            output.out().print(f"{place}: {each.sentence}", soft_wrap=True, style="red")
        if not verdict.damages:
            words = "change" if verdict.lines == 1 else "changes"
            output.out().print(f"{verdict.lines} {words}, as they were written")
        output.out().print(f"hash {verdict.hash}", soft_wrap=True)
    return failure.FAILED if verdict.damages else 0
