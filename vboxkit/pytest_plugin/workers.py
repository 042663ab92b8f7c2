"""What the plugin does for pytest-xdist's workers."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import pytest

__all__ = ["group", "name_groups", "note_refusal", "raise_refusal", "refuse"]

#: What a worker's last words have if it refused to run.
_REFUSED = "vboxkit_refused"
_REFUSAL = pytest.StashKey[str]()

#: The fixtures whose machine belongs to one worker.
_SHARED = {"vm_class", "vm_module"}


def refuse(config: pytest.Config, items: list[pytest.Item], error: pytest.UsageError) -> None:
    """
    Run no test, as something is wrong with what was given.

    A worker must not raise, which xdist takes for an error of its own: the controller does.

    Raises:
        pytest.UsageError: What was given; in all other processes.
    """
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is None:
        raise error
    output[_REFUSED] = str(error)
    items.clear()


def note_refusal(node: Any) -> None:
    """Take note, in the controller, of what a worker has refused."""
    words = getattr(node, "workeroutput", {}).get(_REFUSED)  # a worker that was killed has none
    if words is not None:
        config: pytest.Config = node.config
        config.stash[_REFUSAL] = words


def raise_refusal(config: pytest.Config) -> None:
    """
    Say, in the controller, what the workers have refused.

    Raises:
        pytest.UsageError: What it is; all of them have refused the same.
    """
    words = config.stash.get(_REFUSAL, None)
    if words is not None:
        raise pytest.UsageError(words)


def group(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Keep the tests of a module that share a machine on one worker, under ``--dist loadgroup``.

    Their group is the module, unless they are in one already. ``loadfile`` and ``loadscope`` do so
    by themselves; under ``load`` and ``worksteal`` each worker makes a machine of its own.
    """
    if not config.getoption("loadgroup", default=False):
        return
    for item in items:
        if item.get_closest_marker("xdist_group") is None and not _SHARED.isdisjoint(
            getattr(item, "fixturenames", ())
        ):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def name_groups(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Append the names of groups to tests' ids where xdist could not, which scheduled none then.

    It writes what pytest 9.2 does not read any more (pytest-xdist issue 1386), without a word. To
    be called after xdist's own hook.
    """
    if not config.getoption("loadgroup", default=False) or _version("pytest-xdist") > (3, 8):
        return
    for item in items:
        names = sorted({_name(mark) for mark in item.iter_markers("xdist_group")})
        suffix = f"@{'_'.join(names)}"
        node: Any = item
        if names and hasattr(node, "_id") and not item.nodeid.endswith(suffix):
            node._id = type(node._id).parse(item.nodeid + suffix)  # noqa: SLF001 - there is no other way


def _name(mark: pytest.Mark) -> str:
    return str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))


def _version(package: str) -> tuple[int, ...]:
    return tuple(int(part) for part in metadata.version(package).split(".")[:2] if part.isdigit())
