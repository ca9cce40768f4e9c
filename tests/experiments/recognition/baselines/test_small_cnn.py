"""The small network: its changes of images, its schedule, and that it learns."""

from __future__ import annotations

import numpy as np
import torch

from striate.experiments.recognition.baselines import Changes, SmallCNN
from striate.experiments.recognition.baselines._torch import _lit, _moved, _rate


def moved(images: torch.Tensor, *, shift: float = 0.0, mirrored: bool = False) -> torch.Tensor:
    return _moved(images, Changes(shift=shift, mirrored=mirrored))


def network(mirrored: bool, n_steps: int) -> SmallCNN:
    return SmallCNN(
        Changes(shift=0.1, light=0.2, mirrored=mirrored), n_steps=n_steps, batch_size=12, random_state=3, n_threads=1
    )


def bars(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of 12×12 with a bar, upright or lying, anywhere."""
    labels = np.arange(n) % 2
    images = 0.2 * rng.random((n, 1, 12, 12), dtype=np.float32)
    for image, label, place in zip(images, labels, rng.integers(2, 10, n), strict=True):
        if label:
            image[0, place] += 0.7
        else:
            image[0, :, place] += 0.7
    return images, labels


def test_learns_from_few_and_repeats_itself(rng: np.random.Generator) -> None:
    images, labels = bars(rng, 12)
    others, expected = bars(rng, 60)
    found = [network(True, 80).fit(images, labels).predict(others) for _ in range(2)]
    assert np.mean(found[0] == expected) > 0.9
    np.testing.assert_array_equal(found[0], found[1])


def test_the_callers_randomness_and_threads_stay(rng: np.random.Generator) -> None:
    images, labels = bars(rng, 4)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    network(False, 2).fit(images, labels)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_images_that_are_not_moved_stay_as_they_are() -> None:
    images = torch.rand(4, 3, 8, 10)
    torch.testing.assert_close(moved(images), images)
    torch.testing.assert_close(_lit(images, 0.0), images)


def test_mirrored_images_are_one_or_the_other() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 1, 8, 8).expand(64, 1, 8, 8)
    found = moved(images, mirrored=True)
    as_given = (found - images).abs().amax(dim=(1, 2, 3)) < 1e-5
    mirrored = (found - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert bool((as_given ^ mirrored).all())
    assert 16 < int(mirrored.sum()) < 48


def test_shifts_stay_within_their_bound() -> None:
    images = torch.arange(16.0).expand(200, 1, 16, 16)  # a ramp: its value at the center tells the shift
    found = moved(images, shift=1 / 8)[:, 0, 8, 8] - 8
    assert float(found.abs().max()) <= 2 + 1e-4
    assert float(found.min()) < -1.5
    assert float(found.max()) > 1.5


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [_rate(step, 100) for step in range(100)]
    assert np.argmax(rates) in (9, 10)
    assert max(rates) == 1
    assert (np.diff(rates[:10]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] < 1e-2
