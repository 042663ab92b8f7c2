"""Reading text in pictures (the only user of pillow and pytesseract, which are optional)."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from vboxkit.errors import ModuleMissingError

__all__ = ["picture", "read_text"]

#: Letters of a text console are 9 by 16 pixels; enlarged twice they were read best.
_ENLARGE = 2


def picture(png: bytes) -> Any:
    """
    Return a PNG as an image of Pillow's.

    Raises:
        ModuleMissingError: Pillow is not installed.
    """
    try:
        opener = import_module("PIL.Image")
    except ImportError as error:
        raise ModuleMissingError(
            "images need the package pillow, which is not installed",
            module="pillow",
            hint="pip install vboxkit[ocr]",
        ) from error
    image = opener.open(io.BytesIO(png))
    image.load()
    return image


def read_text(png: bytes, *, language: str) -> str:
    """
    Return the text in a PNG, lines as they stand.

    Raises:
        ModuleMissingError: pillow, pytesseract, the program tesseract or its language is not
            installed.
    """
    try:
        pytesseract = import_module("pytesseract")
    except ImportError as error:
        raise ModuleMissingError(
            "reading text on a screen needs the package pytesseract, which is not installed",
            module="pytesseract",
            hint="pip install vboxkit[ocr], and the program: apt-get install tesseract-ocr",
        ) from error
    grey = picture(png).convert("L")
    operations = import_module("PIL.ImageOps")
    # It wants dark letters on light.
    if import_module("PIL.ImageStat").Stat(grey).mean[0] < 128:
        grey = operations.invert(grey)
    large = grey.resize((grey.width * _ENLARGE, grey.height * _ENLARGE))
    # With a margin: letters at the very edge are not seen. 6: one block of text, as it stands.
    framed = operations.expand(large, border=20, fill=255)
    try:
        text = str(pytesseract.image_to_string(framed, lang=language, config="--psm 6"))
    except pytesseract.TesseractNotFoundError as error:
        raise ModuleMissingError(
            "reading text on a screen needs the program tesseract, which is not installed",
            module="tesseract",
            hint="apt-get install tesseract-ocr, or brew install tesseract",
        ) from error
    except pytesseract.TesseractError as error:
        if "language" not in str(error).lower():
            raise
        raise ModuleMissingError(
            f"tesseract has no data for the language {language!r}",
            module=f"tesseract-{language}",
            hint=f"apt-get install tesseract-ocr-{language}; tesseract --list-langs has those"
            " there are",
        ) from error
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
