"""How much each component of a trained system contributes: accuracy on the same images without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.hierarchy import (
    FilterBank,
    GridPooling,
    Hierarchy,
    Layer,
    LocalContrastNormalization,
    PatchDictionary,
    Paths,
    Pooling,
    Rectification,
    SparseCodes,
    extract_features,
    small_pixels,
)
from striate.hierarchy.presets import classifier_options, has_paths, name_of_path
from striate.images import ImageCollection
from striate.images.collection import as_fractions
from striate.images.kept import KeptImages
from striate.progress import Progress
from striate.recognition.image_classifier import ImageClassifier
from striate.recognition.labels import labels_of
from striate.recognition.softmax_classifier import SoftmaxClassifier
from striate.recognition.splits import hold_out_fraction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Ablation", "ablate"]

MAX_IMAGES = 3000
VALIDATION_FRACTION = 0.25


@dataclass(frozen=True)
class Ablation:
    """A variant of the system, and its accuracy on validation images."""

    what: str
    accuracy: float
    n_features: int


def ablate(classifier: ImageClassifier, images: ImageCollection, *, progress: Progress | None = None) -> list[Ablation]:
    """Remove one component at a time, and train the classifier again.

    Filters stay those of the complete system, except where random ones replace them. A quarter of the images is held
    out for validation, the same images for all variants; no test image is used.

    Parameters
    ----------
    classifier : ImageClassifier
        With filters.
    images : ImageCollection
        Labeled training images; at most 3,000 are used, a stratified sample.

    Returns
    -------
    list of Ablation
        The whole system first, raw pixels last.
    """
    progress = progress or Progress()
    images = as_fractions(images.subset(images.labeled))
    labels = labels_of(images)
    if len(images) > MAX_IMAGES:
        _, chosen = hold_out_fraction(labels, MAX_IMAGES / len(images), random_state=classifier.random_state)
        images, labels = images.subset(chosen), labels[chosen]
    images = KeptImages(images)
    systems = dict(_variants(classifier))
    results = []
    with progress.phase("ablation", len(systems), "systems") as phase:
        for what, transform in systems.items():
            found = extract_features(images, classifier.preprocessing_, transform)
            options = classifier_options(transform) if isinstance(transform, Hierarchy) else {"split": True}
            accuracy = _validated(found.rows, labels[found.positions], classifier.random_state, options)
            results.append(Ablation(what, accuracy, int(found.rows.shape[1])))
            phase.advance()
    return results


def _validated(
    rows: NDArray[np.float32], labels: NDArray[np.str_], seed: int | None, options: Mapping[str, Any]
) -> float:
    kept, held_out = hold_out_fraction(labels, VALIDATION_FRACTION, random_state=seed)
    model = SoftmaxClassifier(calibrate=False, random_state=seed, **options).fit(rows[kept], labels[kept])
    return float(np.mean(model.predict(rows[held_out]) == labels[held_out]))


def _variants(classifier: ImageClassifier) -> list[tuple[str, Hierarchy | Callable[..., NDArray[np.float32]]]]:
    """Each variant by its name; a component that the system does not have gives no variant."""
    layers = classifier.hierarchy_.layers
    variants: list[tuple[str, Hierarchy | Callable[..., NDArray[np.float32]]]] = [("everything", classifier.hierarchy_)]
    if has_paths(classifier.hierarchy_):
        paths = layers[0].hierarchies
        for path in paths if len(paths) > 1 else ():
            others = Paths([other for other in paths if other is not path])
            variants.append((f"without {name_of_path(path)}", Hierarchy([others])))
        return [*variants, ("raw pixels", small_pixels)]
    for what, kind in (("without rectification", Rectification), ("without normalization", LocalContrastNormalization)):
        rest = [layer for layer in layers if not isinstance(layer, kind)]
        if len(rest) < len(layers):
            variants.append((what, Hierarchy(rest)))
    if any(isinstance(layer, Pooling | GridPooling) and layer.how == "average" for layer in layers):
        variants.append(("maximum instead of average", Hierarchy([_maximum(layer) for layer in layers])))
    if len(classifier.hierarchy_.stages) > 1:
        variants.append(("first stage alone", classifier.hierarchy_.stages[0]))
    if classifier.learner != "random":
        what = "random filters" if classifier.hierarchy_.filter_banks else "random dictionary"
        variants.append((what, Hierarchy([_shuffled(layer, k) for k, layer in enumerate(layers)])))
    variants.append(("raw pixels", small_pixels))
    return variants


def _maximum(layer: Layer) -> Layer:
    return replace(layer, how="max") if isinstance(layer, Pooling | GridPooling) else layer


def _shuffled(layer: Layer, seed: int) -> Layer:
    """A Gaussian filter with the mean and norm of each learned one; for a dictionary, noise with the units' norms."""
    if isinstance(layer, SparseCodes) and layer.dictionary is not None:
        units = np.random.default_rng(seed).standard_normal(layer.dictionary.shape).astype(np.float32)
        return layer.with_dictionary(units / np.linalg.norm(units, axis=1, keepdims=True))
    if isinstance(layer, PatchDictionary) and layer.units is not None:
        units = np.random.default_rng(seed).standard_normal(layer.units.shape).astype(np.float32)
        norms = np.linalg.norm(layer.units, axis=1, keepdims=True)
        return replace(layer, units=units / np.linalg.norm(units, axis=1, keepdims=True) * norms)
    if not isinstance(layer, FilterBank) or layer.filters is None:
        return layer
    noise = np.random.default_rng(seed).standard_normal(layer.filters.shape)
    axes = (1, 2, 3)
    means = layer.filters.mean(axis=axes, keepdims=True)
    noise -= noise.mean(axis=axes, keepdims=True)
    wanted = np.linalg.norm((layer.filters - means).reshape(len(noise), -1), axis=1)
    noise *= (wanted / np.linalg.norm(noise.reshape(len(noise), -1), axis=1))[:, None, None, None]
    return replace(layer, filters=(noise + means).astype(np.float32))
