"""The layers of a deep network, learned one after the other without labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.learning.psd import PSD
from striate.progress import Progress

__all__ = ["Layer", "pretrain"]

Layer = tuple[NDArray[Any], NDArray[Any]]  # weights (n_out, n_in) and biases (n_out,)

_SPARSITY = 0.1  # low: layers above need what is lost below


def pretrain(inputs: NDArray[Any], layers: tuple[int, ...], seed: int, progress: Progress) -> list[Layer]:
    """Layers down to the code by PSD, each from the activations of the one below, and PSD's dictionaries back.

    A unit of PSD is ``gain·tanh(filters·y/scale + bias)`` and its decoder ``scale·zD``. Scale and gain go into the
    weights beside them, so that the network's own units are plain tanh, and its code is linear.
    """
    down: list[Layer] = []
    back: list[Layer] = []
    values = inputs
    for number, n_units in enumerate(layers):
        psd = PSD(n_units, sparsity=_SPARSITY, remove_mean=False, random_state=seed + number)
        psd.fit(values, progress=progress, phase_name=f"pre-training layer {number + 1}")
        weights = psd.encoder_ / values.dtype.type(psd.scale_)
        biases = psd.encoder_bias_.copy()
        decoder = psd.components_.T * (psd.gain_ * values.dtype.type(psd.scale_))
        down.append((weights, biases))
        back.append((np.ascontiguousarray(decoder), np.zeros(len(decoder), values.dtype)))
        values = np.tanh(values @ weights.T + biases)
    return down + back[::-1]
