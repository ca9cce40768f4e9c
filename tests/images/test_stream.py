from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.errors import StriateError, UnreadableImage, UsageError
from striate.images import ImageCollection, ImageFolder, Skipped, as_images, fit_to_canvas, stream
from striate.images.stream import require_most


class Generated(ImageCollection):
    """Images that exist only while they are read; image i is filled with i."""

    def __init__(self, n: int, *, side: int = 4, unreadable: frozenset[int] = frozenset()) -> None:
        self.names = [f"image {index}" for index in range(n)]
        self._side, self._unreadable = side, unreadable

    def read(self, index: int, *, color: bool | None = None, at_least: int | None = None) -> np.ndarray:
        if index in self._unreadable:
            raise UnreadableImage(self.names[index], "is damaged")
        return np.full((1, self._side, self._side), index, np.float32)

    def size_of(self, index: int) -> tuple[int, int, int]:
        return self._side, self._side, 1


def _same(image: np.ndarray) -> np.ndarray:
    return image


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), max_size=40))),
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_order_is_that_of_the_indices(drawn: tuple[int, list[int]], batch_size: int, n_threads: int) -> None:
    n, indices = drawn
    batches = list(stream(Generated(n), _same, batch_size=batch_size, indices=indices, n_threads=n_threads))
    assert [index for chosen, _ in batches for index in chosen] == indices
    for chosen, batch in batches:
        assert chosen.dtype == np.int64
        assert batch.dtype == np.float32
        np.testing.assert_array_equal(batch[:, 0, 0, 0], chosen)
    assert all(len(chosen) == batch_size for chosen, _ in batches[:-1])


def test_all_images_by_default_and_slow_ones_keep_their_place() -> None:
    def slow_at_first(image: np.ndarray) -> np.ndarray:
        time.sleep(0.02 if image[0, 0, 0] % 3 == 0 else 0)
        return image[:, :2, :2] * 2

    batches = list(stream(Generated(10), slow_at_first, batch_size=4, n_threads=3))
    np.testing.assert_array_equal(np.concatenate([chosen for chosen, _ in batches]), np.arange(10))
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in batches])[:, 0, 0, 0], 2 * np.arange(10))


def test_batches_are_arrays_of_their_own() -> None:
    first, second = (batch for _, batch in stream(Generated(4), _same, batch_size=2, n_threads=1))
    first += 100
    assert second.max() == 3


def test_unreadable_images_are_left_out_and_listed() -> None:
    skipped: list[Skipped] = []
    unreadable = frozenset({0, 3, 4})
    batches = list(stream(Generated(8, unreadable=unreadable), _same, batch_size=2, n_threads=2, skipped=skipped))
    assert [chosen.tolist() for chosen, _ in batches] == [[1, 2], [5, 6], [7]]
    assert skipped == [Skipped(f"image {index}", "is damaged") for index in (0, 3, 4)]


def test_without_a_list_the_first_unreadable_image_is_an_error() -> None:
    batches = stream(Generated(6, unreadable=frozenset({3, 4})), _same, batch_size=2, n_threads=2)
    assert next(batches)[0].tolist() == [0, 1]
    with pytest.raises(UnreadableImage, match="image 3: is damaged"):
        next(batches)


def test_more_than_half_unreadable_is_too_much() -> None:
    skipped = [Skipped(f"image {index}", "is damaged") for index in (1, 2, 4)]
    require_most(skipped[:2], 4)
    with pytest.raises(StriateError, match="3 of 5 images could not be read, the first is image 1: is damaged"):
        require_most(skipped, 5)


def test_all_may_be_unreadable() -> None:
    skipped: list[Skipped] = []
    broken = Generated(4, unreadable=frozenset({0, 1, 3}))
    batches = list(stream(broken, _same, batch_size=2, skipped=skipped))
    assert [index for chosen, _ in batches for index in chosen] == [2]
    assert [one.name for one in skipped] == ["image 0", "image 1", "image 3"]
    assert not list(stream(broken, _same, batch_size=2, indices=[1], skipped=[]))
    assert not list(stream(broken, _same, batch_size=2, indices=[], skipped=[]))


def test_a_stream_that_was_left_goes_on_from_start() -> None:
    images = Generated(9, unreadable=frozenset({1, 5}))
    skipped: list[Skipped] = []
    before = list(stream(images, _same, batch_size=2, skipped=skipped))
    earlier = [Skipped("image 1", "is damaged")]  # among the four images before `start`
    again = list(stream(images, _same, batch_size=2, indices=range(9), start=4, skipped=earlier))
    assert [chosen.tolist() for chosen, _ in before] == [[0, 2], [3, 4], [6, 7], [8]]
    assert [chosen.tolist() for chosen, _ in again] == [[4, 6], [7, 8]]
    assert earlier == skipped


def test_errors_of_prepare_reach_the_caller() -> None:
    def fail(image: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(stream(Generated(3), fail, batch_size=2))


def test_shapes_must_agree() -> None:
    def grow(image: np.ndarray) -> np.ndarray:
        return np.zeros((1, 1 + int(image[0, 0, 0]) // 2, 1))

    with pytest.raises(UsageError, match=r"image 2: .*\(1, 2, 1\).*\(1, 1, 1\)"):
        list(stream(Generated(4), grow, batch_size=2))


def test_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="batch_size is 0"):
        stream(Generated(3), _same, batch_size=0)
    for indices in ([3], [-1]):
        with pytest.raises(UsageError, match="0 to 2"):
            stream(Generated(3), _same, batch_size=1, indices=indices)
    assert list(stream(Generated(3), _same, batch_size=1, indices=[])) == []


def test_threads_end_when_the_caller_stops() -> None:
    before = threading.active_count()
    batches = stream(Generated(1000), _same, batch_size=2, n_threads=2)
    next(batches)
    assert isinstance(batches, Iterator)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_memory_is_a_few_batches_however_many_images() -> None:
    side, batch_size = 64, 16
    batch_bytes = batch_size * side * side * 4

    def peak(n: int) -> int:
        images = Generated(n, side=side)
        tracemalloc.start()
        for _, batch in stream(images, _same, batch_size=batch_size, n_threads=2):
            # A slow consumer: the threads read ahead as far as they may.
            time.sleep(0.001)
            del batch
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few, many = peak(4 * batch_size), peak(40 * batch_size)
    # The batch that is worked on or filled, one batch ahead of it, and what the threads are at.
    assert few < 4 * batch_bytes
    assert many < 4 * batch_bytes


def test_a_folder_with_a_broken_image(tmp_path: Path, rng: np.random.Generator) -> None:
    for number in range(6):
        height, width = rng.integers(20, 90, 2)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / f"{number}.jpg")
    (tmp_path / "2.jpg").write_text("not an image")
    skipped: list[Skipped] = []
    folder = ImageFolder(tmp_path)

    class Canvas:
        reading: ClassVar = {"color": False, "at_least": 32}

        def __call__(self, image: np.ndarray) -> np.ndarray:
            return fit_to_canvas(image, (32, 32))[0]

    canvas = Canvas()
    ((chosen, batch),) = stream(folder, canvas, batch_size=10, skipped=skipped)
    assert chosen.tolist() == [0, 1, 3, 4, 5]
    assert [entry.name for entry in skipped] == ["2.jpg"]
    for index, image in zip(chosen, batch, strict=True):
        np.testing.assert_array_equal(image, canvas(folder.read(int(index), color=False, at_least=32)))


def test_uint8_arrays_become_fractions() -> None:
    images = as_images(np.arange(0, 250, dtype=np.uint8).reshape(10, 5, 5))
    ((_, batch),) = stream(images, _same, batch_size=10)
    np.testing.assert_array_equal(batch.ravel(), np.arange(250, dtype=np.float32) / np.float32(255))
