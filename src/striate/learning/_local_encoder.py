"""The encoder of local fields in training: gain · tanh(field ⋆ window + bias), one for each unit, by Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.learning._local_codes import LocalCodes
from striate.learning._local_learning import CodedBatch
from striate.learning.adam import Adam

__all__ = ["LocalEncoder", "predicted"]

_SMALL = 0.1  # norm of the first fields, in the linear range of tanh


def predicted(codes: LocalCodes, images: NDArray[Any], arrays: Mapping[str, NDArray[Any]]) -> tuple[Any, Any]:
    """Predicted codes of images in groups, and the activations before the gain; 0 for units that are not there."""
    active = codes.products(images, codes.prepare(arrays["filters"]))
    bias, gain = (codes.sheet.spread(arrays[name])[..., np.newaxis] for name in ("bias", "gain"))
    active += bias
    np.tanh(active, out=active)
    return active * gain, active


class LocalEncoder:
    """Adam for the arrays of an encoder, which it changes in place.

    Parameters
    ----------
    arrays : dict of str to ndarray
        `filters` (n_fields, channels, height, width), `bias` and `gain` (n_fields,).
    rate : float
    """

    def __init__(self, arrays: dict[str, NDArray[Any]], rate: float) -> None:
        self.arrays = arrays
        self.adam = Adam(arrays, dict.fromkeys(arrays, rate))

    @staticmethod
    def first_arrays(fields: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Fields a tenth of the decoder's, bias 0 and gain 1."""
        zeros = np.zeros(len(fields), fields.dtype)
        return {"filters": fields.dtype.type(_SMALL) * fields, "bias": zeros, "gain": zeros + 1}

    def state(self) -> tuple[dict[str, NDArray[Any]], int]:
        """Adam's moments, and the number of its steps."""
        return self.adam.to_arrays(), self.adam.n_steps

    def step(self, coded: CodedBatch, share: float) -> None:
        """One step to reduce the error of the predictions of a batch, at a share of the rate."""
        self.adam.step(self.gradients(coded), share)

    def gradients(self, coded: CodedBatch) -> dict[str, NDArray[Any]]:
        """Derivatives of ½‖predicted − optimal‖², summed over the units of each field, and the mean over images."""
        codes = coded.codes
        gains = codes.sheet.spread(self.arrays["gain"])[..., np.newaxis]
        error = coded.active * gains
        error -= coded.optimal
        error *= codes.there(coded.n_images, len(error)) / codes.dtype.type(coded.n_images)
        for_gain = np.einsum("grcb,grcb->rc", error, coded.active)
        error *= gains
        error *= 1 - np.square(coded.active)
        return {
            "filters": codes.outer(error, coded.images),
            "bias": codes.sheet.gathered(error.sum(axis=(0, 3))),
            "gain": codes.sheet.gathered(for_gain),
        }
