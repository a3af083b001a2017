"""Rendered people: image, body-part mask and 3D joints, as many as wanted, as functions of (seed, index).

skeleton.py  joints, bones, joint limits, forward kinematics
poses.py     random poses within the limits
clothes.py   what a figure wears, and materials
bodies.py    the solids that a figure, its clothes and its hair are made of
scenery.py   camera, lamp, backdrop, things that stand about
raster.py    solids -> pixels
render.py    (seed, index) -> Figure
"""

from __future__ import annotations

from striate.figures.bodies import COLOURS, PARTS
from striate.figures.render import VERSION, Figure, FigureJoints, locate_joints, render
from striate.figures.skeleton import JOINTS, MIRROR, PARENTS

__all__ = [
    "COLOURS",
    "JOINTS",
    "MIRROR",
    "PARENTS",
    "PARTS",
    "VERSION",
    "Figure",
    "FigureJoints",
    "locate_joints",
    "render",
]
