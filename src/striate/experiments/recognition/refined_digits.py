"""Two-stage networks for digits, frozen and refined: the code that is common to the experiments with MNIST.

The geometry is that of Jarrett et al. 2009: digits in a border of zeros, 34×34; 50 filters of 7×7, 28×28 maps that are
averaged to 14×14; 1,024 kernels to 128 maps of 5×5, each of which sees 8 maps; 10×10, averaged to 5×5. Windows of the
normalization are 7×7 and 5×5, which suit maps of this size.

The classifier is linear, on all 3,200 features, and not a hidden layer of about 200 units with another on it, which the
paper's network seems to have had (it prints no sizes): frozen networks and refined ones then differ in nothing but
refinement, and a layer of 200 random units would lose what frozen networks know. A hidden layer can be written as a
third bank, ``200F5x5``.

Learned filters are sparser than those for photographs. With 1,000 labels and frozen filters, sparsities of 2 and 1 in
the two stages left 2.8 % of 3,000 held-out training digits, 2 and 0.3 3.2 %, 2 and 2 3.0 %, 4 and 2 3.3 %, and random
filters 3.1 % (means of three draws).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.experiments.engine.unit import Context
from striate.hierarchy import Hierarchy, extract_features, learn_filters
from striate.hierarchy.protocols import protocol
from striate.images import ImageCollection, Preprocessing, stream
from striate.learning import PSD
from striate.recognition import SoftmaxClassifier
from striate.recognition.splits import draw_per_class

__all__ = [
    "ARCHITECTURE",
    "PREPROCESSING",
    "fitted",
    "labeled",
    "labels_of",
    "probabilities",
    "with_filters",
]

PREPROCESSING = Preprocessing((28, 28), contrast="none", border=3)
ARCHITECTURE: Mapping[str, str] = {
    "full": "50F7x7 - Rabs - N7x7 - PA2x2/2 - 128F5x5:8 - Rabs - N5x5 - PA2x2/2",
    "quick": "6F7x7 - Rabs - N7x7 - PA4x4/4 - 8F3x3:4 - Rabs - N3x3 - PA2x2/2",
}
LEARNED = (PSD(sparsity=2.0, max_batches=1500), PSD(sparsity=1.0, max_batches=300, n_inference_steps=10))
FOR_FILTERS = 5000  # training digits from which filters are learned, without labels
WEIGHT_DECAYS = (1e-2, 1e-3, 1e-4, 1e-5)  # candidates of the linear classifier


def labels_of(images: ImageCollection) -> NDArray[np.int64]:
    """The classes of digits as numbers."""
    return np.asarray(images.labels).astype(np.int64)


def labeled(labels: NDArray[np.int64], n_labels: int, seed: int) -> NDArray[np.int64]:
    """Return which digits have labels: as many of each class, among which are those of fewer labels; or all digits."""
    if n_labels >= len(labels):
        return np.arange(len(labels))
    n_classes = len(np.unique(labels))
    return draw_per_class(labels, n_labels // n_classes, random_state=np.random.default_rng([seed, 2]))


def with_filters(images: ImageCollection, notation: str, letters: str, seed: int, context: Context) -> Hierarchy:
    """Return an architecture with random filters (RR) or learned ones (UU), from training digits without labels."""
    chosen = np.sort(np.random.default_rng([seed, 1]).permutation(len(images))[:FOR_FILTERS])
    sample = np.concatenate([batch for _, batch in stream(images, PREPROCESSING, indices=chosen)])
    learners = LEARNED if letters == "UU" else protocol(letters)
    hierarchy, _ = learn_filters(
        Hierarchy(notation), sample, learners=learners, random_state=seed, progress=context.progress
    )
    return hierarchy


def fitted(
    features: NDArray[np.float32], labels: NDArray[np.int64], checkpoint: Checkpoint, context: Context
) -> SoftmaxClassifier:
    """Fit a linear classifier, or load the one that a run that was killed had fitted."""
    saved = checkpoint.load("classifier")
    if saved is not None:
        return SoftmaxClassifier.from_state(*saved)
    made = SoftmaxClassifier(kernel="linear", split=False, weight_decays=WEIGHT_DECAYS, random_state=0)
    made.fit(features, labels, progress=context.progress)
    checkpoint.save("classifier", *made.to_state())
    return made


def probabilities(
    hierarchy: Hierarchy, classifier: SoftmaxClassifier, images: ImageCollection, context: Context
) -> NDArray[np.float64]:
    """Return the probability of each class for images, (n_images, n_classes), computed without torch."""
    found: Any = extract_features(
        images, PREPROCESSING, hierarchy, name="features of test images", progress=context.progress
    )
    return np.asarray(classifier.predict_proba(found.rows), np.float64)
