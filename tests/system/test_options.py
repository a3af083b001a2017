from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt, Predicate
from tests.support import raises

from striate.errors import ConfigError
from striate.system.options import Options, Wanted, read_rule
from striate.training.config import TrainConfig

NAN, INFINITE = float("nan"), float("inf")


@dataclass(frozen=True, kw_only=True)
class Toy(Options):
    share: Annotated[float, Ge(0), Lt(1)] = 0.5
    side: Annotated[int | Literal["auto", "none"], Ge(2)] = "auto"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (float, "a number"),
        (bool, "true or false"),
        (Annotated[int, Ge(1)], "a whole number, 1 or more"),
        (Annotated[int, Ge(1), Le(10_000)], "a whole number from 1 to 10,000"),
        (Annotated[int | None, Ge(1), Le(255)], "a whole number from 1 to 255"),
        (Annotated[float, Ge(0)], "0 or more"),
        (Annotated[float, Gt(0)], "a positive number"),
        (Annotated[float, Ge(0), Lt(1)], "at least 0 and below 1"),
        (Annotated[float, Gt(0), Lt(1)], "above 0 and below 1"),
        (Annotated[float | Literal["auto"], Ge(0), Le(1)], "from 0 to 1, or auto"),
        (Annotated[float | Literal["default", "auto"], Gt(0)], "a positive number, default, or auto"),
        (Literal["stop", "skip"], "one of stop, skip"),
        (Literal["sgd", "adamw"] | Literal["auto"], "one of sgd, adamw, auto"),
        (Annotated[str, Predicate(bool), Wanted("a folder, or auto")], "a folder, or auto"),
    ],
)
def test_an_annotation_says_what_is_wanted(annotation, words):
    assert read_rule(annotation).words == words


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        (Annotated[int, Ge(1)], [1, 2**70], [0, 1.0, True, "1", None, NAN]),
        (Annotated[int | None, Ge(1)], [None, 1], [0, "none", False]),
        (Annotated[float, Ge(0), Lt(1)], [0, 0.0, 0.5], [-0.1, 1, NAN, INFINITE, True, "0"]),
        (Annotated[float | Literal["auto"], Gt(0)], ["auto", 1, 1e-9], ["none", 0, "", INFINITE]),
        (Literal["a", "b"], ["a", "b"], ["c", "", 1, None, ("a",)]),
        (tuple[str, ...], [(), ("a", "b")], [["a"], ("a", 1), "a"]),
        (Annotated[tuple[float, ...], Gt(0)], [(), (1, 2.5)], [(0,), (1, NAN), (True,), [1]]),
        (Annotated[str, Predicate(bool)], ["a"], ["", 1]),
        (bool, [True, False], [0, 1, "true", None]),
    ],
)
def test_values_are_taken_or_refused(annotation, right, wrong):
    rule = read_rule(annotation)
    assert all(rule.accepts(value) for value in right)
    assert not any(rule.accepts(value) for value in wrong)


def test_an_error_names_option_wish_and_value():
    with raises(ConfigError, where="^share$", what="^must be at least 0 and below 1, not 1.5$"):
        Toy(share=1.5)
    with raises(ConfigError, where="^side$", what="^must be a whole number, 2 or more, auto, or none, not 1$"):
        Toy(side=1)


def test_every_option_of_a_training_has_words():
    TrainConfig()  # the defaults themselves are in order
    for option in fields(TrainConfig):
        if isinstance(option.default, str | int | float | bool):
            with raises(ConfigError, where=f"^{option.name}$", what="^must be .{8,}, not "):
                TrainConfig(**{option.name: [0]})
