"""Completion reads in files what VirtualBox knows: here it is compared with what that says."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click
import pytest

from vboxkit.cli import completing
from vboxkit.cli.snapshot import restore

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit import Machine, VirtualBox

pytestmark = pytest.mark.vbox


@pytest.fixture
def ctx(vbox: VirtualBox) -> click.Context:
    """Return the context of a command that is being typed, for the tests' home."""
    context = click.Context(restore)
    context.params["home"] = str(vbox.home)
    return context


def test_machines(vbox: VirtualBox, ctx: click.Context, bare: Callable[[], Machine]) -> None:
    """All that are registered, also with odd names, and none that is gone."""
    plain, odd = bare(), bare()
    odd.name = f"{odd.name} & 'two' ä"
    param = cast("click.Parameter", None)
    found = completing.machines(ctx, param, "")
    assert {plain.name, odd.name} <= set(found)
    assert found == sorted(vbox.machines.names())
    assert completing.machines(ctx, param, odd.name[:-3]) == [odd.name]
    gone = plain.name
    plain.destroy()
    assert gone not in completing.machines(ctx, param, "")


def test_snapshots(ctx: click.Context, make: Callable[..., Machine]) -> None:
    """Those of the machine that is named, at any depth."""
    machine = make()
    ctx.params["name"] = machine.name
    param = cast("click.Parameter", None)
    assert completing.snapshots(ctx, param, "") == []
    for name in ("fresh", "with <tls> & more", "later"):
        machine.snapshots.take(name)
    assert completing.snapshots(ctx, param, "") == ["fresh", "later", "with <tls> & more"]
    machine.snapshots["later"].delete()
    assert completing.snapshots(ctx, param, "l") == []
