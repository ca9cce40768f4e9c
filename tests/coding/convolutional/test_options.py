"""Options of `infer_convolutional`: forms of images and codes, types, warm starts, wrong and extreme input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from striate.coding import PreparedFilters, SparseMaps, certify_convolutional, infer_convolutional
from striate.coding.convolutional.solving import METHODS
from striate.errors import UsageError
from tests.coding.convolutional.problems import kkt_residual, problem

EVERY_METHOD = pytest.mark.parametrize("method", list(METHODS))


def test_images_come_in_every_form(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    prepared = PreparedFilters(filters)
    maps = infer_convolutional(image, prepared, 0.5)
    assert maps.shape == (5, 10, 11)
    np.testing.assert_array_equal(infer_convolutional(image[0], filters[:, 0], 0.5), maps)
    np.testing.assert_array_equal(infer_convolutional(image[0].tolist(), filters.tolist(), 0.5), maps)
    several = np.stack([image, 2 * image, np.zeros_like(image)])
    found = infer_convolutional(several, prepared, 0.5, info=True)
    np.testing.assert_array_equal(found.codes[0], maps)
    assert found.codes.shape == (3, 5, 10, 11)
    assert found.objective.shape == found.relative_gap.shape == found.converged.shape == (3,)
    assert not found.codes[2].any()
    assert found.gap[2] == found.relative_gap[2] == 0
    listed = infer_convolutional([image[0], image[:, :6, :7]], prepared, 0.5)
    np.testing.assert_array_equal(listed[0], maps)
    assert listed[1].shape == (5, 4, 4)
    assert infer_convolutional([], prepared, 0.5) == []


def test_sparse_output_holds_the_same_codes(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    dense = infer_convolutional([image, image[:, 2:]], filters, 0.5)
    sparse = infer_convolutional([image, image[:, 2:]], filters, 0.5, sparse_output=True)
    for one, other in zip(dense, sparse, strict=True):
        np.testing.assert_array_equal(one, other.toarray())
        again = SparseMaps.from_array(one)
        np.testing.assert_array_equal(again.coordinates, other.coordinates)
        np.testing.assert_array_equal(again.values, other.values)
        assert again.shape == other.shape == one.shape
        assert len(other.values) == np.count_nonzero(one)
    proof = certify_convolutional([image, image[:, 2:]], sparse, filters, 0.5)
    np.testing.assert_array_equal(
        proof.objective, certify_convolutional([image, image[:, 2:]], dense, filters, 0.5).objective
    )
    batch = infer_convolutional(np.stack([image, image]), filters, 0.5, sparse_output=True)
    np.testing.assert_array_equal(batch[1].toarray(), dense[0])


@EVERY_METHOD
@pytest.mark.parametrize("of_filters", [np.float32, np.float64])
@pytest.mark.parametrize("of_image", [np.float16, np.float32, np.float64, np.uint8])
def test_the_type_is_that_of_the_image(rng: np.random.Generator, method: Any, of_image: Any, of_filters: Any) -> None:
    image, filters = problem(rng)
    image = (10 + 3 * image).astype(of_image)
    found = infer_convolutional(image, filters.astype(of_filters), 3.0, method=method, info=True)
    single = of_image in (np.float16, np.float32)
    assert found.codes.dtype == (np.float32 if single else np.float64)
    assert found.relative_gap[0] <= (1e-4 if single else 1e-6)


@EVERY_METHOD
def test_a_warm_start_at_the_optimum_stays_there(rng: np.random.Generator, method: Any) -> None:
    image, filters = problem(rng)
    exact = infer_convolutional(image, filters, 0.5, tolerance=1e-8)
    for start in (exact, SparseMaps.from_array(exact)):
        found = infer_convolutional(image, filters, 0.5, method=method, start=start, info=True)
        assert found.iterations[0] == 1
        np.testing.assert_array_equal(found.codes, exact)
    wrong = infer_convolutional(image, filters, 0.5, method=method, start=-5 * exact, tolerance=1e-10)
    np.testing.assert_allclose(wrong, exact, atol=1e-3)
    both = infer_convolutional(
        [image, image], filters, 0.5, method=method, start=[exact, exact], positive=True, info=True
    )
    assert both.converged.all()
    assert both.codes[0].min() >= 0


def test_at_the_largest_correlation_all_codes_vanish(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    prepared = PreparedFilters(filters)
    highest = np.abs(prepared.correlate(image)).max()
    assert not infer_convolutional(image, prepared, highest).any()
    assert np.count_nonzero(infer_convolutional(image, prepared, 0.98 * highest)) == 1


def test_filters_that_are_zero_and_masks_that_hide_all(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    filters[2] = 0
    start = np.ones((5, 10, 11))
    found = infer_convolutional(image, filters, 0.4, start=start, tolerance=1e-11, info=True)
    assert not found.codes[2].any()
    assert kkt_residual(image, found.codes, filters, 0.4) < 1e-4
    assert not infer_convolutional(image, np.zeros((3, 4, 4)), 0.4, start=np.ones((3, 9, 11))).any()
    hidden = infer_convolutional(
        np.full_like(image, np.nan), filters, 0.4, mask=np.zeros((12, 14)), start=start, info=True
    )
    assert hidden.converged.all()
    assert not hidden.codes.any()


def test_a_padded_mask_lets_filters_cross_the_border(rng: np.random.Generator) -> None:
    # An image made of one filter that lies half outside.
    filters = rng.standard_normal((3, 1, 5, 5))
    whole = np.zeros((1, 16, 16))
    whole[0, 2:7, 1:6] = 10 * filters[1, 0]
    seen = np.zeros((16, 16), bool)
    seen[4:-4, 4:-4] = True
    padded = np.pad(whole[:, 4:-4, 4:-4], ((0, 0), (4, 4), (4, 4)), constant_values=np.nan)
    codes = infer_convolutional(padded, filters, 1e-3, mask=seen, tolerance=1e-10)
    rebuilt = PreparedFilters(filters).reconstruct(codes)
    np.testing.assert_allclose(rebuilt[:, seen], whole[:, seen], atol=0.01)


def test_one_pixel(rng: np.random.Generator) -> None:
    code = infer_convolutional(np.array([[3.0]]), np.array([[[2.0]]]), 1.0, tolerance=1e-12)
    np.testing.assert_allclose(code, [[[(6 - 1) / 4]]])
    image = rng.standard_normal((4, 5))
    codes = infer_convolutional(image, np.array([[[1.0]]]), 0.5, tolerance=1e-14)
    np.testing.assert_allclose(codes[0], np.sign(image) * np.maximum(np.abs(image) - 0.5, 0), atol=1e-12)


@EVERY_METHOD
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("of_image", "of_filters"), [(-16, 16), (15, -15), (0, -30), (28, 0), (-35, -1)])
def test_extreme_scales(rng: np.random.Generator, method: Any, dtype: Any, of_image: int, of_filters: int) -> None:
    image, filters = problem(rng)
    plain = infer_convolutional(image, filters, 0.5, method=method, tolerance=1e-4)
    a, b = 10.0**of_image, 10.0**of_filters
    image, filters = (image * a).astype(dtype), (filters * b).astype(dtype)
    found = infer_convolutional(image, filters, 0.5 * a * b, method=method, tolerance=1e-4, info=True)
    assert found.codes.dtype == dtype
    assert found.relative_gap[0] <= 1e-4
    np.testing.assert_allclose(found.codes.astype(float) * (b / a), plain, atol=0.1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_code_that_its_type_cannot_hold_is_refused(rng: np.random.Generator) -> None:
    image, filters = problem(rng, dtype=np.float32)
    with pytest.raises(UsageError, match="too large or too small for float32"):
        infer_convolutional(image * np.float32(1e25), filters * np.float32(1e-25), 0.5)


def test_a_tolerance_that_is_not_reached_warns(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    method: Any
    for method in METHODS:
        with pytest.warns(ConvergenceWarning, match=f"1 of 2 images did not reach .* by {method}"):
            found = infer_convolutional(
                [image, 0 * image], filters, 0.01, method=method, max_iterations=2, tolerance=1e-9, info=True
            )
        np.testing.assert_array_equal(found.converged, [False, True])
        assert found.relative_gap[0] > 1e-9
        assert found.iterations[0] <= 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "cod"}, "there is no method 'cod'"),
        ({"images": np.full((12, 14), np.nan)}, "image 0 holds NaN"),
        ({"images": [np.zeros((12, 14)), np.full((12, 14), np.inf)]}, "image 1 holds NaN"),
        ({"images": np.zeros((2, 20))}, "image 0 is 2×20, smaller than the filters of 3×4; pad it"),
        ({"images": np.zeros(5)}, "give .height, width."),
        ({"images": np.zeros((0, 1, 12, 14))}, "give .height, width."),
        ({"images": np.zeros((4, 12, 14))}, r"filters are for \(1, height, width\); several images are"),
        ({"images": np.zeros((12, 14), complex)}, "real numbers"),
        ({"images": [[1.0, 2.0], [3.0]]}, "rows of one length"),
        ({"filters": np.full((2, 3, 3), np.nan)}, "first in filter 0"),
        ({"filters": np.zeros((3, 3))}, "filters are an array"),
        ({"filters": np.zeros((0, 3, 3))}, "filters are an array"),
        ({"filters": np.zeros((2, 3, 3), complex)}, "real numbers"),
        ({"filters": [[[1.0]], [[1.0, 2.0]]]}, "filters of one size"),
        ({"sparsity": 0}, "sparsity"),
        ({"sparsity": [1, 1, 1, 1, -1.0]}, "above 0 for every map"),
        ({"sparsity": np.ones(4)}, r"shape \(5,\)"),
        ({"sparsity": "high"}, "above 0, or one for each map"),
        ({"mask": np.ones((3, 3))}, "mask of image 0"),
        ({"mask": -np.ones((12, 14))}, "negative weights"),
        ({"mask": np.full((12, 14), np.nan)}, "NaN"),
        ({"images": [np.zeros((12, 14))], "mask": np.ones((12, 14))}, "list of 1 masks"),
        ({"start": np.zeros((5, 10, 10))}, r"and \(5, 10, 11\) is needed"),
        ({"start": np.full((5, 10, 11), np.inf)}, "NaN or infinity"),
        ({"images": [np.zeros((12, 14))] * 2, "start": [np.zeros((5, 10, 11))]}, "2 images, but codes of 1"),
        ({"images": [np.zeros((12, 14))] * 2, "start": np.zeros((5, 10, 11))}, "codes of each"),
        ({"start": SparseMaps((5, 10, 11), np.array([[0, 0, 11]]), np.ones(1))}, "outside"),
        ({"start": SparseMaps((5, 10, 11), np.array([[0, 0, 1]] * 2), np.ones(2))}, "two values"),
        ({"tolerance": 0}, "tolerance"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"positive": 2}, "positive"),
    ],
)
def test_wrong_arguments_are_refused(rng: np.random.Generator, changes: dict[str, Any], message: str) -> None:
    image, filters = problem(rng)
    with pytest.raises(UsageError, match=message):
        infer_convolutional(**{"images": image, "filters": filters, "sparsity": 0.5, **changes})


def test_infinite_sparsity_with_a_code_and_negative_codes_have_an_infinite_objective(rng: np.random.Generator) -> None:
    image, filters = problem(rng)
    code = -np.ones((5, 10, 11))
    assert certify_convolutional(image, code, filters, 1.0, positive=True).gap[0] == np.inf
    assert certify_convolutional(image, code, filters, [1, 1, 1, 1, np.inf]).objective[0] == np.inf
