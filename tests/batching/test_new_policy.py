"""A new policy of augmentation is one line: this test adds one, as CONTRIBUTING.md tells."""

from __future__ import annotations

from PIL import Image

from striate.batching.augmentation import POLICIES, Policy
from striate.cli import main


def test_it_is_a_row_of_the_sheet(colour_folders, tmp_path, monkeypatch):
    folder = str(colour_folders())
    words = ["data", folder, "--samples", "2", "--size", "16", "--sheet"]
    assert main([*words, str(tmp_path / "before.png")]) == 0
    monkeypatch.setitem(POLICIES, "grey", Policy(rotate_deg=5))
    assert main([*words, str(tmp_path / "after.png")]) == 0
    before, after = (Image.open(tmp_path / name) for name in ("before.png", "after.png"))
    assert after.width == before.width
    assert after.height - before.height == round(before.height / (len(POLICIES) - 1), -1)  # a row, and no margin
    top = after.crop((0, 0, before.width, before.height - 6))
    assert top.tobytes() == before.crop((0, 0, before.width, before.height - 6)).tobytes()
