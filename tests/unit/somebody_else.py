"""Asks a function as a user without rights."""

from __future__ import annotations

import json
import os
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["as_nobody"]


def as_nobody(function: Callable[[], Any]) -> Any:
    """
    Return what a function returns in a process of nobody's; it must fit into JSON.

    What it imports has to be loaded before: nobody may not be allowed to read it.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(write, json.dumps(function()).encode())
        except BaseException:  # it must never go on as a second pytest
            os.write(write, json.dumps({"failed": traceback.format_exc()}).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        told = json.loads(answer.read())
    os.waitpid(child, 0)
    assert not (isinstance(told, dict) and "failed" in told), told["failed"]
    return told
