"""Compact codes of vectors: a learned or random linear projection, whose signs are the bits.

Three methods, all without labels: principal components, random hyperplanes, and iterative quantization.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.parameters import Choice, Integer, Seed, checked
from striate.randomness import RandomState, generator_from
from striate.retrieval.codes import Codes, n_words, pack_bits
from striate.samples import as_samples
from striate.stored import array, field
from striate.threads import single_threaded_blas

__all__ = ["Method", "Projection", "fit_projection", "iterative_quantization", "principal_components"]

Method = Literal["itq", "pca", "lsh"]

_LARGEST = 1e15  # squares of such numbers, summed over millions, are finite in single precision
_VISIBLE = 1e-3  # of a standard deviation


@dataclass(frozen=True)
class Projection:
    """``(x − mean) · directionsᵀ``; its signs are a binary code.

    Parameters
    ----------
    mean : float32 (n_features,)
        float64 if the vectors are so far from the origin that single precision would lose their differences.
    directions : float32 (n_bits, n_features)
    method : str
        The method that computed the directions.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    method: str

    @property
    def n_bits(self) -> int:
        """Number of components of a real code, or of bits of a binary one."""
        return len(self.directions)

    def project(self, vectors: NDArray[Any]) -> NDArray[np.float32]:
        """Real codes.

        Parameters
        ----------
        vectors : float (n_samples, n_features)

        Returns
        -------
        float32 (n_samples, n_bits)
            Each row depends on its vector only, to the bit.
        """
        vectors = as_samples(vectors, name="vectors", n_features=len(self.mean))
        # One vector at a time: the last bits of a matrix product depend on the position of a row, but an image must
        # have the same code alone as in a folder. Reading the directions for each vector takes about a millisecond, and
        # computing the vector takes many.
        result = np.empty((len(vectors), self.n_bits), np.float32)
        centered = np.empty(len(self.mean), np.float32)
        with single_threaded_blas():
            for row, vector in enumerate(vectors):
                np.subtract(vector, self.mean, out=centered, casting="same_kind")
                np.dot(self.directions, centered, out=result[row])
        return result

    def codes(self, vectors: NDArray[Any]) -> Codes:
        """Binary codes of vectors, uint64 (n_samples, n_words)."""
        return pack_bits(self.project(vectors) > 0)

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON."""
        return {"mean": self.mean, "directions": self.directions}, {"method": self.method}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Projection:
        """The inverse of `to_state`."""
        mean = array(arrays, "mean", (None,))
        directions = array(arrays, "directions", (None, len(mean)), "float32")
        n_words(len(directions))
        return cls(np.array(mean), np.array(directions), field(header, "method", Choice(*get_args(Method))))


def fit_projection(
    vectors: NDArray[Any],
    n_bits: int,
    *,
    method: Method = "itq",
    n_iterations: int = 50,
    random_state: RandomState = None,
) -> Projection:
    """Learn a projection from vectors, without labels.

    Parameters
    ----------
    vectors : float (n_samples, n_features)
        Some thousand are enough.
    n_bits : int
        Up to 4096.
    method : {"itq", "pca", "lsh"}
        "itq": principal components, rotated to minimize the quantization error of their signs (Gong & Lazebnik 2011).
        "pca": the components themselves. "lsh": random hyperplanes through the mean (Charikar 2002), which need no
        learning and improve with every bit. If there are more bits than components with variance, "itq" and "pca" add
        random combinations of these.
    n_iterations : int
        Iterations of "itq"; 50 is the paper's.
    random_state : int, Generator or None

    Returns
    -------
    Projection

    Raises
    ------
    UsageError
        If the vectors are not a matrix of at least two rows or not finite, or if there is no such method.
    """
    n_words(n_bits)
    n_bits, n_iterations = int(n_bits), checked("n_iterations", n_iterations, Integer(low=0))
    method = checked("method", method, Choice(*get_args(Method)))
    vectors = as_samples(vectors, name="vectors")
    if len(vectors) < 2 or not vectors.shape[1]:
        raise UsageError(f"a projection is learned from (n, n_features) with n of at least 2, not {vectors.shape}")
    rng = generator_from(checked("random_state", random_state, Seed()))
    check_scale(vectors)
    mean = vectors.mean(axis=0, dtype=np.float64)
    if method == "lsh":
        directions = rng.standard_normal((n_bits, vectors.shape[1]))
    else:
        components = principal_components(vectors, n_bits)
        turn = _turn(len(components), n_bits, rng)
        if method == "itq":
            projected = (vectors - mean.astype(vectors.dtype)) @ components.T.astype(vectors.dtype)
            turn = turn @ iterative_quantization(projected @ turn, n_iterations=n_iterations, random_state=rng)
        directions = turn.T @ components
    return Projection(_as_exact_as_needed(mean, vectors), np.ascontiguousarray(directions, np.float32), method)


def check_scale(vectors: NDArray[Any]) -> None:
    """Raise an error for numbers whose squares overflow in single precision.

    Raises
    ------
    UsageError
    """
    with np.errstate(over="ignore"):
        spread = float(np.ptp(vectors, axis=0).max())
    largest = float(np.abs(vectors).max())
    if largest > _LARGEST or 0 < spread < 1 / _LARGEST:
        raise UsageError(
            f"vectors reach to {largest:.3g} and differ by up to {spread:.3g}, beyond single precision: "
            "divide them by their standard deviation"
        )


def _as_exact_as_needed(mean: NDArray[np.float64], vectors: NDArray[Any]) -> NDArray[Any]:
    """The mean in single precision, or in double precision if rounding would be visible beside the spread."""
    single = mean.astype(np.float32)
    moved = np.linalg.norm(single - mean)
    return mean if moved > _VISIBLE * np.sqrt(vectors.var(axis=0, dtype=np.float64).sum()) else single


def _turn(n_components: int, n_bits: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The identity, (n_components, n_bits); random unit columns where there are more bits than components."""
    extra = rng.standard_normal((n_components, max(0, n_bits - n_components)))
    extra /= np.maximum(np.sqrt(np.square(extra).sum(axis=0)), 1e-12)
    return np.hstack([np.eye(n_components), extra])


def principal_components(vectors: NDArray[Any], n_components: int) -> NDArray[np.float64]:
    """Directions of greatest variance.

    Parameters
    ----------
    vectors : float (n_samples, n_features)
    n_components : int
        Those without variance are left out; at least one direction is returned.

    Returns
    -------
    float64 (n_found, n_features)
        Orthonormal, greatest variance first; the largest weight of each is positive, so that signs are determined.

    Notes
    -----
    From the eigenvectors of the covariance, or of the samples' inner products where those are fewer.
    """
    centered = np.asarray(vectors - vectors.mean(axis=0, dtype=np.float64).astype(vectors.dtype))
    n_samples, n_features = centered.shape
    by_sample = n_samples < n_features
    products = (centered @ centered.T if by_sample else centered.T @ centered).astype(np.float64)
    values, axes = np.linalg.eigh(products)
    values, axes = values[::-1], axes[:, ::-1]
    # Smaller variances may be due to rounding alone.
    rank = int(np.sum(values > max(float(values[0]), 0.0) * np.finfo(centered.dtype).eps * len(values)))
    n = max(1, min(n_components, rank))
    directions = axes[:, :n].T
    if by_sample:
        directions = directions @ centered
        directions /= np.maximum(np.sqrt(np.square(directions).sum(axis=1, keepdims=True)), 1e-300)
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(n), largest])
    return np.asarray(directions * np.where(signs == 0, 1.0, signs)[:, np.newaxis], np.float64)


def iterative_quantization(
    projected: NDArray[Any],
    *,
    n_iterations: int = 50,
    random_state: RandomState = None,
    losses: list[float] | None = None,
) -> NDArray[np.float64]:
    """The rotation that minimizes the quantization error of the signs.

    Minimizes ``‖B − V R‖²`` over signs B and rotations R in turn: ``B = sign(V R)``, then R from the singular vectors
    of ``BᵀV`` (orthogonal Procrustes). Neither step increases it.

    Parameters
    ----------
    projected : float (n_samples, n_bits)
        V: centered vectors on their principal components.
    n_iterations : int
        50 is the paper's; the loss hardly falls after that.
    random_state : int, Generator or None
        Seed of the initial rotation.
    losses : list, optional
        Receives ``‖B − V R‖²``, with B = sign(V R), before each iteration and after the last.

    Returns
    -------
    float64 (n_bits, n_bits)
        R, orthogonal.

    References
    ----------
    Gong & Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes", CVPR 2011, eqs. 2 and 3.
    """
    n_bits = projected.shape[1]
    rng = generator_from(random_state)
    rotation, _ = np.linalg.qr(rng.standard_normal((n_bits, n_bits)))
    for _ in range(n_iterations):
        turned = projected @ rotation.astype(projected.dtype)
        signs = np.where(turned > 0, 1, -1).astype(projected.dtype)
        if losses is not None:
            losses.append(float(np.square(signs - turned).sum(dtype=np.float64)))
        left, _, right = np.linalg.svd((signs.T @ projected).astype(np.float64))
        rotation = right.T @ left.T
    if losses is not None:
        turned = projected @ rotation
        losses.append(float(np.square(np.where(turned > 0, 1, -1) - turned).sum(dtype=np.float64)))
    return np.asarray(rotation, np.float64)
