"""How flags are read, where tyro would read them otherwise."""

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
    """The values of a dataclass as tyro reads them; `build` makes the dataclass of them.

    tyro turns an error that a dataclass raises when it is made into a text of its own. This way none is made until tyro
    is done, and errors keep their fields.
    """

    def __init__(self, kind: type[Any], **values: Any) -> None:
        self._kind, self._values = kind, values

    def build(self) -> Any:
        """Make the dataclass, and those in it; raises what they raise."""
        values = {name: value.build() if isinstance(value, Values) else value for name, value in self._values.items()}
        return self._kind(**values)


_tyros_own: ContextVar[bool] = ContextVar("tyro's own rule is asked", default=False)


@FLAGS.struct_rule
def _collect_values(type_info: StructTypeInfo) -> StructConstructorSpec | None:
    """Read a dataclass by tyro's own rule, and collect its values in place of making it."""
    if _tyros_own.get() or not dataclasses.is_dataclass(type_info.type):
        return None
    token = _tyros_own.set(True)
    try:
        spec = ConstructorRegistry.get_struct_spec(type_info)
    finally:
        _tyros_own.reset(token)
    assert isinstance(spec, StructConstructorSpec)
    return dataclasses.replace(spec, instantiate=functools.partial(Values, type_info.type))


@FLAGS.primitive_rule
def _numbers(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[tuple[float, ...]] | None:
    """Read numbers as one word, 30,60, so that flags and what follows them cannot be mixed up; none of them is auto."""
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
    """Read a whole number, or none; Python's None is no word of ours."""
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
    """Read a number; a whole one stays whole, so that it is shown as it was written."""
    try:
        number = float(word)
    except ValueError:
        raise ValueError(f"{word!r} is no number; write them as 30,60") from None
    return int(number) if math.isfinite(number) and number.is_integer() else number
