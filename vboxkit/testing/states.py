"""Hypothesis' state machines for guests (the only user of hypothesis, which is optional)."""

from __future__ import annotations

from types import new_class
from typing import TYPE_CHECKING, Any

from vboxkit.errors import ModuleMissingError, SettingsError
from vboxkit.testing.guest import StateGuest
from vboxkit.testing.space import StateSpace

try:
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.control import current_build_context
    from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
except ImportError as error:
    raise ModuleMissingError(
        "state machines need the package hypothesis, which is not installed",
        module="hypothesis",
        hint="pip install vboxkit[hypothesis]",
    ) from error

if TYPE_CHECKING:
    from vboxkit.lab.vm import VM
    from vboxkit.testing.tree import Counts

__all__ = ["VMStateMachine", "explore", "run_in"]


class VMStateMachine(RuleBasedStateMachine):
    """
    A state machine of hypothesis' whose rules act in a guest; run it with `explore`.

    Rules, bundles, preconditions and invariants are hypothesis' own. Whatever they do in the guest
    goes through `guest`, which remembers answers: actions that were done before are not done again,
    in whichever example. All else of a rule, as the model that it compares with, runs each time.

    Attributes:
        guest: The guest.

    Example:
        ::

            class Store(VMStateMachine):
                @rule(key=sampled_from("ab"), value=sampled_from("12"))
                def put(self, key, value):
                    self.guest.succeed(["store", "put", key, value])
    """

    #: Given by `explore`, to a class of its own.
    _space: StateSpace | None = None

    def __init__(self) -> None:
        super().__init__()
        if self._space is None:
            raise SettingsError(
                f"{type(self).__name__} has no machine to act in",
                hint=f"explore({type(self).__name__}, vm), instead of hypothesis' own ways to run",
            )
        self._space.begin(final=current_build_context().is_final)
        self.guest = StateGuest(self._space.act)

    def teardown(self) -> None:
        """End an example; a class that has something to do here calls this one, too."""
        if self._space is not None:
            self._space.end()


def explore(
    machine: type[VMStateMachine],
    vm: VM,
    *,
    settings: settings | None = None,
    checkpoint_every: int | None = None,
    most: int = 16,
    confirm: bool = True,
) -> Counts:
    """
    Let hypothesis look for a sequence of rules that fails; all begin as a machine stands now.

    A failing one is shrunk (for 300 s at most, that is hypothesis' limit), done once more from the
    beginning, and printed. All machines that were made for it are gone afterwards.

    Args:
        machine: The class with the rules.
        vm: A running machine, which is not changed.
        settings: Hypothesis' settings; those of the class's decorator ``@settings``, or else 30
            examples of 10 steps, if left out. There is never a deadline or a health check for what
            is slow, and no phase ``explain``, which would run hundreds of examples more.
        checkpoint_every: As of `StateSpace`.
        most: As of `StateSpace`.
        confirm: As of `StateSpace`.

    Returns:
        What it took.

    Raises:
        AssertionError: Or whatever else a rule or an invariant raised.
        InvalidStateError: The machine does not run.
        GuestError: The guest does not do the same again.

    Example:
        ``explore(Store, vm, settings=settings(max_examples=50, stateful_step_count=8))``
    """
    with StateSpace(vm, checkpoint_every=checkpoint_every, most=most, confirm=confirm) as space:
        return space.explore(machine, settings=settings)


def run_in(space: StateSpace, machine: type[VMStateMachine], wanted: settings | None) -> None:
    """Run a machine's class in a space; see `explore`."""
    given: Any = machine
    if not (isinstance(given, type) and issubclass(given, VMStateMachine)):
        raise SettingsError(f"{machine!r} is no VMStateMachine", hint="derive the class from it")
    base = wanted or settings(max_examples=30, stateful_step_count=10)
    if wanted is None and getattr(machine, "_hypothesis_internal_settings_applied", False):
        base = machine.TestCase.settings  # of the decorator
    all_checks: list[Any] = [*HealthCheck]
    chosen = settings(
        base,
        deadline=None,
        suppress_health_check=all_checks,
        phases=[phase for phase in base.phases if phase != Phase.explain],
    )
    # Of the same name and place, by which hypothesis knows its examples.
    names = {name: getattr(machine, name) for name in ("__module__", "__qualname__", "__doc__")}
    names["_space"] = space
    own: Any = new_class(machine.__name__, (machine,), exec_body=lambda body: body.update(names))
    try:
        run_state_machine_as_test(own, settings=chosen)
    finally:
        space.end()
