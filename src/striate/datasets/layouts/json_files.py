"""JSON files of annotations: reading them, and checking their numbers."""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from striate.errors import DataError

_LARGEST = 1e9  # no coordinate is: a thousand kilometres in mm


@contextmanager
def errors_in(file: Path) -> Iterator[None]:
    """Put a file's path before the places that the DataErrors of a block name."""
    try:
        yield
    except DataError as error:
        raise error.at(str(file)) from None


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; raises DataError, which does not name the file."""
    try:
        document = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError("", f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DataError("", "is not UTF-8 text", "save it as UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DataError(where, f"damaged JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; brackets in thousands of brackets
        raise DataError("", f"damaged JSON ({str(error).split(';')[0]})") from None
    if not isinstance(document, dict):
        raise DataError("", "is no JSON object", "wanted: {…}, with names and values")
    return document


def count_keys(file: Path, keys: Iterable[str]) -> int:
    """Count how many of a few keys a JSON file has, at any depth; the file is searched as text and not parsed."""
    with file.open("rb") as opened:
        if os.fstat(opened.fileno()).st_size == 0:
            return 0
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return sum(re.search(rb'"%s"\s*:' % key.encode(), content) is not None for key in keys)


def number_rows(
    rows: Sequence[Any], width: int, fault: Callable[[int], DataError]
) -> Float64[np.ndarray, "rows width"]:
    """Bring rows of numbers from a JSON file into one array.

    Raises:
        DataError: a row is no list of `width` finite numbers; `fault` makes the error of the first such row.
    """
    try:
        flat: list[Any] = list(chain.from_iterable(rows))
        if set(map(type, flat)) <= {int, float} and set(map(len, rows)) <= {width}:
            values = np.array(flat, dtype=np.float64)
            if np.all(np.abs(values) <= _LARGEST):  # which no NaN is
                return values.reshape(len(rows), width)
    except (TypeError, OverflowError):
        pass
    raise fault(next(index for index, row in enumerate(rows) if not _is_numbers(row, width)))


def _is_numbers(row: object, width: int) -> bool:
    """Tell whether a row is a list of so many finite numbers; true and false are none."""
    if not isinstance(row, list) or len(row) != width:
        return False
    return all(type(value) in (int, float) and abs(value) <= _LARGEST for value in row)
