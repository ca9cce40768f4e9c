"""Compact codes of vectors by a deep autoencoder (semantic hashing)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.learning import DeepAutoencoder
from striate.progress import Progress
from striate.randomness import RandomState
from striate.retrieval.codes import Codes, n_words, pack_bits
from striate.retrieval.projection import check_scale
from striate.samples import as_samples
from striate.stored import array
from striate.threads import single_threaded_blas

__all__ = ["DeepProjection", "fit_deep_projection"]

_HIDDEN = 512  # units between vectors and code
_EPOCHS = 60  # some seconds with 1,500 vectors
_INPUT_NOISE = 0.2  # against overfitting to some thousand vectors


@dataclass(frozen=True)
class DeepProjection:
    """Layers of rectified units and a linear layer, whose signs are a binary code; same interface as `Projection`.

    Parameters
    ----------
    mean : float32 (n_features,)
        Subtracted from the vectors first.
    weights : tuple of float32 (n_out, n_in)
    biases : tuple of float32 (n_out,)
    """

    mean: NDArray[np.float32]
    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]

    @property
    def method(self) -> str:
        """The method that learned the layers."""
        return "deep-autoencoder"

    @property
    def n_bits(self) -> int:
        """Number of components of a real code, or of bits of a binary one."""
        return len(self.biases[-1])

    def project(self, vectors: NDArray[Any]) -> NDArray[np.float32]:
        """Real codes of vectors (n_samples, n_features): float32 (n_samples, n_bits), each from its vector only."""
        vectors = as_samples(vectors, name="vectors", n_features=len(self.mean))
        result = np.empty((len(vectors), self.n_bits), np.float32)
        with single_threaded_blas():
            for row, vector in enumerate(vectors):
                values = vector.astype(np.float32) - self.mean
                for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
                    values = np.dot(weights, values if layer == 0 else np.maximum(values, 0)) + biases
                result[row] = values
        return result

    def codes(self, vectors: NDArray[Any]) -> Codes:
        """Binary codes of vectors, uint64 (n_samples, n_words)."""
        return pack_bits(self.project(vectors) > 0)

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON."""
        arrays: dict[str, NDArray[Any]] = {"mean": self.mean}
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays |= {f"weights.{layer}": weights, f"biases.{layer}": biases}
        return arrays, {"method": self.method}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> DeepProjection:
        """The inverse of `to_state`."""
        mean = array(arrays, "mean", (None,), "float32")
        weights: list[NDArray[np.float32]] = []
        biases: list[NDArray[np.float32]] = []
        n_inputs = len(mean)
        for layer in range(max(1, (len(arrays) - 1) // 2)):
            weights.append(np.array(array(arrays, f"weights.{layer}", (None, n_inputs), "float32")))
            n_inputs = len(weights[-1])
            biases.append(np.array(array(arrays, f"biases.{layer}", (n_inputs,), "float32")))
        n_words(n_inputs)
        return cls(np.array(mean), tuple(weights), tuple(biases))


def fit_deep_projection(
    vectors: NDArray[Any], n_bits: int, *, random_state: RandomState = None, progress: Progress | None = None
) -> DeepProjection:
    """Learn binary codes from which an autoencoder reconstructs the vectors.

    Parameters
    ----------
    vectors : float32 (n_samples, n_features)
        Some thousands suffice.
    n_bits : int
    random_state : int, Generator or None
    progress : Progress, optional

    References
    ----------
    Salakhutdinov, Hinton, "Semantic hashing", 2007.
    """
    n_words(n_bits)
    vectors = as_samples(vectors, name="vectors")
    check_scale(vectors)
    learner = DeepAutoencoder(
        (_HIDDEN, int(n_bits)), code="binary", visible="gaussian", activation="relu", n_epochs=_EPOCHS, batch_size=100,
        input_noise=_INPUT_NOISE, random_state=random_state,
    ).fit(vectors.astype(np.float32, copy=False), progress=progress, phase_name="deep autoencoder")  # fmt: skip
    weights = [learner.weights_[0] / np.float32(learner.scale_), learner.weights_[1]]
    return DeepProjection(learner.mean_, tuple(weights), tuple(learner.biases_[:2]))
