"""What can be wrong with a data set, one family of checks per file.

problem.py   one problem, and the kinds of them
scan.py      one pass over all images -> DatasetScan
report.py    all checks -> Report
layout.py    all that keeps class folders from being read
files.py     single files: unreadable, odd, small
masks.py     masks: their sizes, values without a class, nothing labelled
content.py   identical images
near.py      images that look alike
classes.py   balance, classes that splits lack
joints.py    joints without a position, off the image; limbs
sides.py     left and right

A check is a function that yields problems. Checks of every data set take a `DatasetScan` and are listed here; checks of
one kind of label are listed by the labels themselves: `label_checks`, which take the `Dataset` and the labels and read
no image, and `scan_checks`, which take a `DatasetScan` and the labels. A new check is a file, and a line in one of
these.
"""

from __future__ import annotations

CHECKS: dict[str, str] = {
    "unreadable": "striate.datasets.checks.files:unreadable",
    "copies": "striate.datasets.checks.content:copies",
    "look_alikes": "striate.datasets.checks.near:look_alikes",
    "trainable": "striate.datasets.checks.classes:trainable",
    "missing": "striate.datasets.checks.classes:missing",
    "small": "striate.datasets.checks.files:small",
}
