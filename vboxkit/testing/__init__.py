"""
Testing by states: hypothesis' state machines whose rules fork machines instead of replaying.

`tree` remembers what was done and answered, `space` keeps the machines that stand at its states,
`guest` is what rules do things with, `states` the base class for rules. It needs hypothesis:
``pip install vboxkit[hypothesis]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.core.lazy import lazy_names

if TYPE_CHECKING:
    from vboxkit.testing.guest import StateGuest
    from vboxkit.testing.space import StateSpace
    from vboxkit.testing.states import VMStateMachine, explore
    from vboxkit.testing.tree import Counts

__all__ = ["Counts", "StateGuest", "StateSpace", "VMStateMachine", "explore"]

_HOMES = {
    "Counts": "tree",
    "StateGuest": "guest",
    "StateSpace": "space",
    "VMStateMachine": "states",
    "explore": "states",
}

__getattr__, __dir__ = lazy_names(globals(), _HOMES)
