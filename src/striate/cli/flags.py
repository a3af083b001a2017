"""How flags are parsed where tyro's defaults don't fit."""

from __future__ import annotations

import dataclasses
import functools
import math
from contextvars import ContextVar
from typing import Any

from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructTypeInfo,
)

FLAGS = ConstructorRegistry()


class Values:
    """The values of a dataclass as parsed by tyro; `build` makes the dataclass.

    tyro turns errors that a dataclass raises into text. So dataclasses are made only after parsing, and their errors
    keep their fields.
    """

    def __init__(self, kind: type[Any], values: dict[str, Any]) -> None:
        self._kind, self._values = kind, values

    def build(self) -> Any:
        """Make the dataclass and those nested in it; raises what they raise."""
        values = {name: value.build() if isinstance(value, Values) else value for name, value in self._values.items()}
        return self._kind(**values)


_default_rule: ContextVar[bool] = ContextVar("tyro's own rule is wanted", default=False)


@FLAGS.struct_rule
def _collect_values(type_info: StructTypeInfo) -> StructConstructorSpec | None:
    """Parse a dataclass by tyro's own rule, but collect its values instead of making it."""
    if _default_rule.get() or not dataclasses.is_dataclass(type_info.type):
        return None
    token = _default_rule.set(True)
    try:
        spec = ConstructorRegistry.get_struct_spec(type_info)
    finally:
        _default_rule.reset(token)
    assert isinstance(spec, StructConstructorSpec)

    @functools.wraps(type_info.type, updated=())
    def collect(**values: Any) -> Values:
        return Values(type_info.type, values)

    return dataclasses.replace(spec, instantiate=collect)


@FLAGS.primitive_rule
def _numbers(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[tuple[float, ...]] | None:
    """Parse numbers as one word, 30,60, so that they cannot be confused with what follows; no numbers are auto."""
    if type_info.type != tuple[float, ...]:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="NUMBER,…|auto",
        instance_from_str=lambda words: () if words[0] == "auto" else tuple(map(_number, words[0].split(","))),
        is_instance=lambda value: isinstance(value, tuple) and all(isinstance(part, int | float) for part in value),
        str_from_instance=lambda numbers: [",".join(f"{number:g}" for number in numbers) or "auto"],
    )


@FLAGS.primitive_rule
def _whole_number_or_none(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int | None] | None:
    """Parse a whole number, or the word none instead of Python's None."""
    if type_info.type != int | None:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT|none",
        instance_from_str=lambda words: None if words[0] == "none" else int(words[0]),
        is_instance=lambda value: value is None or isinstance(value, int),
        str_from_instance=lambda number: ["none" if number is None else str(number)],
    )


def _number(word: str) -> float:
    """Parse a number; a whole number stays an int, so that it is shown as it was written."""
    try:
        number = float(word)
    except ValueError:
        raise ValueError(f"{word!r} is not a number; write numbers as 30,60") from None
    return int(number) if math.isfinite(number) and number.is_integer() else number
