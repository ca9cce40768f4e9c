"""Predict the code in one pass, or a few.

`TanhEncoder` belongs to predictive sparse decomposition. The others learn to predict the optimal codes of a
dictionary: `LinearEncoder` in closed form; `ShrinkageEncoder`, `SmoothShrinkageEncoder`, `LISTA` and `LCoD` by
gradients, which needs torch, while their codes do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.encoders.kinds import ENCODERS, encoder_from_dictionary, train_predictor
from striate.encoders.tanh import TanhEncoder, TanhGradients
from striate.lazy import lazy_names

if TYPE_CHECKING:
    from striate.encoders.lcod import LCoD
    from striate.encoders.linear import LinearEncoder
    from striate.encoders.lista import LISTA
    from striate.encoders.shrinkage import ShrinkageEncoder, SmoothShrinkageEncoder

__all__ = [
    "ENCODERS",
    "encoder_from_dictionary",
    "train_predictor",
    "TanhEncoder",
    "TanhGradients",
    "LinearEncoder",
    "ShrinkageEncoder",
    "SmoothShrinkageEncoder",
    "LISTA",
    "LCoD",
]

# What needs kernels is loaded when it is first used.
_HOME = {
    "LinearEncoder": "striate.encoders.linear",
    "ShrinkageEncoder": "striate.encoders.shrinkage",
    "SmoothShrinkageEncoder": "striate.encoders.shrinkage",
    "LISTA": "striate.encoders.lista",
    "LCoD": "striate.encoders.lcod",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
