"""Refinement with few labels, with and without normalization: objects on a turntable.

COIL-100 takes the place of small NORB: 99 objects, with a few views of each for training and the others for testing.
The objects are the same in training and test, under one light. `small-norb-refined` is the same experiment on small
NORB.
"""

from __future__ import annotations

from striate.experiments.recognition.refined_views import Curve

NAME = "norb-refined"
CLAIM = "Refinement helps where labels are many; with few labels, learning without labels and normalization count."
DATA = {"quick": (), "full": ("coil100",)}

CURVE = Curve(
    data="coil100",
    counts={"full": (1, 2, 4, 8, 16), "quick": (4,)},
    draws={"full": 3, "quick": 2},
)
FIGURES, units, draw = CURVE.figures, CURVE.units, CURVE.draw
