from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UnreadableImage, UsageError
from striate.images.patches import extract_patches, sample_patches


def numbered(channels: int, height: int, width: int, start: int = 0) -> np.ndarray:
    """An image whose pixels are all different, so that a patch tells where it comes from."""
    return (start + np.arange(channels * height * width, dtype=np.float32)).reshape(channels, height, width)


def test_extract_patches_takes_every_square() -> None:
    image = numbered(2, 5, 4)
    patches = extract_patches(image, 3)
    expected = [image[:, j : j + 3, k : k + 3].ravel() for j in range(3) for k in range(2)]
    np.testing.assert_array_equal(patches, expected)
    with pytest.raises(UsageError, match="4×5 has no patch of 6×6"):
        extract_patches(image, 6)


def test_samples_are_patches_of_the_images_uniform_over_images_and_positions() -> None:
    images = [numbered(1, 6, 6), numbered(1, 20, 12, start=1000), numbered(1, 6, 7, start=2000)]
    drawn = sample_patches(images, 6000, 5, random_state=0)
    assert drawn.shape == (6000, 25)
    assert drawn.dtype == np.float32
    known = {patch.tobytes() for image in images for patch in extract_patches(image, 5)}
    assert {patch.tobytes() for patch in drawn} == known  # all of them, and nothing else
    per_image = np.bincount((drawn[:, 0] // 1000).astype(int))
    np.testing.assert_allclose(per_image, 2000, atol=150)
    first = drawn[drawn[:, 0] < 1000, 0]
    _, counts = np.unique(first, return_counts=True)  # the four positions of the first image
    np.testing.assert_allclose(counts, 500, atol=90)


def test_rows_come_in_random_order() -> None:
    images = [numbered(1, 6, 6, start=1000 * i) for i in range(10)]
    origin = sample_patches(images, 1000, 3, random_state=0)[:, 0] // 1000
    assert len(np.unique(origin[:50])) == 10


def test_the_same_seed_gives_the_same_patches(rng: np.random.Generator) -> None:
    images = rng.random((5, 3, 12, 12), dtype=np.float32)
    one, same, other = (sample_patches(images, 40, 4, random_state=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert sample_patches(images.astype(np.float64), 4, 4, random_state=0).dtype == np.float64


def test_channels_are_chosen_in_the_given_order(rng: np.random.Generator) -> None:
    images = rng.random((3, 4, 8, 8), dtype=np.float32)
    chosen = sample_patches(images, 20, 3, random_state=1, channels=[2, 0])
    expected = sample_patches(images[:, [2, 0]], 20, 3, random_state=1)
    np.testing.assert_array_equal(chosen, expected)


def test_flat_patches_are_skipped_even_where_structure_is_rare() -> None:
    image = np.full((1, 60, 60), 0.1, dtype=np.float32)
    image[0, 30, 30] = 1.0  # 9 of 3,364 patches of 3×3 see it
    blank = np.full((1, 60, 60), 0.3, dtype=np.float32)
    drawn = sample_patches([blank, image, blank], 500, 3, random_state=0)
    assert (drawn == 1.0).sum() == 500
    np.testing.assert_allclose(np.bincount(drawn.argmax(axis=1)), 500 / 9, atol=30)
    with pytest.raises(UsageError, match=r"none of the 2 images.*above 0.9"):
        sample_patches([image, blank], 5, 3, random_state=0, min_std=0.9)


def test_small_and_unreadable_images_are_skipped() -> None:
    class Broken(list):
        def __getitem__(self, index):
            if index == 1:
                raise UnreadableImage("image.png", "it is cut off")
            return super().__getitem__(index)

    images = Broken([numbered(1, 3, 9), numbered(1, 9, 9), numbered(1, 9, 9, start=1000)])
    drawn = sample_patches(images, 30, 5, random_state=0)
    assert drawn.min() >= 1000
    with pytest.raises(UsageError, match="larger images"):
        sample_patches(images, 30, 10, random_state=0)


def test_images_are_prepared_as_they_are_read_and_only_then() -> None:
    read: list[int] = []

    class Lazy:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int, /) -> np.ndarray:
            read.append(index)
            return numbered(1, 8, 8)

    drawn = sample_patches(Lazy(), 100, 8, random_state=0, prepare=lambda image: -image)
    assert read == [0, 1, 2, 3]
    np.testing.assert_array_equal(drawn, np.tile(-np.arange(64, dtype=np.float32), (100, 1)))


@pytest.mark.parametrize(("n_patches", "patch_size"), [(0, 3), (5, 0)])
def test_impossible_requests_are_refused(n_patches: int, patch_size: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        sample_patches(np.zeros((1, 1, 8, 8)), n_patches, patch_size)


def test_an_image_without_channels_is_refused() -> None:
    with pytest.raises(UsageError, match="must have the shape"):
        sample_patches(np.zeros((2, 8, 8)), 5, 3)
