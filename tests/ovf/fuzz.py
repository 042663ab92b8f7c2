"""
Fuzz the reader of appliances, led by what its code covers: ``make fuzz``, `FUZZ_SECONDS` long.

Whatever the bytes are: a record or an `OvfError`. It begins with the packages of ``test_fuzz``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["vboxkit.ovf", "tarfile", "xml"]):
    from vboxkit.errors import OvfError
    from vboxkit.ovf import inspect, verify

from tests.ovf.test_fuzz import _FILES, _OVA


def one(data: bytes) -> None:
    """Read it as an OVA and as a descriptor."""
    for suffix in (".ova", ".ovf"):
        with tempfile.NamedTemporaryFile(dir=_WORK, suffix=suffix) as file:
            file.write(data)
            file.flush()
            for read in (inspect, verify):
                with suppress(OvfError):
                    read(Path(file.name))


# A folder that is given: atheris ends the process on the spot.
_WORK = Path(sys.argv[1])
_CORPUS = _WORK / "corpus"
_CORPUS.mkdir()
(_CORPUS / "whole").write_bytes(_OVA)
(_CORPUS / "descriptor").write_bytes(_FILES["a.ovf"])
_SECONDS = os.environ.get("FUZZ_SECONDS", "60")
_LIMITS = [
    f"-max_total_time={_SECONDS}",
    "-max_len=40000",
]  # what breaks it is written here: crash-...
atheris.Setup([sys.argv[0], *_LIMITS, str(_CORPUS)], one)
atheris.Fuzz()
