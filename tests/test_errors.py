"""What can go wrong is data: fields first, a line made of them."""

from __future__ import annotations

import copy

from striate import errors
from striate.errors import ConfigError, DataError, InputError, listing, nearest


def test_a_line_is_made_of_the_fields():
    error = DataError("a.csv", "has no rows", "add some", ["it is empty", "0 bytes"])
    assert str(error) == "a.csv: has no rows (it is empty; 0 bytes); add some."
    assert str(DataError("a.csv", "has no rows")) == "a.csv: has no rows."
    assert str(DataError("", "there is no file", "name one")) == "there is no file; name one."


def test_a_place_is_put_before_another():
    error = DataError("row 3", "has no class", "write one", ["it has two cells"]).at("a.csv")
    assert type(error) is DataError
    assert (error.where, error.what, error.fix, error.notes) == (
        "a.csv, row 3",
        "has no class",
        "write one",
        ("it has two cells",),
    )
    assert DataError("", "is empty").at("a.csv").where == "a.csv"


def test_json_has_notes_where_there_are_any():
    assert ConfigError("lr", "is odd").document() == {"where": "lr", "what": "is odd", "fix": ""}
    assert ConfigError("lr", "is odd", "x", ["y"]).document()["notes"] == ["y"]


def test_a_copy_has_all_fields():
    """Errors of worker processes arrive as copies."""
    error = DataError("a.csv", "has no rows", "add some", ["it is empty"])
    assert type(copy.copy(error)) is DataError
    assert copy.copy(error).document() == error.document()


def test_the_tree_in_the_docstring_is_that_of_the_classes():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__]
    for kind in kinds:
        assert f" {kind.__name__} " in errors.__doc__.replace("\n", " ")
    assert issubclass(InputError, ValueError)


def test_names_are_suggested_and_listed():
    assert nearest("resnet81", ["lenet5", "resnet18"]) == " (did you mean resnet18?)"
    assert nearest("x", ["lenet5"]) == ""
    assert listing(range(3)) == "0, 1, 2"
    assert listing(range(2000)) == "0, 1, 2 and 1,997 more"
