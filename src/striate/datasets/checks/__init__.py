"""What can be wrong with data, a family a file.

problem.py   one problem, and the kinds of them
looking.py   one pass over all pictures -> DatasetScan
layout.py    all that keeps class folders from being read
files.py     single files: unreadable, odd, small; masks
content.py   identical images
near.py      images that look alike
classes.py   balance, classes that splits lack
joints.py    joints without a place, off the image; limbs
sides.py     left and right

A check is a function that yields problems: of what was seen (`CHECKS`), or of joints by themselves (`JOINT_CHECKS`).
A new one is a function, and a line in one of these; a new kind is a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from striate.datasets.checks import classes, content, files, joints, near, sides
from striate.datasets.checks.problem import KINDS, Problem, Severity
from striate.datasets.checks.scan import DatasetScan
from striate.datasets.dataset import Dataset
from striate.datasets.labels import JointLabels

__all__ = ["CHECKS", "JOINT_CHECKS", "KINDS", "Problem", "Severity"]

CHECKS: tuple[Callable[[DatasetScan], Iterator[Problem]], ...] = (
    files.unreadable,
    content.copies,
    files.masks,
    files.nothing_labelled,
    joints.off_image,
    near.look_alikes,
    classes.balance,
    classes.missing,
    files.small,
)

JOINT_CHECKS: tuple[Callable[[Dataset, JointLabels], Iterator[Problem]], ...] = (
    joints.without_place,
    joints.untaught,
    joints.limbs,
    sides.pairs,
    sides.same_place,
    sides.readings,
)
