"""JSON that every reader takes."""

from __future__ import annotations

import json
import math

from striate.system import strict_json


def test_what_is_no_finite_number_is_null():
    document = {"a": [1.5, math.nan, (math.inf, -math.inf)], "b": {"c": math.nan, "d": True}}
    assert json.loads(strict_json.dumps(document)) == {"a": [1.5, None, [None, None]], "b": {"c": None, "d": True}}


def test_any_name_survives_as_ascii():
    names = ["grün", "🐱", "\udcff", 'a"b\n']
    text = strict_json.dumps(names)
    assert text.isascii()
    assert json.loads(text) == names
