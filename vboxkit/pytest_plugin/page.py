"""
The page of a run: one HTML file that needs nothing else, neither a network nor JavaScript.

What guests and tests say is escaped, and the page's policy lets no script run but its own one.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
import re
import tempfile
from collections import Counter
from contextlib import suppress
from importlib import resources
from pathlib import Path
from time import localtime, strftime
from typing import TYPE_CHECKING, Any

from vboxkit import __version__
from vboxkit.pytest_plugin.lanes import BAD, Lane, lanes, slowest
from vboxkit.pytest_plugin.markup import badge, search, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vboxkit.pytest_plugin.gather import Failure, Gathered

__all__ = ["render", "write"]

#: Rows of the timeline, and of the slowest waits.
_ROWS, _SLOWEST = 1000, 25
#: Failures that are shown with their text; those after them only by name.
_FAILURES = 200
#: Those that are unfolded.
_OPEN = 3

_KINDS = {
    "wait": "wait",
    "clone": "clone",
    "start": "start",
    "ssh": "SSH",
    "ready": "refresh",
    "idle": "there",
    "test": "test",
    "failed": "failed test",
    "rewind": "rewind",
    "destroy": "destroy",
    "build": "image",
}


def write(gathered: Gathered) -> None:
    """
    Write the page, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    path = gathered.path
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".vboxkit-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(render(gathered))
        # mkstemp gives it to its owner alone; a page is as readable as other files.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def render(gathered: Gathered) -> str:
    """Return the page."""
    found = lanes(gathered)
    shown = _chosen(found)
    start = min([gathered.began, *(lane.began for lane in found)])
    span = max(0.1, gathered.ended - start)
    here = resources.files("vboxkit.pytest_plugin")
    script = (here / "page.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    root = gathered.root
    parts = {
        "title": text(f"virtual machines: {root.name}"),
        "heading": text(f"Virtual machines of {root.name}"),
        "about": _about(gathered),
        "chips": _chips(gathered, found),
        "notes": _notes(gathered),
        "links": _links(gathered, found),
        "failures": _failures(gathered),
        "timeline": _timeline(gathered, shown, start, span, left_out=len(found) - len(shown)),
        "waits": _waits(gathered, start),
        "span": f"{span:.3f}",
        "footer": f"written by vboxkit {text(__version__)}; all times are in seconds",
        "script": script,
        "script_hash": base64.b64encode(digest).decode("ascii"),
    }
    template = (here / "page.html").read_text(encoding="utf-8")
    # In one pass: what stands in the parts is never looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _about(gathered: Gathered) -> str:
    when = strftime("%Y-%m-%d %H:%M:%S %z", localtime(gathered.began))
    parts = [when, f"{gathered.ended - gathered.began:.1f} s", str(gathered.root)]
    if gathered.interrupted:
        parts.append("interrupted")
    return " · ".join(map(text, parts))


def _chips(gathered: Gathered, found: Sequence[Lane]) -> str:
    tests = Counter(test.outcome or "unfinished" for test in gathered.tests.values())
    tests.update(f.outcome for f in gathered.failures if f.test not in gathered.tests)
    machines = [lane for lane in found if not lane.is_image]
    workers = {lane.worker for lane in found}
    chips = [("", str(len(machines)), "machine" if len(machines) == 1 else "machines")]
    if len(workers) > 1:
        chips.append(("", str(len(workers)), "workers"))
    for outcome in sorted(tests, key=lambda name: (name not in BAD, name)):
        kind = "bad" if outcome in BAD else "good" if outcome == "passed" else ""
        chips.append((kind, str(tests[outcome]), outcome))
    forks = sorted(s for lane in machines if (s := lane.making))
    if forks:
        chips.append(("", f"{forks[len(forks) // 2]:.2f} s", "a fork (median)"))
    waited = sum(lane.waited for lane in machines)
    if waited >= 0.05:
        chips.append(("", f"{waited:.1f} s", "waited for room"))
    left = [lane for lane in machines if not lane.gone and lane.machine in gathered.kept]
    if left:
        chips.append(("", str(len(left)), "kept"))
    return "".join(
        f'<li class="{kind}"><b>{text(number)}</b>{text(what)}</li>' for kind, number, what in chips
    )


def _notes(gathered: Gathered) -> str:
    lines = "".join(f"<li>{text(line)}</li>" for line in gathered.notes)
    return f'<ul class="notes">{lines}</ul>' if lines else ""


def _links(gathered: Gathered, found: Sequence[Lane]) -> str:
    links = [("timeline", f"Timeline ({len(found)})"), ("waits", "Slowest waits")]
    if gathered.failures:
        links.insert(0, ("failures", f"Failures ({len(gathered.failures)})"))
    return "".join(f'<a href="#{name}">{text(what)}</a>' for name, what in links)


# The timeline


def _chosen(found: list[Lane]) -> list[Lane]:
    """Return the lanes that are drawn: of too many, those of failures and the first ones."""
    if len(found) <= _ROWS:
        return found
    bad = [lane for lane in found if lane.outcome in BAD][:_ROWS]
    good = [lane for lane in found if lane.outcome not in BAD][: _ROWS - len(bad)]
    keep = {id(lane) for lane in [*bad, *good]}
    return [lane for lane in found if id(lane) in keep]


def _timeline(
    gathered: Gathered, shown: Sequence[Lane], start: float, span: float, *, left_out: int
) -> str:
    note = f" <small>{left_out} more are not drawn</small>" if left_out else ""
    head = f'<section id="timeline"><h2>Timeline{note}</h2>'
    if not shown:
        return f"{head}<p>No machine ran.</p></section>"
    legend = "".join(
        f'<li><i class="k-{kind}"></i>{name}</li>'
        for kind, name in _KINDS.items()
        if kind == "idle" or any(kind in _drawn_as(lane) for lane in shown)
    )
    groups: dict[str, list[str]] = {}
    for lane in shown:
        groups.setdefault(lane.worker, []).append(_row(gathered, lane, start))
    body = "".join(
        f'<tbody><tr class="group"><th colspan="8">{text(worker)}</th></tr>{"".join(rows)}</tbody>'
        for worker, rows in groups.items()
    )
    numbers = "".join(
        f'<th class="number c-number">{name}</th>' for name in ("wait", "fork", "up", "destroy")
    )
    return (
        f'{head}<ul class="legend">{legend}</ul><table class="lanes" data-span="{span:.3f}"><thead>'
        '<tr><th class="c-machine">machine</th><th class="test c-test">test</th>'
        f'<th class="c-outcome">outcome</th>{numbers}'
        f'<th><div class="scale">{_scale(span)}</div></th></tr></thead>{body}</table>'
        '<p class="nothing" hidden>nothing here matches the filter</p></section>'
    )


def _drawn_as(lane: Lane) -> set[str]:
    kinds: set[str] = {span.kind for span in lane.spans}
    if any(span.kind == "test" and span.error == "failed" for span in lane.spans):
        kinds.add("failed")
    return kinds


def _row(gathered: Gathered, lane: Lane, start: float) -> str:
    first = lane.tests[0] if lane.tests else ""
    also = f" and {len(lane.tests) - 1} more" if len(lane.tests) > 1 else ""
    short = first.rsplit("::", 1)[-1] + also
    cells = (lane.seconds({"wait"}), lane.making, lane.running, lane.seconds({"destroy"}))
    numbers = [f"{seconds:.2f}" if seconds >= 0.005 else "" for seconds in cells]
    if not lane.gone and not lane.is_image:
        numbers[-1] = "kept" if lane.machine in gathered.kept else "not yet"
    shown = "".join(f'<td class="number">{number}</td>' for number in numbers)
    bars = []
    if lane.ready is not None:
        there = [span.began for span in lane.spans if span.kind != "wait"]
        bars.append(_bar("idle", "there", min(there) - start, lane.ended - min(there)))
    for span in lane.spans:
        kind = "failed" if span.kind == "test" and span.error == "failed" else span.kind
        told = f"{span.title}: {span.error}" if span.error else span.title
        bars.append(_bar(kind, told, span.began - start, span.seconds))
    words = " ".join([lane.worker, *lane.tests])
    return (
        f'<tr data-row data-from="{lane.began - start:.3f}" data-to="{lane.ended - start:.3f}"'
        f' data-words="{text(words)}"><td title="{text(lane.machine)}">{search(lane.machine)}</td>'
        f'<td class="test" title="{text(chr(10).join(lane.tests[:20]))}">{text(short)}</td>'
        f"<td>{badge(lane.outcome)}</td>{shown}"
        f'<td><div class="bar">{"".join(bars)}</div></td></tr>'
    )


def _bar(kind: str, told: str, at: float, seconds: float) -> str:
    return (
        f'<i class="k-{kind}" style="--t:{at:.3f};--d:{seconds:.3f}"'
        f' title="{text(told)}: {seconds:.2f} s"></i>'
    )


def _scale(span: float) -> str:
    """Return ticks at round numbers of seconds; the script draws others when it zooms in."""
    step = 10.0 ** math.floor(math.log10(span))
    step = next(step * part for part in (5, 2, 1, 0.5, 0.2) if span / (step * part) >= 4)
    ticks = (round(number * step, 3) for number in range(math.ceil(span * 0.95 / step)))
    return "".join(f'<i style="--t:{at:g}">{at:g} s</i>' for at in ticks)


# The slowest waits


def _waits(gathered: Gathered, start: float) -> str:
    rows = []
    for waited in slowest(gathered, _SLOWEST):
        span = waited.span
        kind = "command" if span.kind == "command" else "wait"
        error = f' <span class="dim">{text(span.error)}</span>' if span.error else ""
        title = f"<code>{text(span.title)}</code>" if kind == "command" else text(span.title)
        rows.append(
            f'<tr data-row data-words="{text(waited.test)}">'
            f'<td class="number">{span.seconds:.2f}</td><td>{kind}</td>'
            f'<td class="text">{title}{error}</td>'
            f'<td class="short">{search(span.machine) if span.machine else ""}</td>'
            f'<td class="short" title="{text(waited.test)}">'
            f"{text(waited.test.rsplit('::', 1)[-1])}</td>"
            f'<td>{text(waited.worker)}</td><td class="number">{span.began - start:.1f}</td></tr>'
        )
    body = "".join(rows) or '<tr><td colspan="7">none</td></tr>'
    return (
        '<section id="waits"><h2>Slowest waits <small>and commands</small></h2><table><thead><tr>'
        '<th class="number">seconds</th><th>kind</th><th>what</th><th>machine</th><th>test</th>'
        f'<th>worker</th><th class="number">at</th></tr></thead><tbody>{body}</tbody></table>'
        '<p class="nothing" hidden>nothing here matches the filter</p></section>'
    )


# Failures


def _failures(gathered: Gathered) -> str:
    if not gathered.failures:
        return ""
    shown = "".join(
        _failure(gathered, number, failure)
        for number, failure in enumerate(gathered.failures[:_FAILURES], start=1)
    )
    more = gathered.failures[_FAILURES:]
    listed = "".join(f"<li data-row>{badge(f.outcome)} {text(f.test)}</li>" for f in more)
    rest = f"<p>{len(more)} more:</p><ul>{listed}</ul>" if more else ""
    return (
        f'<section id="failures"><h2>Failures</h2>{shown}{rest}'
        '<p class="nothing" hidden>nothing here matches the filter</p></section>'
    )


def _failure(gathered: Gathered, number: int, failure: Failure) -> str:
    where = " · ".join(part for part in (failure.when, failure.worker) if part and part != "???")
    machines = "".join(_exhibit(gathered, it) for it in failure.exhibits)
    sections = "".join(_said(title, said) for title, said in failure.sections)
    if failure.left_out:
        machines = "<p>What its machines showed is left out: there are too many failures.</p>"
    return (
        f'<article id="failure-{number}" class="{text(failure.outcome)}" data-row>'
        f"<details{' open' if number <= _OPEN else ''}><summary>{badge(failure.outcome)} "
        f'<span class="name">{text(failure.test)}</span> <span class="dim">{text(where)}</span>'
        f'</summary><div><pre class="end">{text(failure.text)}</pre>{machines}{sections}</div>'
        "</details></article>"
    )


def _exhibit(gathered: Gathered, shown: dict[str, Any]) -> str:
    name = shown["machine"]
    parts = []
    if shown.get("commands"):
        parts.append(_commands(shown["commands"]))
    for stream, said in (shown.get("output") or {}).items():
        parts.append(_said(f"last command's {stream}", said, unfolded=True))
    parts.append(_said("serial console", shown.get("console"), unfolded=True))
    parts.append(_said("VBox.log", shown.get("log"), where=shown.get("log_file", "")))
    if name in gathered.kept:
        parts.append(f"<p>kept; get in: <code>{text(gathered.kept[name])}</code></p>")
    if shown["files"]:
        files = "\n".join(shown["files"])
        parts.append(f"<details><summary>files</summary><pre>{text(files)}</pre></details>")
    figure = ""
    if shown.get("picture"):
        figure = (
            f'<figure><img alt="screenshot of {text(name)}"'
            f' src="data:image/png;base64,{text(shown["picture"])}">'
            "<figcaption>the screen when the test failed</figcaption></figure>"
        )
    elif shown.get("no_picture"):
        parts.append(f'<p class="dim">{text(shown["no_picture"])}</p>')
    state = f" <small>{text(shown['state'])}</small>" if shown.get("state") else ""
    return (
        f"<h3>{search(name)}{state}</h3>"
        f'<div class="machine"><div>{"".join(parts)}</div>{figure}</div>'
    )


def _commands(rows: Sequence[Sequence[Any]]) -> str:
    body = "".join(
        f'<tr><td class="text"><code>{text(command)}</code></td>'
        f'<td class="number">{"" if code is None else text(code)}</td>'
        f'<td class="number">{seconds:.2f}</td></tr>'
        for command, code, seconds in rows
    )
    return (
        '<table><thead><tr><th>last commands</th><th class="number">exit code</th>'
        f'<th class="number">seconds</th></tr></thead><tbody>{body}</tbody></table>'
    )


def _said(
    title: str, said: dict[str, Any] | None, *, unfolded: bool = False, where: str = ""
) -> str:
    if not said or not said["text"]:
        return ""
    note = f"{said['left_out']} lines before are left out" if said["left_out"] else ""
    place = f' <span class="dim">{" · ".join(filter(None, (text(where), note)))}</span>'
    return (
        f"<details{' open' if unfolded else ''}><summary>{text(title)}{place}</summary>"
        f'<pre class="end">{text(said["text"])}</pre></details>'
    )
