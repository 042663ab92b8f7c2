"""``vboxkit completion``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

__all__ = ["completion", "shells"]

_SHELLS = ("bash", "zsh", "fish")
_EPILOG = """\b
Examples:
  vboxkit completion bash > ~/.local/share/bash-completion/completions/vboxkit
  vboxkit completion zsh > ~/.zfunc/_vboxkit      # a folder of your fpath
  vboxkit completion fish > ~/.config/fish/completions/vboxkit.fish
\b
For this terminal alone: eval "$(vboxkit completion bash)"
"""

#: As click's, but quiet, with names of several words, and without a blank after a colon.
_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' type value line
    COMPREPLY=()
    while read -r line; do
        type=${line%%%%,*} value=${line#*,}
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *: ]] && compopt -o nospace ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
%(complete_var)s=bash_complete "$1" 2> /dev/null)
    if declare -F __ltrim_colon_completions > /dev/null; then
        __ltrim_colon_completions "${COMP_WORDS[COMP_CWORD]}"
    fi
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(*, shell: str) -> None:
    """
    Print the script by which a shell completes commands, options and names.

    Names of machines, snapshots and images are read from files: no VirtualBox is started.
    """
    from vboxkit.cli.__main__ import cli
    from vboxkit.cli.completing import VARIABLE

    click.echo(shells()[shell](cli, {}, "vboxkit", VARIABLE).source())


def shells() -> dict[str, type[ShellComplete]]:
    """Return how each shell asks and is answered."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    class Bash(BashComplete):
        source_template = _BASH

        @staticmethod
        def _check_version() -> None:
            """Leave the shell that runs alone: the script may be for another one."""

        def format_completion(self, item: Any) -> str:
            # It is inserted as it is: blanks and what else means something are escaped.
            value = re.sub(r"([^\w@%+=:,./~-])", r"\\\1", item.value)
            return f"{item.type},{value}"

    return {"bash": Bash, "zsh": ZshComplete, "fish": FishComplete}
