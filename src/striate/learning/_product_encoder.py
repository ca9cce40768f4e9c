"""The feed-forward encoder of the temporal product network, and the gradients that train it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.learning._product_energy import ProductCodes

__all__ = ["ProductEncoder"]

_FLOOR = 0.02  # added under the root: responses below it count as silence of the group


class _Pass(NamedTuple):
    before: NDArray[Any]  # of rectification, (n_sequences, n_frames, n_content, group_size)
    responses: NDArray[Any]
    roots: NDArray[Any]  # (n_sequences, n_content)
    codes: ProductCodes


class ProductEncoder(NamedTuple):
    """Simple cells, pools of them over a group and over all frames, and a division by the pools.

    With x one frame, t its number and k a simple cell of the group i::

        r_tk = max(0, filters_k·x_t + bias_k)
        q_i  = √(floor + mean over t of Σ_k r_tk)
        content_i   = content_gain_i · (q_i − √floor)
        location_tk = location_gain_k · r_tk / q_i

    The forms are those of the optimum: for a given product, the energy's sparsity terms are smallest where the content
    is the root of the mean over frames of the group's sum.

    Attributes
    ----------
    filters : float (n_content · group_size, n_features)
    bias, location_gain : float (n_content · group_size,)
    content_gain : float (n_content,)
    """

    filters: NDArray[Any]
    bias: NDArray[Any]
    location_gain: NDArray[Any]
    content_gain: NDArray[Any]

    def astype(self, dtype: np.dtype[Any]) -> ProductEncoder:
        """The same encoder in another precision."""
        return ProductEncoder(*(array.astype(dtype, copy=False) for array in self))

    def encode(self, frames: NDArray[Any]) -> ProductCodes:
        """The predicted codes of scaled frames (n_sequences, n_frames, n_features), any number of frames."""
        return self._forward(frames).codes

    def gradients(self, frames: NDArray[Any], codes: ProductCodes) -> dict[str, NDArray[Any]]:
        """Gradients of the mean over sequences of the squared distance of prediction and codes, halved, per frame.

        Parameters
        ----------
        frames : float (n_sequences, n_frames, n_features)
        codes : ProductCodes
            The targets.

        Returns
        -------
        dict of str to ndarray
            With the names and shapes of the attributes.
        """
        before, responses, roots, predicted = self._forward(frames)
        n, n_frames, n_content, size = before.shape
        of_content = (predicted.content - codes.content) / n
        of_location = ((predicted.location - codes.location) / (n * n_frames)).reshape(before.shape)
        gain = self.location_gain.reshape(n_content, size)
        divided = responses / roots[:, np.newaxis, :, np.newaxis]
        flow = of_location * gain / roots[:, np.newaxis, :, np.newaxis]  # to the responses, by the location
        of_roots = of_content * self.content_gain - np.einsum("btik,btik->bi", flow, divided)
        flow += (of_roots / (2 * n_frames * roots))[:, np.newaxis, :, np.newaxis]  # by the pools
        flow *= before > 0
        rows = flow.reshape(n * n_frames, -1)
        floor = np.sqrt(roots.dtype.type(_FLOOR))
        return {
            "filters": rows.T @ frames.reshape(n * n_frames, -1),
            "bias": rows.sum(axis=0),
            "location_gain": np.einsum("btik,btik->ik", of_location, divided).ravel(),
            "content_gain": (of_content * (roots - floor)).sum(axis=0),
        }

    def _forward(self, frames: NDArray[Any]) -> _Pass:
        n, n_frames, _ = frames.shape
        n_content = len(self.content_gain)
        before = (frames @ self.filters.T + self.bias).reshape(n, n_frames, n_content, -1)
        responses = np.maximum(before, 0)
        floor = frames.dtype.type(_FLOOR)
        roots = np.sqrt(responses.sum(axis=3).mean(axis=1) + floor)
        location = responses / roots[:, np.newaxis, :, np.newaxis]
        location *= self.location_gain.reshape(n_content, -1)
        content = self.content_gain * (roots - np.sqrt(floor))
        codes = ProductCodes(content, location.reshape(n, n_frames, -1))
        return _Pass(before, responses, roots, codes)
