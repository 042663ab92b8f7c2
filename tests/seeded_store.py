"""A key-value store for a guest's shell, with a bug on purpose; and the rules that find it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis.stateful import Bundle, invariant, rule

from vboxkit.testing import VMStateMachine

if TYPE_CHECKING:
    from vboxkit import VM

__all__ = ["MINIMAL", "PATH", "SCRIPT", "Store", "install"]

PATH = "/usr/local/bin/store"
#: The bug: of a key that was deleted, `compact` drops only the last value that was put. After put,
#: put, delete and compact the first one is back.
SCRIPT = """\
#!/bin/sh
log=${STORE:-/root/store.log}
case $1 in
put) echo "put $2 $3" >>"$log" ;;
delete) echo "delete $2" >>"$log" ;;
list) [ ! -e "$log" ] || awk '$1 == "put" { v[$2] = $3 } $1 == "delete" { delete v[$2] }
    END { for (k in v) print k, v[k] }' "$log" | sort ;;
compact) [ ! -e "$log" ] || {
    awk '$1 == "delete" { delete line[at[$2]]; next }
        { line[NR] = $0; at[$2] = NR }
        END { for (i = 1; i <= NR; i++) if (i in line) print line[i] }' "$log" >"$log.new" &&
        mv "$log.new" "$log"
} ;;
*) exit 2 ;;
esac
"""
#: What hypothesis is to report.
MINIMAL = ["put", "put", "delete", "compact"]


def install(vm: VM) -> None:
    """Put the store into a guest."""
    vm.ssh.succeed(f"mkdir -p {PATH.rpartition('/')[0]}")
    vm.ssh.write_text(PATH, SCRIPT, mode=0o755)


class Store(VMStateMachine):
    """Puts, deletes and compactions; after each one the store must hold what a dict holds."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, str] = {}
        #: The rules that were run.
        self.steps: list[str] = []

    @rule(target=keys, key=st.sampled_from("ab"), value=st.sampled_from("12"))
    def put(self, key: str, value: str) -> str:
        """Give a key a value."""
        self.steps.append("put")
        self.guest.succeed([PATH, "put", key, value])
        self.model[key] = value
        return key

    @rule(key=keys)
    def delete(self, key: str) -> None:
        """Delete a key that was put before, be it there or not."""
        self.steps.append("delete")
        self.guest.succeed([PATH, "delete", key])
        self.model.pop(key, None)

    @rule()
    def compact(self) -> None:
        """Drop what is of no use any more; nothing else changes."""
        self.steps.append("compact")
        self.guest.succeed([PATH, "compact"])

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        """Nothing is lost, and nothing comes back."""
        lines = self.guest.succeed([PATH, "list"], changes=False).splitlines()
        assert dict(line.split() for line in lines) == self.model, self.steps
