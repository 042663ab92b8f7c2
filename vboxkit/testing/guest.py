"""What rules do things with in the guest: commands and functions, whose answers are remembered."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from vboxkit.errors import CommandFailedError, SettingsError
from vboxkit.testing.tree import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from typing_extensions import Unpack

    from vboxkit.core.result import Result
    from vboxkit.core.waiting import Timeout
    from vboxkit.lab.vm import VM

__all__ = ["StateGuest"]

T = TypeVar("T")


class _Options(TypedDict, total=False):
    """The options of a command, as of `SSH.run`, and whether it changes anything."""

    cwd: str | None
    env: Mapping[str, str] | None
    user: str | None
    input: bytes | str | None
    timeout: Timeout | None
    changes: bool


class StateGuest:
    """
    The guest of a state machine; its attribute `VMStateMachine.guest`.

    All that rules and invariants do in the guest goes through it, for it remembers: what was done
    before, after the same actions, is not done again; the answer is the one that it gave then. So
    a guest whose answers depend on more than what was done in it (the time, another machine) gives
    old ones.

    ``changes=False`` says that an action leaves the guest as it is, as one that only reads: then it
    is no part of the way to a state, and examples with and without it share their states.
    """

    def __init__(self, act: Callable[[Action[VM]], Any]) -> None:
        self._act = act

    def run(self, command: str | Sequence[str], **options: Unpack[_Options]) -> Result:
        """
        Run a command, see `SSH.run`; its exit code is not judged.

        Args:
            command: A shell line, or a list of arguments that no shell interprets.
            options: ``cwd``, ``env``, ``user``, ``input``, ``timeout`` (seconds) as of `SSH.run`,
                and ``changes``.

        Raises:
            CommandTimeoutError: It did not end in time; that is not remembered.
            GuestConnectionError: Likewise.

        Example:
            ``assert self.guest.run("store get a", changes=False).stdout == "1"``
        """
        changes = options.pop("changes", True)
        line: Any = command if isinstance(command, str) else list(command)
        rest: Any = dict(options)
        env = rest.get("env")
        key = (
            line if isinstance(line, str) else tuple(line),
            rest.get("cwd"),
            None if env is None else tuple(sorted(env.items())),
            rest.get("user"),
            rest.get("input"),
        )
        result: Result = self._act(
            Action(key, lambda vm: vm.ssh.run(line, **rest), repr(command), changes)
        )
        return result

    def succeed(self, command: str | Sequence[str], **options: Unpack[_Options]) -> str:
        """
        Run a command that must end with exit code 0, and return its output; see `run`.

        Raises:
            CommandFailedError: It ended otherwise.
        """
        result = self.run(command, **options)
        if not result.ok:
            raise CommandFailedError(f"command failed: {result.describe()}", result=result)
        return result.stdout

    def fail(self, command: str | Sequence[str], **options: Unpack[_Options]) -> Result:
        """
        Run a command that must not end with exit code 0; see `run`.

        Raises:
            CommandFailedError: It did.
        """
        result = self.run(command, **options)
        if result.ok:
            raise CommandFailedError(
                f"command succeeded but should fail: {result.describe()}", result=result
            )
        return result

    def do(self, function: Callable[..., T], *args: Hashable, changes: bool = True) -> T:
        """
        Call a function with the machine and more arguments.

        What it raises is not remembered, and the machine it did so with is given up. A machine that
        does not run afterwards is fine: no checkpoint is made of it.

        Args:
            function: Called as ``function(vm, *args)``; what else it needs are arguments, not
                variables of the rule: they are how actions are told apart.
            args: Its arguments.
            changes: Whether the guest is another one afterwards.

        Returns:
            What it returns: plain data; each caller gets a copy.

        Raises:
            SettingsError: The function is a method, or uses variables of the rule; the arguments
                are not hashable.

        Example:
            ``self.guest.do(lambda vm: (vm.power_off(), vm.start(), None)[-1])``
        """
        _check(function, args)
        code: Any = function
        key = (code.__code__, code.__defaults__, args)
        name = getattr(function, "__qualname__", repr(function))
        what = f"{name}{args}"
        answer: T = self._act(
            Action(key, lambda vm: copy.deepcopy(function(vm, *args)), what, changes)
        )
        return copy.deepcopy(answer)


def _check(function: Callable[..., object], args: tuple[object, ...]) -> None:
    """Refuse what cannot be told apart from other actions."""
    if not inspect.isfunction(function) or function.__closure__ or function.__kwdefaults__:
        raise SettingsError(
            f"guest.do: {function!r} is no plain function: what it needs besides the machine would"
            " not be seen",
            hint="guest.do(function, argument, ...), with a function of the module or a lambda that"
            " uses its arguments alone",
        )
    try:
        hash(args)
    except TypeError as error:
        raise SettingsError(
            f"guest.do: the arguments {args!r} cannot be told apart: {error}",
            hint="give texts, numbers and tuples of them",
        ) from error
