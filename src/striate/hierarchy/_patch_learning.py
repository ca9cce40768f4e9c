"""How the whitening and the units of a patch dictionary are learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.hierarchy._k_means import k_means
from striate.hierarchy._patch_plan import NOISE
from striate.hierarchy.layer import Source

__all__ = ["learn_units", "normalized", "whitening_of"]

_FLOOR = 0.1  # added to the variances of normalized patches before whitening (Coates et al. 2011)
_BLOCK = 1 << 12  # patches at a time, of those that are computed in double precision
BATCHES = 1500  # mini-batches of sparse coding and PSD
EPOCHS = 15  # passes of K-SVD over all patches


def learn_units(
    source: Source, *, notation: str, n_units: int, size: int, learner: str, spherical: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], list[Any], NDArray[np.float32]]:
    """Units, mean, whitening, fitted estimators, and the whitened patches that they were learned from.

    Parameters
    ----------
    source : Source
        Twice its number of patches is drawn, 100,000 by default: few patches belong to each of many units. Constant
        patches are left out, but not those of low contrast, which occur in images as well.
    notation : str
        Of the layer, for messages.
    n_units, size : int
    learner : "kmeans", "random", "sparse", "psd" or "omp"
    spherical : bool
        Units of unit norm.

    Raises
    ------
    UsageError
        If there are fewer patches than units.
    """
    patches = source.draw(size, 2 * source.n_patches, 0.0)
    if len(patches) < n_units:
        raise UsageError(
            f"{notation} needs at least {n_units:,} patches, one for each unit, but {len(patches):,} were drawn: "
            "raise n_patches, or take fewer units"
        )
    patches = normalized(patches)
    mean, whitening = whitening_of(patches)
    patches -= mean
    rows = patches @ whitening
    rng = np.random.default_rng(source.seed)
    learners: list[Any] = []
    name = f"{source.name}: a patch dictionary"
    if learner == "kmeans":
        units = k_means(rows, n_units, spherical=spherical, rng=rng, progress=source.progress, phase_name=name)
    elif learner == "random":
        units = rows[rng.choice(len(rows), n_units, replace=False)]
        if spherical:
            units = units / np.linalg.norm(units, axis=1, keepdims=True)
    else:
        coding = _coding(learner, n_units, source.seed % 2**31)
        coding.fit(rows, checkpoint=source.checkpoint, progress=source.progress, phase_name=name)
        units = coding.components_
        learners.append(coding)
    return units.astype(np.float32), mean, whitening, learners, rows


def _coding(learner: str, n_units: int, seed: int) -> Any:
    """The estimator whose dictionary the units are."""
    from striate.learning import KSVD, PSD, SparseCoding

    if learner == "omp":
        return KSVD(n_units, n_epochs=EPOCHS, random_state=seed)
    if learner == "sparse":
        return SparseCoding(n_units, max_batches=BATCHES, random_state=seed)
    return PSD(n_units, remove_mean=False, max_batches=BATCHES, random_state=seed)


def normalized(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Patches without their mean, divided by their deviation: the layer's own normalization."""
    result = np.empty(patches.shape, np.float32)
    for start in range(0, len(patches), _BLOCK):  # in double precision without a copy of all
        block = patches[start : start + _BLOCK].astype(np.float64)
        block -= block.mean(axis=1, keepdims=True)
        result[start : start + _BLOCK] = block / np.sqrt(np.square(block).mean(axis=1, keepdims=True) + NOISE)
    return result


def whitening_of(patches: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean (n_features,) and ZCA (n_features, n_features) of normalized patches, with a floor for the variances."""
    mean = patches.mean(axis=0, dtype=np.float64)
    n_features = patches.shape[1]
    covariance = np.zeros((n_features, n_features))
    for start in range(0, len(patches), _BLOCK):
        centered = patches[start : start + _BLOCK] - mean
        covariance += centered.T @ centered
    variances, axes = np.linalg.eigh(covariance / len(patches))
    whitening = (axes / np.sqrt(np.maximum(variances, 0) + _FLOOR)) @ axes.T
    return mean.astype(np.float32), whitening.astype(np.float32)
