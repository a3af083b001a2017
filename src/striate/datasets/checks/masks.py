"""Masks: of another size than their image, with values that have no class, without any label."""

from __future__ import annotations

from collections.abc import Iterator

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.scan import DatasetScan
from striate.datasets.labels import MaskLabels
from striate.images.masks import without_class


def size_differs(scan: DatasetScan, labels: MaskLabels) -> Iterator[Problem]:
    """Find masks of another size than their image."""
    for index, (where, image) in enumerate(zip(scan.where, scan.scans, strict=True)):
        if image.size_px and image.plane and image.size_px != image.plane.source_size_px:
            (height, width), (image_height, image_width) = image.plane.source_size_px, image.size_px
            turned = (height, width) == (image_width, image_height)
            yield Problem(
                kind="mask-size",
                where=labels.planes.where(index),
                what=f"{width}x{height}, and its image {where} is {image_width}x{image_height}"
                + (", turned" if turned else ""),
                fix="turn the mask as the image is turned (its EXIF data may do so)"
                if turned
                else "save it in the same size",
            )


def values_without_class(scan: DatasetScan, labels: MaskLabels) -> Iterator[Problem]:
    """Find masks with values or colours that have no class, and masks without any label."""
    for index, image in enumerate(scan.scans):
        if image.plane is None:
            continue
        if image.plane.unknown:
            what, fix = without_class(image.plane.unknown, most=5)
            yield Problem(kind="mask-value", where=labels.planes.where(index), what=what, fix=fix)
        elif not image.plane.classes:
            fix = "label it, or move the image and its mask away"
            what = "no pixel has a class"
            yield Problem(kind="unlabelled", where=labels.planes.where(index), what=what, fix=fix, severity="note")


def nothing_labelled(scan: DatasetScan, labels: MaskLabels) -> Iterator[Problem]:
    """Find out whether no training mask has a label."""
    planes = [scan.scans[row].plane for row in scan.dataset.splits["train"]]
    if planes and all(plane is not None and not plane.classes and not plane.unknown for plane in planes):
        fix = "label some of them; a pixel without a label teaches nothing"
        what = f"in {len(planes):,} masks no pixel has a class"
        yield Problem(kind="unlabelled", where="train", what=what, fix=fix)
