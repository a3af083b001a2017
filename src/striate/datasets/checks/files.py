"""Single files: images and masks that cannot be used, or are odd."""

from __future__ import annotations

from collections.abc import Iterator

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.errors import listing
from striate.images.masks import MaskedFiles, without_class

_SMALL_PX = 16


def unreadable(evidence: DatasetScan) -> Iterator[Problem]:
    """Find files that cannot be decoded, and those of which Pillow has something to say."""
    for where, look in zip(evidence.where, evidence.looks, strict=True):
        for failure in look.failures:
            place, what, fix = parted(failure, where)
            yield Problem(
                kind="unreadable", where=place, what=what, fix=fix or "put in an undamaged file, or remove it"
            )
        if look.warnings:
            fix = "save the image anew if it looks wrong"
            yield Problem(kind="warning", where=where, what=listing(look.warnings, 2), fix=fix, severity="note")


def small(evidence: DatasetScan) -> Iterator[Problem]:
    """Find images that show next to nothing."""
    for where, look in zip(evidence.where, evidence.looks, strict=True):
        if look.size_px and min(look.size_px) < _SMALL_PX:
            what = f"{look.size_px[1]}x{look.size_px[0]} pixels"
            fix = f"use larger images, {_SMALL_PX} pixels a side or more"
            yield Problem(kind="small", where=where, what=what, fix=fix, severity="note")


def masks(evidence: DatasetScan) -> Iterator[Problem]:
    """Find masks of another size than their image, with values that have no class, and without any label."""
    pictures = evidence.dataset.samples.pictures
    for index, look in enumerate(evidence.looks):
        where = str(pictures.masks[index]) if isinstance(pictures, MaskedFiles) else evidence.where[index]
        if look.size_px and look.mask_size_px and look.size_px != look.mask_size_px:
            yield _size_differs(where, evidence.where[index], look.mask_size_px, look.size_px)
        if look.counts is None:
            continue
        if look.counts.unknown:
            what, fix = without_class(look.counts.unknown, most=5)
            yield Problem(kind="mask-value", where=where, what=what, fix=fix)
        elif not look.counts.classes:
            fix = "label it, or move the image and its mask away"
            yield Problem(kind="unlabelled", where=where, what="no pixel has a class", fix=fix, severity="note")


def nothing_labelled(evidence: DatasetScan) -> Iterator[Problem]:
    """Find training images of which not one has a label."""
    counts = [evidence.looks[row].counts for row in evidence.dataset.splits["train"]]
    if counts and all(found is not None and not found.classes and not found.unknown for found in counts):
        fix = "label some of them; a pixel without a label teaches nothing"
        what = f"in {len(counts):,} masks no pixel has a class"
        yield Problem(kind="unlabelled", where="train", what=what, fix=fix)


def parted(message: str, where: str) -> tuple[str, str, str]:
    """Part an error's message into the place that it begins with, what is wrong there, and what it advises."""
    place, colon, rest = message.partition(": ")
    if message.startswith(f"{where}: "):
        place, rest = where, message.removeprefix(f"{where}: ")
    elif not colon or (" " in place.strip() and "/" not in place):
        place, rest = where, message
    rest = rest.rstrip(".")
    what, semicolon, fix = rest.rpartition("; ")
    if not semicolon or rest.endswith(")"):
        return place, rest, ""
    return place, what, fix


def _size_differs(mask: str, image: str, mask_size_px: tuple[int, int], size_px: tuple[int, int]) -> Problem:
    turned = mask_size_px == size_px[::-1]
    return Problem(
        kind="mask-size",
        where=mask,
        what=f"{mask_size_px[1]}x{mask_size_px[0]}, and its image {image} is {size_px[1]}x{size_px[0]}"
        + (", turned" if turned else ""),
        fix="turn the mask as the image is turned (its EXIF data may do so)" if turned else "save it in the same size",
    )
