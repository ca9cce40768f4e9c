"""A small encoder of digits, made in a fraction of a second."""

from __future__ import annotations

from functools import cache

import numpy as np

from striate.hierarchy import Hierarchy, learn_filters
from striate.images import Preprocessing
from striate.learning import RandomFilters
from striate.retrieval import ImageEncoder, fit_projection
from tests.recognition.digits import TINY, digits

PREPROCESSING = Preprocessing((28, 28), contrast="ground")


@cache
def encoder(*, n_bits: int = 32, binary: bool = True) -> ImageEncoder:
    """Random filters, and a projection of 60 digits."""
    images = np.stack([PREPROCESSING(image[np.newaxis] / np.float32(255)) for image in digits((0, 1, 7), 20)[0]])
    hierarchy, _ = learn_filters(Hierarchy(TINY), images, learners=RandomFilters(), random_state=0)
    vectors = hierarchy.transform(images).reshape(len(images), -1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return ImageEncoder(PREPROCESSING, hierarchy, fit_projection(vectors, n_bits, random_state=0), binary)
