"""Stages by kernels in training: the features and slopes of torch's own operations in double precision."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate import threads
from striate.hierarchy import FilterBank, Hierarchy
from striate.hierarchy._trained_stage import Together, pass_back, pass_on
from tests.hierarchy.test_torch import filled

torch: Any = pytest.importorskip("torch")

NOTATIONS = [
    "7F5x5 - Rabs - N5x5 - PA4x4/2 - 9F3x3:3 - Rabs - N - PA2x2/2",
    "4F3x3 - N3x3 - PA3x3/1",
    "33F2x2 - Rabs - PA2x2/3",  # with gaps between windows
    "4F3x3 - PA5x5/2",
    "4F3x3 - Rabs",
    "4F3x3 - Rabs - N3x3 - PM2x2/2",
    "4F3x3 - N3x3 - 5F2x2:2 - N5x5",
]


def slopes_of(twin: Any, images: Any, weights: Any) -> dict[str, Any]:
    """Features and the derivatives of their weighted sum, also to the images."""
    inputs = images.clone().requires_grad_()
    made = twin(inputs)
    (made * weights.to(made)).sum().backward()
    found = {name: value.grad.double().numpy() for name, value in twin.named_parameters()}
    return {"features": made.detach().double().numpy(), "images": inputs.grad.double().numpy()} | found


def smooth(notation: str, n_channels: int, rng: np.random.Generator) -> Hierarchy:
    """With gains away from 0, where the absolute value bends, so that rounding does not choose between slopes."""
    layers = []
    for layer in filled(notation, n_channels, rng):
        if isinstance(layer, FilterBank):
            assert layer.gain is not None
            assert layer.filters is not None
            layer = layer.with_filters(
                layer.filters, bias=layer.bias, gain=np.sign(layer.gain) * (0.5 + abs(layer.gain)), table=layer.table
            )
        layers.append(layer)
    return Hierarchy(layers)


@settings(max_examples=30, deadline=None)
@given(
    notation=st.sampled_from(NOTATIONS),
    n_channels=st.integers(1, 3),
    sides=st.tuples(st.integers(18, 30), st.integers(18, 30)),
    seed=st.integers(0, 100),
)
def test_kernels_have_the_slopes_of_torch(notation: str, n_channels: int, sides: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    twin = smooth(notation, n_channels, rng).to_torch()
    images = torch.from_numpy(rng.standard_normal((2, n_channels, *sides), dtype=np.float32))
    weights = torch.from_numpy(rng.standard_normal(twin(images).shape))
    found = slopes_of(twin, images, weights)
    expected = slopes_of(copy.deepcopy(twin).double(), images.double(), weights)
    for name, theirs in expected.items():
        assert np.linalg.norm(found[name] - theirs) <= 2e-3 * np.linalg.norm(theirs) + 1e-6, name


@pytest.mark.parametrize("how", [Together(True, 5, 4, 2), Together(False, 5, 1, 1), Together(True, None, 3, 4)])
def test_any_number_of_threads_gives_the_same_bits(
    how: Together, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.hierarchy._trained_stage._WORTH_A_THREAD", 1)
    responses = rng.standard_normal((3, 17, 16, 5), dtype=np.float32)
    bias, gain = rng.standard_normal((2, 5), dtype=np.float32)
    found = []
    for n in (1, 2, 3):
        with threads.limit(n):
            made, passed = pass_on(responses.copy(), bias, gain, how)
            found.append((made, *pass_back(np.cos(made), passed)))
    for other in found[1:]:
        for each, first in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(each, first)


def test_part_of_a_hierarchy_gives_its_own_maps(rng: np.random.Generator) -> None:
    hierarchy = filled("4F3x3 - Rabs - N3x3 - PA2x2/2", 1, rng)
    images = rng.standard_normal((2, 1, 12, 13), dtype=np.float32)
    twin = hierarchy.to_torch()
    for n in range(1, len(hierarchy.layers) + 1):
        with torch.no_grad():
            made = twin[:n](torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(made, Hierarchy(hierarchy.layers[:n]).transform(images), atol=1e-4)


def test_blank_images_have_finite_slopes(rng: np.random.Generator) -> None:
    twin = filled("3F3x3 - Rabs - N3x3 - PA2x2/2", 1, rng).to_torch()
    found = slopes_of(twin, torch.zeros(2, 1, 9, 9), torch.ones(2, 3, 3, 3))
    assert all(np.isfinite(each).all() for each in found.values())


def test_a_blank_image_changes_no_other(rng: np.random.Generator) -> None:
    twin = smooth("4F3x3 - Rabs - N3x3 - PA2x2/2", 1, rng).to_torch()
    images = torch.from_numpy(rng.standard_normal((2, 1, 12, 12), dtype=np.float32))
    images[1] = 0
    with torch.no_grad():
        np.testing.assert_array_equal(twin(images)[:1].numpy(), twin(images[:1]).numpy())


def test_says_that_slopes_are_found_once(rng: np.random.Generator) -> None:
    twin = filled("3F3x3 - Rabs", 1, rng).to_torch()
    made = twin(torch.zeros(1, 1, 9, 9)).sum()
    made.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute its features again"):
        made.backward()


def test_steps_of_the_optimizer_before_the_slopes_do_not_matter(rng: np.random.Generator) -> None:
    twin = smooth("3F3x3 - Rabs - N3x3", 1, rng).to_torch()
    images = torch.from_numpy(rng.standard_normal((1, 1, 9, 9), dtype=np.float32))
    weights = torch.from_numpy(rng.standard_normal((1, 3, 7, 7)))
    found = slopes_of(twin, images, weights)
    twin.zero_grad()
    made = (twin(images) * weights).sum()
    with torch.no_grad():
        twin[0].gain *= 2
    made.backward()
    np.testing.assert_array_equal(twin[0].gain.grad.double().numpy(), found["0.gain"])
