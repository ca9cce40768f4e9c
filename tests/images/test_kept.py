"""Images that are kept once they are prepared, and samples of prepared images."""

from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UnreadableImage
from striate.images import ImageCollection, Preprocessing, Skipped, stream
from striate.images.collection import as_fractions
from striate.images.kept import KeptImages
from striate.images.sample import prepared_sample

PREPROCESSING = Preprocessing(canvas=(8, 8), contrast="none")
BYTES = 4 * 8 * 8


class Counted(ImageCollection):
    """Images that count how often each is read; image i is filled with i / 10."""

    def __init__(self, n: int, *, white: float = 1.0, unreadable: tuple[int, ...] = ()) -> None:
        self.names = [f"image {index}" for index in range(n)]
        self.reads = [0] * n
        self._white, self._unreadable = white, unreadable

    @property
    def white(self) -> float:
        return self._white

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        self.reads[index] += 1
        if index in self._unreadable:
            raise UnreadableImage(self.names[index], "is damaged")
        return np.full((1, 8, 8), self._white * index / 10, np.float32)

    def size_of(self, index: int) -> tuple[int, int, int]:
        return 8, 8, 1


def _all(images: ImageCollection) -> np.ndarray:
    return np.concatenate([batch for _, batch in stream(images, PREPROCESSING, batch_size=3)])


def test_images_and_their_subsets_are_read_once() -> None:
    images = Counted(10)
    kept = KeptImages(images)
    whole = _all(kept)
    np.testing.assert_array_equal(whole, _all(images))
    assert images.reads == [2] * 10
    np.testing.assert_array_equal(_all(kept), whole)
    np.testing.assert_array_equal(_all(kept.subset([7, 2]).subset([1])), whole[[2]])
    assert images.reads == [2] * 10


def test_another_preprocessing_reads_again() -> None:
    images = Counted(2)
    kept = KeptImages(images)
    first = kept.prepared(1, PREPROCESSING)
    other = kept.prepared(1, Preprocessing(canvas=(4, 4), contrast="none"))
    assert first.shape == (1, 8, 8)
    assert other.shape == (1, 4, 4)
    assert images.reads == [0, 2]


def test_memory_is_bounded() -> None:
    images = Counted(10)
    kept = KeptImages(images, limit=4 * BYTES)
    whole = _all(kept)
    np.testing.assert_array_equal(_all(kept), whole)
    assert sorted(images.reads) == [1] * 4 + [2] * 6


def test_images_that_are_not_worth_it_are_not_kept() -> None:
    images = Counted(4)
    kept = KeptImages(images, worth=[1, 3])
    _all(kept)
    _all(kept)
    assert images.reads == [2, 1, 2, 1]


def test_what_is_kept_cannot_be_changed() -> None:
    kept = KeptImages(Counted(1))
    with pytest.raises(ValueError, match="read-only"):
        kept.prepared(0, PREPROCESSING)[...] = 1


def test_images_of_255_are_prepared_as_fractions() -> None:
    np.testing.assert_allclose(_all(KeptImages(as_fractions(Counted(10, white=255)))), _all(Counted(10)), atol=1e-7)


def test_a_sample_draws_from_all_sources_in_order() -> None:
    first, second = Counted(10, unreadable=(4,)), Counted(5)
    skipped: list[Skipped] = []
    sample = prepared_sample([first, second], PREPROCESSING, 99, name="sample", skipped=skipped)
    expected = np.array([0, 1, 2, 3, 5, 6, 7, 8, 9, *range(5)]) / 10
    np.testing.assert_allclose(sample[:, 0, 0, 0], expected, atol=1e-6)
    assert skipped == [Skipped("image 4", "is damaged")]
    drawn = [
        prepared_sample([first, second], PREPROCESSING, 6, name="sample", random_state=seed, skipped=[])
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
