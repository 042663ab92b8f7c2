"""
The process of a machine that runs without VirtualBox's kernel driver.

Run as a script, with the standard library alone: ``driverless_main.py FOLDER --startvm UUID``.

``VBoxHeadless`` is a set-uid stub that opens ``/dev/vboxdrv`` and gives up without it. The program
itself is ``VBoxHeadless.so``; it needs a process whose support library was initialised first. Since
7.0 that library can be told to do without the driver, and the guest then runs in VirtualBox's own
interpreter (IEM). The process takes the machine's lock itself, as ``VBoxHeadless`` typed at a
prompt does.
"""

from __future__ import annotations

import ctypes
import os
import sys

# include/VBox/sup.h of VirtualBox 7: SUPR3INIT_F_*
UNRESTRICTED = 1 << 0
DRIVERLESS = 1 << 2
DRIVERLESS_IEM_ALLOWED = 1 << 3


def main(folder: str, arguments: list[str]) -> int:
    """Become the VM process; returns when the machine is off."""
    runtime = ctypes.CDLL(os.path.join(folder, "VBoxRT.so"), mode=ctypes.RTLD_GLOBAL)  # noqa: PTH118 - no pathlib: 15 ms
    words = [b"VBoxHeadless", *(os.fsencode(word) for word in arguments)]
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    pointer = ctypes.cast(argv, ctypes.POINTER(ctypes.c_char_p))
    status = runtime.RTR3InitExe(len(words), ctypes.pointer(pointer), 0)
    if status < 0:
        print(f"VirtualBox's runtime does not start: RTR3InitExe gave {status}", flush=True)  # noqa: T201 - goes to the log
        return 1
    status = runtime.SUPR3InitEx(UNRESTRICTED | DRIVERLESS | DRIVERLESS_IEM_ALLOWED, None)
    if status < 0:
        print(f"no driverless mode: SUPR3InitEx gave {status}", flush=True)  # noqa: T201 - goes to the log
        return 1
    program = ctypes.CDLL(os.path.join(folder, "VBoxHeadless.so"), mode=ctypes.RTLD_GLOBAL)  # noqa: PTH118 - no pathlib: 15 ms
    environment = (ctypes.c_char_p * 1)(None)
    return int(program.TrustedMain(len(words), pointer, environment))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
