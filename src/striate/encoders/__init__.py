"""Predict the code in one pass, or a few.

`TanhEncoder` belongs to predictive sparse decomposition. The others learn to predict the optimal codes of a
dictionary: `LinearEncoder` in closed form; `ShrinkageEncoder`, `SmoothShrinkageEncoder`, `LISTA` and `LCoD` by
gradients, which needs torch, while their codes do not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from striate.encoders.tanh import TanhEncoder, TanhGradients

if TYPE_CHECKING:
    from striate.encoders.lcod import LCoD
    from striate.encoders.linear import LinearEncoder
    from striate.encoders.lista import LISTA
    from striate.encoders.shrinkage import ShrinkageEncoder, SmoothShrinkageEncoder

__all__ = [
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


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'striate.encoders' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next access does not come through here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
