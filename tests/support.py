"""What tests of several rooms share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from striate.errors import InputError


@contextmanager
def raises(kind: type[InputError], *, where: str = "", what: str = "", fix: str = "") -> Iterator[None]:
    """Have a block raise an error whose fields each match a pattern, which is searched for in that field."""
    with pytest.raises(kind) as caught:
        yield
    for field, pattern in (("where", where), ("what", what), ("fix", fix)):
        text = getattr(caught.value, field)
        assert re.search(pattern, text), f"{field} is {text!r}, and does not match {pattern!r}"
