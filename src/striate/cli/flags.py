"""How flags are read, where tyro would read them otherwise."""

from __future__ import annotations

import math

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

FLAGS = ConstructorRegistry()


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
