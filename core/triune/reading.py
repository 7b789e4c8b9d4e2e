"""A user's file on its way in: its bytes, unzipped and decoded, or one sentence on what keeps it out."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from typing import TYPE_CHECKING

from triune.errors import DataError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def described(path: Path, folder: Path) -> str:
    """Return a path as a reader of the configuration knows it: from its folder where it lies below."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def bytes_of(path: Path, place: str) -> bytes:
    """Return what is in a file.

    Raises:
        DataError: it is not there or cannot be read; `place` is what messages call it.
    """
    if path.is_dir():
        files = sorted(one.name for one in path.iterdir() if one.is_file())
        raise DataError(f"{place}: a folder, and a file is needed; files in it: {listed(files) or 'none'}")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise DataError(f"{place}: no such file, and no folder {str(path.parent)!r} either") from None
        files = sorted(one.name for one in path.parent.iterdir() if one.is_file())
        raise DataError(f"{place}: no such file{nearest(path.name, files)}; name one that exists") from None
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {error.strerror}; check the file and its permissions") from error


def unzipped(written: bytes, place: str) -> bytes:
    """Return bytes as they were before gzip, if it wrote them.

    Raises:
        DataError: the gzip file is damaged.
    """
    if not written.startswith(b"\x1f\x8b"):
        return written
    try:
        return gzip.decompress(written)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{place}: the gzip file is damaged ({error}); fetch or write it again") from error


def decoded(written: bytes, encoding: str, place: str) -> str:
    """Return the text of a file, without byte-order mark.

    Raises:
        DataError: a byte does not fit the encoding, or the text holds NUL.
    """
    try:
        text = written.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = written.count(b"\n", 0, start) + 1
        others = "utf-16" if written.startswith(UTF_16) else "cp1252 (Windows), latin-1, utf-16"
        raise DataError(
            f"{place}:{line}: byte 0x{written[start]:02X} does not fit the encoding {encoding!r}; "
            f"name the file's own as data.encoding: {others}"
        ) from None
    if "\0" in text:
        line = len(re.findall(r"\r\n|\r|\n", text[: text.index("\0")])) + 1
        raise DataError(f"{place}:{line}: a NUL character, which no text holds; remove it, or name data.encoding")
    if not text.strip():
        raise DataError(f"{place}: the file holds nothing but blanks; give it examples")
    return text


def known_encoding(encoding: str) -> str:
    """Return the name of an encoding of text.

    Raises:
        ValueError: it is none.
    """
    try:
        "a".encode(encoding)
    except (LookupError, UnicodeError, ValueError):
        raise ValueError(f"{encoding!r} is no text encoding; usual ones: utf-8, cp1252, utf-16") from None
    return encoding


def first_of(problems: Sequence[str], most: int = 5) -> str:
    """Return the first of many problems, and how many more there are."""
    rest = len(problems) - most
    return "\n".join([*problems[:most], *([f"… and {rest} more"] if rest > 0 else [])])
