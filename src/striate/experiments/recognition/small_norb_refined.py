"""Refinement with few labels, with and without normalization: small NORB, as in the talk.

Five categories of toys; those of the test images are other toys. One image of each stereo pair is used, reduced to
64×64, where the paper has both at 96×96.
"""

from __future__ import annotations

from striate.experiments.engine.figure import Figure
from striate.experiments.recognition.refined_views import Curve, errors_of

NAME = "small-norb-refined"
CLAIM = "On toys that were never seen, normalization and learning without labels count, until labels are many."
DATA = {"quick": (), "full": ("small-norb",)}

ALL = 4860  # training images of a category

CURVE = Curve(
    data="small-norb",
    counts={"full": (20, 100, 500, ALL), "quick": (4,)},
    draws={"full": 2, "quick": 2},
    of_all=Figure(
        what="error from all labels, learned and refined",
        unit="%",
        better="lower",
        published=5.6,
        source="Jarrett et al., ICCV 2009, abstract",
        measure=lambda results: errors_of(results, "UU", ALL),
    ),
)
FIGURES, units, draw = CURVE.figures, CURVE.units, CURVE.draw
