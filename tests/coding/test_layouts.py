"""Every public function of `striate.coding`, with arrays of every layout and type: the same numbers come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striate.coding as coding
from striate.coding.eigenvalue import TrackedEigenvalue, largest_eigenvalue
from striate.coding.inference import METHODS
from striate.coding.proximal import fista_from_gram

Layout = Callable[[np.ndarray, Path], np.ndarray]


def strided(array: np.ndarray, _: Path) -> np.ndarray:
    wide = np.full((2 * array.shape[0], 3 * array.shape[1]), 7, array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def reversed_rows(array: np.ndarray, _: Path) -> np.ndarray:
    return np.ascontiguousarray(array[::-1])[::-1]


def read_only(array: np.ndarray, _: Path) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def mapped(array: np.ndarray, folder: Path) -> np.ndarray:
    path = folder / f"{array.shape}-{array.sum()}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def unaligned(array: np.ndarray, _: Path) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[:] = array
    assert not view.flags.aligned
    return view


LAYOUTS: dict[str, Layout] = {
    "fortran": lambda array, _: np.asfortranarray(array),
    "strided": strided,
    "reversed": reversed_rows,
    "read_only": read_only,
    "mapped": mapped,
    "unaligned": unaligned,
    "big_endian": lambda array, _: array.astype(array.dtype.newbyteorder(">")),
    "broadcast": lambda array, _: np.broadcast_to(array, array.shape),
}
SHAPES = {
    "many": (6, 5, 4),
    "one_row": (1, 5, 4),
    "one_feature": (6, 5, 1),
    "one_unit": (6, 1, 4),
    "all_one": (1, 1, 1),
}


def by_method(method: Any, **options: Any) -> Callable[[np.ndarray, np.ndarray], Any]:
    return lambda y, d: coding.infer(y, d, 0.3, method=method, **options)


def a_fit(y: np.ndarray, d: np.ndarray) -> Any:
    return coding.SparseCoder(d, sparsity=0.3).fit(y).transform(y)


def from_gram(y: np.ndarray, d: np.ndarray) -> Any:
    gram = np.array(d @ d.T, order="C")
    layout = read_only(gram, Path())
    return fista_from_gram(y @ d.T, layout, 0.3, steps=300, eigenvalue=1.001 * largest_eigenvalue(gram))[0]


CALLS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    **{method: by_method(method) for method in (*METHODS, "threshold")},
    **{f"{method}, positive": by_method(method, positive=True) for method in METHODS},
    "l2": by_method("active_set", l2=0.2),
    "sparse_output": lambda y, d: coding.infer(y, d, 0.3, sparse_output=True).toarray(),
    "start": lambda y, d: coding.infer(y, d, 0.3, start=y[:, :1] * np.ones(len(d))),
    "mask": lambda y, d: coding.infer(y, d, 0.3, mask=np.ones(y.shape, bool)),
    "prepared": lambda y, d: coding.infer(y, coding.PreparedDictionary(d), 0.3),
    "info": lambda y, d: coding.infer(y, d, 0.3, info=True).codes,
    "infer_until": lambda y, d: coding.infer_until(y, d, max_nonzero=1),
    "infer_with_prediction": lambda y, d: coding.infer_with_prediction(
        y, d, 0.3, prediction=0.5, target=y[:, :1] * np.ones(len(d), y.dtype)
    ),
    "regularization_path": lambda y, d: coding.regularization_path(y[0], d).at(0.1),
    "certify": lambda y, d: np.array(coding.certify(y, coding.infer(y, d, 0.3), d, 0.5)),
    "energy": lambda y, d: coding.energy(y, coding.infer(y, d, 0.3), d, 0.3),
    "fista": lambda y, d: coding.fista(y, d, 0.3, steps=300),
    "fista_from_gram": from_gram,
    "largest_eigenvalue": lambda _, d: np.array(largest_eigenvalue(d @ d.T)),
    "tracked_eigenvalue": lambda _, d: np.array(TrackedEigenvalue().update(d @ d.T)),
    "find_sparsity": lambda y, d: np.array(
        coding.find_sparsity(y, coding.PreparedDictionary(d), 0.5, low=1e-3, high=10, n_steps=8)
    ),
    "SparseCoder": a_fit,
    "infer_convolutional": lambda y, d: coding.infer_convolutional(y, d[:, np.newaxis], 0.3, mask=np.abs(y)),
    "infer_convolutional_with_prediction": lambda y, d: coding.infer_convolutional_with_prediction(
        y, d[:, np.newaxis], 0.3, prediction=0.5, target=np.broadcast_to(y[:, :1], (len(d), len(y), 1)).astype(y.dtype)
    ),
    "denoise": lambda y, d: coding.denoise(y, d[:, np.newaxis], noise=0.5),
    "inpaint": lambda y, d: coding.inpaint(y, np.abs(y) >= np.median(np.abs(y)), d[:, np.newaxis]),
    "certify_convolutional": lambda y, d: np.array(
        coding.certify_convolutional(y, coding.PreparedFilters(d[:, np.newaxis]).correlate(y), d[:, np.newaxis], 0.5)
    ),
    "infer_topographic": lambda y, d: coding.infer_topographic(y, d, coding.Sheet.of(len(d)), 0.3, tolerance=1e-5),
    "certify_topographic": lambda y, d: np.array(
        coding.certify_topographic(y, y[:, :1] * np.ones(len(d)), d, coding.Sheet.of(len(d)), 0.3)
    ),
    "topographic_energy": lambda y, d: coding.topographic_energy(
        y, y[:, :1] * np.ones(len(d)), d, coding.Sheet.of(len(d)), 0.3
    )[1],
    "Sheet": lambda y, _: coding.Sheet(y.shape[1]).pool(y),
    "PreparedFilters": lambda y, d: coding.PreparedFilters(d[:, np.newaxis]).correlate(y),
    "SparseMaps": lambda y, _: coding.SparseMaps.from_array(y[np.newaxis]).toarray(),
}


def test_every_public_function_is_called() -> None:
    called = {"PreparedDictionary", "infer", "Inference", "Path", "Certificate"} | {"natural_filters"}  # takes nothing
    assert set(coding.__all__) <= called | set(CALLS)


@pytest.mark.kernels
@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize("shape", list(SHAPES))
def test_layouts_change_nothing(call: str, shape: str, rng: np.random.Generator, tmp_path: Path) -> None:
    n, n_components, n_features = SHAPES[shape]
    for dtype in (np.float32, np.float64):
        signals = rng.standard_normal((n, n_features)).astype(dtype)
        dictionary = rng.standard_normal((n_components, n_features)).astype(dtype)
        expected = CALLS[call](signals, dictionary)
        assert np.isfinite(expected).all()
        for layout in LAYOUTS.values():
            found = CALLS[call](layout(signals, tmp_path), layout(dictionary, tmp_path))
            assert np.asarray(found).dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize("call", list(CALLS))
def test_float16_is_computed_with_as_float32(call: str, rng: np.random.Generator) -> None:
    signals = rng.standard_normal((6, 4)).astype(np.float16)
    dictionary = rng.standard_normal((5, 4)).astype(np.float16)
    found = CALLS[call](signals, dictionary)
    expected = CALLS[call](signals.astype(np.float32), dictionary.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=5e-3)
