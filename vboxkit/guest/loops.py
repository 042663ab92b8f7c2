"""The shell script by which a guest looks itself, again and again, whether conditions hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vboxkit.guest.readiness import AllOf, AnyOf, Condition, GuestTest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HOPELESS", "NOT_YET", "script"]

#: Exit codes: a condition that cannot come; and not yet, nobody waits any more.
HOPELESS = 71
NOT_YET = 75

# To start a process takes an emulated guest 50 ms and more, so a look starts none where that can
# be: it naps by a `read` with a limit, of its input, on which nothing is ever written. When that
# ends, nobody waits any more. bash and busybox have such a `read`, and tell by code or variable
# which of the two it was; any other shell starts `sleep`, and ends by its limit.
_HEAD = """
never() {{ printf 'never %s\\n' "$1"; shift; [ $# = 0 ] || printf '%s\\n' "$@"; exit {hopeless}; }}
exec 3<&0 </dev/null
nap() {{
    word=-
    read -t 0.02 -u 3 word 2>/dev/null
    code=$?
    if [ -n "$BASH_VERSION" ] && [ $code -gt 128 ]; then
        nap() {{ read -t 0.02 -u 3 word; [ $? -gt 128 ] || exit {not_yet}; }}
    elif [ -z "$BASH_VERSION" ] && [ $code = 1 ] && [ "$word" = - ]; then
        nap() {{ word=-; read -t 0.02 -u 3 word || [ "$word" = - ] || exit {not_yet}; }}
    else
        echo slow
        nap() {{ sleep 0.02 2>/dev/null || usleep 20000 2>/dev/null || sleep 1; }}
    fi
}}
now() {{ read -r up _ < /proc/uptime && now=${{up%%.*}}; }} 2>/dev/null
tries=0
limit() {{
    tries=$((tries + 1))
    [ $((tries % 25)) = 0 ] || return 0
    now || now=$((tries / 50))
    [ "$now" -lt "$end" ] || exit {not_yet}
}}
now || now=0
end=$((now + {seconds}))
{tests}
look() {{
{look}
}}
look
"""
_LOOP = """
while :; do nap; look; limit; done
"""


def script(tests: list[GuestTest], condition: Condition | None, seconds: int) -> str:
    """
    Return the script.

    It writes ``met 0 2`` when the condition holds, by the tests with these numbers, and ends; or
    ``never`` with the reason, and lines of evidence. It ends with its input, too; ``slow`` if not.

    Args:
        tests: What is looked at.
        condition: What they have to make up together; each is told for itself, once, if it is
            `None`.
        seconds: How long it goes on, by the guest's own clock.
    """
    codes = {"hopeless": HOPELESS, "not_yet": NOT_YET}
    if condition is None:
        look = _each_in_shell(len(tests))
    else:
        inside = _joined(
            condition, lambda it: f'{{ t{tests.index(it)} && met="$met {tests.index(it)}"; }}'
        )
        look = f'met=; if {inside}; then echo "met$met"; exit 0; fi'
    text = _HEAD.format(
        **codes,
        seconds=seconds,
        tests="\n".join(
            f"t{n}() {{ {test.test}\n}}{_in_bash(n, test)}" for n, test in enumerate(tests)
        ),
        look=look,
    )
    return text + _LOOP


def _each_in_shell(count: int) -> str:
    lines = [f'[ -n "$d{n}" ] || {{ t{n} && d{n}=1 && echo "met {n}"; }}' for n in range(count)]
    done = "".join(f"$d{n}" for n in range(count))
    return "\n".join([*lines, f'[ "{done}" != {"1" * count} ] || exit 0'])


def _in_bash(number: int, test: GuestTest) -> str:
    """Return another test for a port, which bash can do without a process."""
    if not test.listens:
        return ""
    return (
        f'\n[ -z "$BASH_VERSION" ] || t{number}() {{ for f in /proc/net/tcp /proc/net/tcp6; do'
        f' [ ! -r $f ] || while read -r _ a _ s _; do [ "${{a##*:}}$s" != {test.listens:04X}0A ]'
        " || return 0; done < $f; done; return 1; }"
    )


def _joined(condition: Condition, leaf: Callable[[GuestTest], str]) -> str:
    if isinstance(condition, (AllOf, AnyOf)):
        word = " && " if isinstance(condition, AllOf) else " || "
        inside = word.join(_joined(each, leaf) for each in condition.parts)
        return f"{{ {inside}; }}"
    assert isinstance(condition, GuestTest)  # noqa: S101 - nothing else is sent to a guest
    return leaf(condition)
