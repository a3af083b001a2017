"""Which architectures the slow tests go through: of those that differ in depth alone the smallest, all where asked."""

from __future__ import annotations

import os

from striate.models import MODELS

DEEPER = {
    "vgg13",
    "vgg16",
    "vgg19",
    "vgg13_bn",
    "vgg16_bn",
    "vgg19_bn",
    "resnet34",
    "resnet101",
    "resnet152",
    "resnet32",
    "resnet44",
    "resnet56",
}
"""Lines that others repeat more often: names, shapes and cost of all are tested in any case."""

TRIED = [name for name in MODELS if name not in DEEPER or os.environ.get("STRIATE_TEST_EVERY")]
