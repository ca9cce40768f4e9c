"""Encoders, which predict sparse codes in one or a few passes.

An encoder is an object with options, ``LISTA(steps=3)``. It is trained together with a
dictionary, in ``PSD(encoder=LISTA(steps=3))``, or to predict the optimal codes of a given one (`train_predictor`). Some
kinds of training work without torch: `TanhEncoder` and `SmoothShrinkageEncoder` in `PSD`, and `LinearEncoder` on given
codes, in closed form. Encoding never needs torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.encoders._encoder import Encoder, EncoderLearner
from striate.encoders.kinds import ENCODERS, make_encoder, train_predictor
from striate.encoders.tanh import TanhEncoder
from striate.lazy import lazy_names

if TYPE_CHECKING:
    from striate.encoders.lcod import LCoD
    from striate.encoders.linear import LinearEncoder
    from striate.encoders.lista import LISTA
    from striate.encoders.shrinkage import ShrinkageEncoder, SmoothShrinkageEncoder

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderLearner",
    "make_encoder",
    "train_predictor",
    "TanhEncoder",
    "LinearEncoder",
    "ShrinkageEncoder",
    "SmoothShrinkageEncoder",
    "LISTA",
    "LCoD",
]

# Modules that need kernels are imported when they are first used.
_HOME = {
    "LinearEncoder": "striate.encoders.linear",
    "ShrinkageEncoder": "striate.encoders.shrinkage",
    "SmoothShrinkageEncoder": "striate.encoders.shrinkage",
    "LISTA": "striate.encoders.lista",
    "LCoD": "striate.encoders.lcod",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
