"""Windows of a whole pyramid: their features, and predictions that come before the labels are learned."""

from __future__ import annotations

import numpy as np
import pytest

from striate.robot import BandPyramid, Bands, GroundPlane, NearToFar, WindowLabels, features_of_bands, learn_features
from tests.robot.scenes import CAMERA, seen

TILTED = GroundPlane.from_angles(1.5, -2.5, 1.5)


@pytest.fixture(scope="module")
def bands() -> Bands:
    return BandPyramid(nearest=8, farthest=30, bands_per_octave=2)(seen(TILTED).left, CAMERA, TILTED)


def labels_of(bands: Bands, farthest: float) -> WindowLabels:
    """Ground (1) and obstacle (3) by the height of windows up to a range, which texture tells apart a little."""
    near = bands.windows.range <= farthest
    label = np.where(near, np.where(bands.windows.height > 0.5, 3, 1), -1).astype(np.int8)
    return WindowLabels(label, near.astype(np.float32))


def test_features_of_bands_are_those_of_their_windows(bands: Bands) -> None:
    features = learn_features("random", bands.cut(slice(0, 2000, 10)), random_state=0)
    some = np.arange(0, len(bands.windows.band), 37)
    expected = features.of_windows(bands.cut(some))
    np.testing.assert_allclose(features_of_bands(features, bands)[some], expected, rtol=1e-4, atol=1e-4)
    between = BandPyramid(nearest=8, farthest=8, column_step=5)(seen(TILTED).left, CAMERA, TILTED)
    np.testing.assert_allclose(features_of_bands(features, between), features.of_windows(between.cut()), atol=1e-4)


def test_a_label_is_learned_only_after_its_window_was_predicted(bands: Bands) -> None:
    features = learn_features("random", bands.cut(slice(0, 2000, 10)), random_state=0)
    far = NearToFar(features)
    labels = labels_of(bands, 12.0)
    assert np.isnan(far.see(bands, labels)).all()
    assert far.update_.n_added == np.count_nonzero(labels.label >= 0)
    twin = NearToFar(features)
    twin.see(bands, labels)
    flipped = WindowLabels(
        np.where(labels.label == 1, 3, np.where(labels.label == 3, 1, -1)).astype(np.int8), labels.confidence
    )
    np.testing.assert_array_equal(far.see(bands, labels), twin.see(bands, flipped))  # not of this frame's labels
    assert (far.see(bands, labels) != twin.see(bands, labels)).any()
    probabilities = far.see(bands, labels)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    known = labels.label >= 0
    assert (probabilities.argmax(axis=1) == labels.label)[known].mean() > 0.7


def test_ground_and_obstacles_are_equally_probable_where_features_tell_nothing(bands: Bands) -> None:
    features = learn_features("random", bands.cut(slice(0, 2000, 10)), random_state=0)
    n = len(bands.windows.band)
    for classes in ([0, 1, 2, 3, 4], [0, 2, 4], [1, 3]):
        far = NearToFar(features)
        far.classifier.update(np.zeros((50, 101)), np.repeat(classes, 50 // len(classes) + 1)[:50])
        far.classifier.weights[:] = 0  # every class that was seen is as probable
        found = far.see(bands, WindowLabels(np.full(n, -1, np.int8), np.zeros(n, np.float32)))
        np.testing.assert_allclose(found[:, 2:].sum(axis=1), 0.5, rtol=1e-6)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


def test_heights_tell_apart_what_features_do_not(bands: Bands) -> None:
    """Windows without texture have equal features."""
    features = learn_features("random", bands.cut(slice(0, 2000, 10)), random_state=0)
    far = NearToFar(features)
    height = np.linspace(-0.5, 2.5, 200)
    for _ in range(10):
        far.learn(np.zeros((200, bands.n_channels, 12, 25), np.float32), height, np.where(height > 0.5, 3, 1))
    found = far.predict(np.column_stack([np.zeros((2, 100)), [0.0, 2.0]]).astype(np.float32))
    np.testing.assert_array_equal(found.argmax(axis=1), [1, 3])


def test_without_labels_it_says_that_it_does_not_know(bands: Bands) -> None:
    far = NearToFar(learn_features("random", bands.cut(slice(0, 2000, 10)), random_state=0))
    n = len(bands.windows.band)
    nothing = WindowLabels(np.full(n, -1, np.int8), np.zeros(n, np.float32))
    for _ in range(2):
        assert np.isnan(far.see(bands, nothing)).all()
