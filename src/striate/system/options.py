"""Options as frozen dataclasses: each annotation says which values an option takes, and one check reads them all.

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    lr: Annotated[float | Literal["default", "auto"], Gt(0)] = "default"

Bounds (annotated-types) hold for the number among what is allowed; `Wanted` puts other words in the place of those that
follow from the annotation, `Predicate` adds what bounds cannot say.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, Predicate

from striate.errors import ConfigError


class Options:
    """A group of options: a frozen, keyword-only dataclass, which checks every value when it is made.

    A `__post_init__` of a group, for rules about several options, calls that of the next group first.
    """

    def __post_init__(self) -> None:
        """Raise ConfigError for the first option whose value is not what its annotation allows."""
        for name, rule in _rules(type(self)).items():  # type: ignore[arg-type]  # a class can be hashed
            self.require(name, rule.accepts(getattr(self, name)), rule.words)

    def require(self, name: str, fits: bool, wanted: str) -> None:
        """Raise ConfigError where an option does not fit; says what is wanted of it, and what it is."""
        if not fits:
            raise ConfigError(name, f"must be {wanted}, not {written(getattr(self, name))}")


@dataclass(frozen=True)
class Wanted:
    """In an annotation: what is wanted, in words that stand behind "must be"."""

    words: str


@dataclass(frozen=True)
class Rule:
    """What an annotation asks of a value.

    Attributes:
        words: that, as it stands behind "must be".
        accepts: tells whether a value is so.
    """

    words: str
    accepts: Callable[[object], bool]


@functools.cache
def _rules(group: type[Any]) -> dict[str, Rule]:
    """Read the annotations of all options of a group, those of its bases among them."""
    hints = get_type_hints(group, include_extras=True)
    return {option.name: read_rule(hints[option.name]) for option in fields(group)}


def read_rule(annotation: Any) -> Rule:
    """Return what an annotation asks of a value: a type, choices, or several of these, within bounds.

    >>> read_rule(Annotated[float | Literal["default", "auto"], Gt(0)]).words
    'a positive number, default, or auto'
    """
    annotation, *extras = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    choices = [choice for member in members if get_origin(member) is Literal for choice in get_args(member)]
    kinds = [member for member in members if get_origin(member) is not Literal]
    limits = {type(extra): getattr(extra, _BOUNDS[type(extra)][0]) for extra in extras if type(extra) in _BOUNDS}
    predicates = [extra.func for extra in extras if isinstance(extra, Predicate)]
    words = next((extra.words for extra in extras if isinstance(extra, Wanted)), _words(kinds, choices, limits))

    def accepts(value: object) -> bool:
        if isinstance(value, str) and value in choices:
            return True
        return any(_is_of(value, kind, limits) for kind in kinds) and all(holds(value) for holds in predicates)

    return Rule(words, accepts)


_BOUNDS: dict[type, tuple[str, Callable[[Any, Any], bool], str]] = {
    Gt: ("gt", operator.gt, "above"),
    Ge: ("ge", operator.ge, "at least"),
    Lt: ("lt", operator.lt, "below"),
    Le: ("le", operator.le, "at most"),
}


def _is_of(value: object, kind: Any, limits: Mapping[type, float]) -> bool:
    """Tell whether a value is of a type and, where that is one of numbers, within limits."""
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_of(part, get_args(kind)[0], limits) for part in value)
    if kind not in (int, float):
        return not isinstance(kind, type) or isinstance(value, kind)  # what is no type, its command checks itself
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        return False
    return math.isfinite(value) and all(_BOUNDS[bound][1](value, limit) for bound, limit in limits.items())


def _words(kinds: Sequence[Any], choices: Sequence[str], limits: Mapping[type, float]) -> str:
    """Say what is allowed, numbers first."""
    known = {int: _number("a whole number, ", limits), float: _number("", limits), bool: "true or false", str: "text"}
    parts = [known.get(kind, "of another type") for kind in kinds if kind is not NoneType]
    if not parts:
        return f"one of {', '.join(choices)}"
    parts += choices
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, or {parts[-1]}"


def _number(noun: str, limits: Mapping[type, float]) -> str:
    """Say which numbers limits leave: `a whole number, 1 or more`; `at least 0 and below 1`; `a positive number`."""
    if not noun and limits == {Gt: 0}:
        return "a positive number"
    if limits.keys() == {Ge, Le}:
        return f"{noun.replace(',', '')}from {limits[Ge]:,} to {limits[Le]:,}"
    if limits.keys() == {Ge}:
        return f"{noun}{limits[Ge]:,} or more"
    bounds = " and ".join(f"{_BOUNDS[bound][2]} {limit:,}" for bound, limit in limits.items())
    return f"{noun}{bounds}".removesuffix(", ") or "a number"


def written(value: object) -> str:
    """Write a value as the command line takes it: several of something are one word."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
