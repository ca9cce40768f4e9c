"""The energy of the temporal product network, and the descent that finds its codes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["HeldOutSequences", "ProductCodes", "ProductEnergy", "simple_cells"]

_MARGIN = 1e-4  # relative; the largest eigenvalue of a Gram matrix in float32 is not exact
_TINY = 1e-6  # curvature of a cell that nothing depends on, so that its step is finite


class ProductCodes(NamedTuple):
    """The codes of sequences of frames.

    Attributes
    ----------
    content : float (n_sequences, n_content)
        One code for all frames of a sequence, not negative.
    location : float (n_sequences, n_frames, n_content · group_size)
        One code per frame, not negative.
    """

    content: NDArray[Any]
    location: NDArray[Any]


class HeldOutSequences(NamedTuple):
    """An evaluation on held-out sequences; means over sequences and frames, in the scale that the model learns in.

    Attributes
    ----------
    n_batches : int
    energy : float
    content_active, location_active : float
        Shares of cells that are not 0.
    error, predicted_error : float
        Squared reconstruction errors of a frame, from inferred and from predicted codes.
    """

    n_batches: int
    energy: float
    content_active: float
    location_active: float
    error: float
    predicted_error: float


def simple_cells(codes: ProductCodes) -> NDArray[Any]:
    """The products of content and location, (n_sequences, n_frames, n_content · group_size)."""
    n, frames, units = codes.location.shape
    grouped = codes.location.reshape(n, frames, codes.content.shape[1], -1)
    return np.asarray((codes.content[:, np.newaxis, :, np.newaxis] * grouped).reshape(n, frames, units))


class ProductEnergy(NamedTuple):
    """The energy of codes, with everything that does not change while they are inferred.

    Attributes
    ----------
    components : float (n_content · group_size, n_features)
    sparsity, prediction : float
    """

    components: NDArray[Any]
    sparsity: float
    prediction: float

    def of(self, frames: NDArray[Any], codes: ProductCodes, predicted: ProductCodes) -> NDArray[np.float64]:
        """The energy of each sequence, divided by its number of frames.

        Parameters
        ----------
        frames : float (n_sequences, n_frames, n_features)
        codes, predicted : ProductCodes

        Returns
        -------
        float64 (n_sequences,)
        """
        wide = [array.astype(np.float64) for array in (frames, *codes, *predicted)]
        frames, content, location, content_aim, location_aim = wide
        error = frames - simple_cells(ProductCodes(content, location)) @ self.components.astype(np.float64)
        of_frames = 0.5 * np.square(error).sum(axis=2) + self.sparsity * location.sum(axis=2)
        of_frames += 0.5 * self.prediction * np.square(location - location_aim).sum(axis=2)
        of_content = self.sparsity * content.sum(axis=1)
        of_content += 0.5 * self.prediction * np.square(content - content_aim).sum(axis=1)
        return np.asarray(of_frames.mean(axis=1) + of_content)

    def descend(self, frames: NDArray[Any], start: ProductCodes, predicted: ProductCodes, n_steps: int) -> ProductCodes:
        """Codes after a number of steps, each of which is one for the location and one for the content.

        With the content held, the energy of the location is a quadratic form with a penalty. Its Hessian is at most
        λ·diag(s²), where λ is the largest eigenvalue of the dictionary's Gram matrix and s the content of each simple
        cell's group; the step minimizes this separable bound exactly. That of the content is the same with the sum of
        the squared locations of a group. A bound touches the energy where the step begins, so that no step raises it.

        Parameters
        ----------
        frames : float (n_sequences, n_frames, n_features)
        start, predicted : ProductCodes
            A content cell that starts at 0 together with its locations would stay there without a prediction.
        n_steps : int

        Returns
        -------
        ProductCodes
            In new arrays.
        """
        n, n_frames, _ = frames.shape
        n_content, units = start.content.shape[1], len(self.components)
        grouped = (n, n_frames, n_content, units // n_content)
        gram = self.components @ self.components.T
        correlations = (frames @ self.components.T).reshape(grouped)
        dtype = frames.dtype.type
        largest = dtype((1 + _MARGIN) * max(float(np.linalg.eigvalsh(gram)[-1]), _TINY))
        sparsity, prediction, tiny = dtype(self.sparsity), dtype(self.prediction), dtype(_TINY)
        content, location = start.content.copy(), start.location.reshape(grouped).copy()
        aim = predicted.location.reshape(grouped)

        def slope() -> NDArray[Any]:
            """The gradient of the reconstruction error with respect to the simple cells."""
            cells = (content[:, np.newaxis, :, np.newaxis] * location).reshape(n * n_frames, units)
            return np.asarray((cells @ gram).reshape(grouped) - correlations)

        for _ in range(n_steps):
            expanded = content[:, np.newaxis, :, np.newaxis]
            step = slope() * expanded + prediction * (location - aim) + sparsity
            step /= largest * expanded * expanded + (prediction + tiny)
            location = np.maximum(location - step, 0)

            pull = np.einsum("btik,btik->bi", slope(), location) / n_frames
            pull += prediction * (content - predicted.content) + sparsity
            pull /= largest / n_frames * np.einsum("btik,btik->bi", location, location) + (prediction + tiny)
            content = np.maximum(content - pull, 0)
        return ProductCodes(content, location.reshape(n, n_frames, units))
