"""Initialization of a deep autoencoder: at random, or layer by layer without labels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from striate.learning.psd import PSD
from striate.learning.rbm import RBM
from striate.progress import Progress

__all__ = ["Layer", "pretrain_by_psd", "pretrain_by_rbm", "random_layers"]

Layer = tuple[NDArray[Any], NDArray[Any]]  # weights (n_out, n_in) and biases (n_out,)

_SPARSITY = 0.1  # low, since upper layers need what a sparse code of a lower one would lose


def random_layers(
    sizes: tuple[int, ...], activation: str, dtype: np.dtype[Any], rng: np.random.Generator
) -> list[Layer]:
    """Random layers, scaled to keep the variance from layer to layer; the decoder starts as their transposes.

    Parameters
    ----------
    sizes : tuple of int
        The number of features, then the number of units of each layer down to the code.
    activation : str
        The activation of the hidden layers.
    dtype : dtype
    rng : Generator
    """
    # Glorot; He for rectified units; a logistic unit has a slope of at most ¼. The inputs went through no activation.
    gains = {"logistic": 4.0, "tanh": 1.0, "relu": float(np.sqrt(2.0)), "elu": 1.2}
    down: list[Layer] = []
    for number, (n_in, n_out) in enumerate(pairwise(sizes)):
        gain = gains[activation] if number else 1.0
        scale = gain * np.sqrt(2 / (n_in + n_out))
        down.append(((scale * rng.standard_normal((n_out, n_in))).astype(dtype), np.zeros(n_out, dtype)))
    # The decoder starts as the transpose of the encoder; its weights are not tied afterwards.
    return down + [(weights.T.copy(), np.zeros(weights.shape[1], dtype)) for weights, _ in down[::-1]]


def pretrain_by_rbm(
    inputs: NDArray[Any],
    layers: tuple[int, ...],
    seed: int,
    progress: Progress,
    *,
    binary_data: bool,
    linear_code: bool,
) -> list[Layer]:
    """Encoder layers from RBMs, each trained on the probabilities of the one below; the decoder is their transposes."""
    down: list[Layer] = []
    back: list[Layer] = []
    values = inputs
    with progress.phase("pre-training layers", total=len(layers), unit="layers") as phase:
        for number, n_units in enumerate(layers):
            rbm = RBM(
                n_units,
                visible="binary" if binary_data or number else "gaussian",
                hidden="linear" if linear_code and number == len(layers) - 1 else "binary",
                random_state=(seed + number) % 2**32,
            ).fit(values)
            weights = np.array(rbm.components_, values.dtype)
            down.append((weights, rbm.hidden_bias_.astype(values.dtype)))
            back.append((np.ascontiguousarray(weights.T), rbm.visible_bias_.astype(values.dtype)))
            values = expit(values @ weights.T + down[-1][1])
            phase.advance()
    return down + back[::-1]


def pretrain_by_psd(inputs: NDArray[Any], layers: tuple[int, ...], seed: int, progress: Progress) -> list[Layer]:
    """Encoder layers from PSD, each trained on the activations of the one below; the decoder is their dictionaries.

    A unit of PSD is ``gain·tanh(filters·y/scale + bias)`` and its decoder ``scale·zD``. Scale and gain go into the
    weights of the neighboring layers, so that the units of the network are plain tanh.
    """
    down: list[Layer] = []
    back: list[Layer] = []
    values = inputs
    for number, n_units in enumerate(layers):
        psd = PSD(n_units, sparsity=_SPARSITY, remove_mean=False, random_state=seed + number)
        psd.fit(values, progress=progress, phase_name=f"pre-training layer {number + 1}")
        scale = values.dtype.type(psd.scale_)
        weights, biases = psd.encoder_ / scale, psd.encoder_bias_.copy()
        decoder = np.ascontiguousarray(psd.components_.T * (psd.gain_ * scale))
        down.append((weights, biases))
        back.append((decoder, np.zeros(len(decoder), values.dtype)))
        values = np.tanh(values @ weights.T + biases)
    return down + back[::-1]
