from __future__ import annotations

import numpy as np
import pytest

from striate.hierarchy import (
    FilterBank,
    GridPooling,
    LocalContrastNormalization,
    PatchDictionary,
    Pooling,
    Rectification,
)
from striate.images import ImageCollection, as_images
from striate.recognition import ImageClassifier
from striate.recognition.ablation import _variants, ablate
from tests.recognition.digits import digits

TWO = "6F5x5 - Rabs - N5x5 - PA4x4/3 - 8F3x3 - Rabs - N3x3 - PA2x2/2"


@pytest.fixture(scope="module")
def images() -> ImageCollection:
    return as_images(*digits((0, 1, 2), 30))


@pytest.fixture(scope="module")
def classifier(images: ImageCollection) -> ImageClassifier:
    return ImageClassifier(architecture=TWO, random_state=0).learn_features(images)


def test_one_component_is_gone_at_a_time(classifier: ImageClassifier) -> None:
    systems = dict(_variants(classifier))
    assert list(systems) == [
        "everything", "without rectification", "without normalization", "maximum instead of average",
        "first stage alone", "random filters", "raw pixels",
    ]  # fmt: skip

    def kinds(what: str) -> list[type]:
        return [type(layer) for layer in systems[what]]  # type: ignore[union-attr]

    stage = [FilterBank, Rectification, LocalContrastNormalization, Pooling]
    assert kinds("everything") == kinds("maximum instead of average") == kinds("random filters") == 2 * stage
    assert kinds("first stage alone") == stage
    assert Rectification not in kinds("without rectification")
    assert LocalContrastNormalization not in kinds("without normalization")
    pools = [layer for layer in systems["maximum instead of average"] if isinstance(layer, Pooling)]  # type: ignore[union-attr]
    assert {pool.how for pool in pools} == {"max"}
    for learned, random in zip(systems["everything"], systems["random filters"], strict=True):  # type: ignore[arg-type]
        if isinstance(learned, FilterBank):
            assert isinstance(random, FilterBank)
            assert learned.filters is not None
            assert random.filters is not None
            norms, others = (
                np.linalg.norm(one.reshape(len(one), -1), axis=1) for one in (learned.filters, random.filters)
            )
            np.testing.assert_allclose(norms, others, rtol=1e-4)
            assert not np.allclose(learned.filters, random.filters)


def test_a_patch_dictionary_without_its_parts(images: ImageCollection) -> None:
    classifier = ImageClassifier(architecture="6WP5x5 - GA2", random_state=0).learn_features(images)
    systems = dict(_variants(classifier))
    assert list(systems) == ["everything", "maximum instead of average", "random dictionary", "raw pixels"]
    assert systems["maximum instead of average"].layers[1] == GridPooling("max", 2)  # type: ignore[union-attr]
    learned, random = (systems[what].layers[0] for what in ("everything", "random dictionary"))  # type: ignore[union-attr]
    assert isinstance(learned, PatchDictionary)
    assert isinstance(random, PatchDictionary)
    assert not np.allclose(learned.units, random.units)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.linalg.norm(random.units, axis=1), 1, rtol=1e-5)  # type: ignore[arg-type]
    np.testing.assert_array_equal(random.whitening, learned.whitening)


def test_validates_on_images_that_were_not_learned_from(classifier: ImageClassifier, images: ImageCollection) -> None:
    found = ablate(classifier, images)
    assert [one.what for one in found] == [what for what, _ in _variants(classifier)]
    assert all(0 <= one.accuracy <= 1 for one in found)
    assert found[0].accuracy > 0.8
    assert found == ablate(classifier, images)
    shuffled = as_images(*digits((0, 1, 2), 30))
    labels = np.random.default_rng(0).permutation(np.asarray(shuffled.labels))
    assert ablate(classifier, as_images(digits((0, 1, 2), 30)[0], labels))[0].accuracy < 0.7
