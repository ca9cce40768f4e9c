"""Every learner takes arrays of every layout, models that are memory maps, and data of every scale, or says why not."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse

from striate.errors import UsageError
from tests.learning.learners import LEARNERS, codes_of, data_for

_IN_UNIT_RANGE = ("rbm-binary", "rbm-persistent", "autoencoder-binary")
# Codes of sparse coding and K-SVD have the scale of the signals: their own tests try that.
_WITH_A_SCALE = [name for name in LEARNERS if not name.startswith(("sparse-coding", "k-svd"))]
METHODS = ("transform", "infer", "reconstruct", "free_energy", "score")


def _strided(rows: np.ndarray) -> np.ndarray:
    wide = np.zeros((2 * rows.shape[0], 3 * rows.shape[1]), rows.dtype)
    wide[::2, ::3] = rows
    return wide[::2, ::3]


def _unaligned(rows: np.ndarray) -> np.ndarray:
    held = np.zeros(rows.nbytes + 1, np.uint8)
    array = held[1:].view(rows.dtype).reshape(rows.shape)
    array[:] = rows
    return array


def _read_only(rows: np.ndarray) -> np.ndarray:
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "fortran": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda rows: rows[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": _read_only,
    "big-endian": lambda rows: rows.astype(rows.dtype.newbyteorder(">")),
    "unaligned": _unaligned,
}


def _results(learner: Any, rows: Any) -> dict[str, Any]:
    found = {name: getattr(learner, name)(rows) for name in METHODS if hasattr(learner, name)}
    found["inverse"] = learner.inverse_transform(codes_of(learner, rows))
    found["learned"] = copy.deepcopy(learner).partial_fit(rows).transform(rows)
    return found


def _assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.asarray(found[name]).dtype == np.asarray(value).dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LEARNERS)
def test_layouts_make_no_difference(name: str, dtype: Any, tmp_path: Path) -> None:
    rows = data_for(name, dtype=dtype)
    expected = _results(LEARNERS[name]().fit(rows), rows)
    np.save(tmp_path / "rows.npy", rows)
    for layout in (*LAYOUTS, "memory map"):
        given = LAYOUTS[layout](rows) if layout in LAYOUTS else np.load(tmp_path / "rows.npy", mmap_mode="r")
        _assert_same(_results(LEARNERS[name]().fit(given), given), expected)


@pytest.mark.parametrize("name", LEARNERS)
def test_half_precision_is_single(name: str) -> None:
    rows = data_for(name).astype(np.float16)
    single = rows.astype(np.float32)
    _assert_same(_results(LEARNERS[name]().fit(rows), rows), _results(LEARNERS[name]().fit(single), single))


@pytest.mark.parametrize("name", LEARNERS)
def test_one_sample_one_unit_and_one_feature(name: str) -> None:
    rows = data_for(name)
    learner = LEARNERS[name](1).fit(rows)
    whole = _results(learner, rows)
    one = _results(learner, rows[:1])
    assert len(one["transform"]) == 1
    np.testing.assert_allclose(one["transform"], whole["transform"][:1], rtol=1e-4, atol=1e-5)
    assert np.isfinite(_results(LEARNERS[name](1).fit(rows[:1]), rows)["transform"]).all()
    column = rows[:, :1]
    learner = LEARNERS[name](1)
    if getattr(learner, "remove_mean", False):
        with pytest.raises(UsageError, match=r"n_features = 1, .* remove_mean=False"):
            learner.fit(column)
        learner.set_params(remove_mean=False)
    assert np.isfinite(_results(learner.set_params(**_few(name)).fit(column), column)["transform"]).all()


def _few(name: str) -> dict[str, Any]:
    return {"n_components": 4, "n_orientations": 2} if name == "gabor" else {}


@pytest.mark.parametrize("mode", ["r", "c"])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_mapped_model_codes_and_learns_as_the_one_that_was_saved(name: str, mode: Any, tmp_path: Path) -> None:
    rows = data_for(name)
    learner = LEARNERS[name]().fit(rows)
    learner.transform(rows)  # what it keeps of its arrays for the next time is saved as well
    joblib.dump(learner, tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    mapped = joblib.load(tmp_path / "model", mmap_mode=mode)
    expected = _results(learner, rows)
    _assert_same(_results(mapped, rows), expected)
    mapped.partial_fit(rows)
    np.testing.assert_array_equal(mapped.transform(rows), expected["learned"])
    mapped.partial_fit(rows[:7])
    learner.partial_fit(rows).partial_fit(rows[:7])
    np.testing.assert_array_equal(mapped.transform(rows), learner.transform(rows))
    assert (tmp_path / "model").read_bytes() == before
    mapped.fit(rows)
    np.testing.assert_array_equal(mapped.transform(rows), expected["transform"])


@pytest.mark.parametrize(("dtype", "scales"), [(np.float32, (1e-30, 1e-20, 1e20, 1e30)), (np.float64, (1e-150, 1e150))])
@pytest.mark.parametrize("name", _WITH_A_SCALE)
def test_scales_make_no_difference_or_are_refused(name: str, dtype: Any, scales: tuple[float, ...]) -> None:
    rows = data_for(name, dtype=dtype)
    expected = LEARNERS[name]().fit(rows).transform(rows)
    for scale in scales:
        scaled = rows * dtype(scale)
        # Binary units are for numbers in [0, 1], and a Boltzmann machine has no scale of its own.
        if (scale > 1 and name in _IN_UNIT_RANGE) or name == "rbm-gaussian":
            with pytest.raises(UsageError, match=r"in \[0, 1\]|unit variance"):
                LEARNERS[name]().fit(scaled)
            continue
        learner = LEARNERS[name]().fit(scaled)
        codes = learner.transform(scaled)
        assert np.isfinite(codes).all()
        if not name.startswith(("rbm", "autoencoder-rbm", "autoencoder-binary")):
            np.testing.assert_allclose(codes, expected, rtol=1e-2, atol=1e-2)
            back = learner.inverse_transform(codes_of(learner, scaled)) / dtype(
                1 if name == "autoencoder-words" else scale
            )
            assert np.isfinite(back).all()
            assert np.abs(back).max() > 0


@pytest.mark.parametrize("name", _WITH_A_SCALE)
def test_numbers_at_the_limits_of_their_type_give_codes_or_one_sentence(name: str) -> None:
    rows = data_for(name)
    learner = LEARNERS[name]().fit(rows)
    for limit in (1e38, 3e38, 1e-38, 1e-44):
        for task in (lambda given: LEARNERS[name]().fit(given).transform(given), learner.transform):
            with contextlib.suppress(UsageError):
                assert np.isfinite(task(rows * np.float32(limit / np.abs(rows).max()))).all()


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, 7.1e19])
@pytest.mark.parametrize("name", LEARNERS)
def test_constant_data_give_equal_codes(name: str, value: float) -> None:
    rows = np.full((60, 9), value, np.float32)
    if value > 1 and name.startswith(("rbm", "autoencoder-binary")):
        with pytest.raises(UsageError, match=r"in \[0, 1\]|unit variance"):
            LEARNERS[name]().fit(rows)
        return
    codes = LEARNERS[name]().fit(rows).transform(rows)
    assert np.isfinite(codes).all()
    np.testing.assert_allclose(codes, np.broadcast_to(codes[0], codes.shape), atol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_sparse_samples_are_taken_as_dense_ones_or_refused_by_name(name: str) -> None:
    rows = data_for(name, n_features=9)
    for form in (scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array):
        if name.startswith(("rbm", "autoencoder")):
            expected = _results(LEARNERS[name]().fit(rows), rows)
            given = form(rows)
            _assert_same(_results(LEARNERS[name]().fit(given), given), expected)
        else:
            learner = LEARNERS[name]()
            with pytest.raises(UsageError, match=rf"{type(learner).__name__}: .* sparse matrix.*toarray"):
                learner.fit(form(rows))
            with pytest.raises(UsageError, match="sparse"):
                learner.fit(rows).transform(form(rows))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda rows: rows[:, :5], "features"),
        (lambda rows: rows[0], "1D array"),
        (lambda rows: rows[np.newaxis], "dim 3"),
        (lambda rows: rows[:0], "0 sample"),
        (lambda rows: rows.astype("M8[s]"), "real numbers"),
        (lambda rows: rows.astype(str), "real numbers"),
        (lambda rows: rows * 1j, "Complex"),
        (lambda rows: np.ma.masked_greater(rows, 0.5), "masked"),
        (lambda rows: np.where(np.arange(len(rows))[:, None] == 17, np.nan, rows), "first in sample 17"),
        (lambda rows: np.where(np.arange(len(rows))[:, None] == 17, -np.inf, rows), "first in sample 17"),
    ],
)
@pytest.mark.parametrize("name", LEARNERS)
def test_anything_else_is_refused_in_one_sentence(name: str, wrong: Callable[..., Any], message: str) -> None:
    rows = data_for(name)
    learner = LEARNERS[name]().fit(rows)
    tasks = [learner.transform, learner.partial_fit]
    if message != "features":
        tasks.append(LEARNERS[name]().fit)
    for task in tasks:
        with pytest.raises(UsageError, match=message):
            task(wrong(rows))
    for codes in (codes_of(learner, rows)[:, :-1], codes_of(learner, rows) * np.nan, ["a"]):
        with pytest.raises(UsageError, match="codes"):
            learner.inverse_transform(codes)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *[(f"psd-{kind}", {"encoder_rate": 1e30}) for kind in ("tanh", "linear", "shrinkage", "lista", "lcod")],
        ("topographic-psd", {"encoder_rate": 1e30}),
        ("rbm-gaussian", {"learning_rate": 10.0, "n_epochs": 50}),
        ("rbm-binary", {"learning_rate": 1e38}),
        ("rbm-binary", {"weight_decay": 1e30, "n_epochs": 9}),
        ("autoencoder", {"learning_rate": 1e30, "n_epochs": 9}),
        ("autoencoder", {"weight_decay": 1e30, "n_epochs": 9}),
    ],
)
def test_a_fit_that_diverges_says_what_to_lower(name: str, options: dict[str, Any]) -> None:
    rows = data_for(name)
    (lowered,) = set(options) - {"n_epochs"}
    learner = LEARNERS[name]().set_params(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsageError, match=rf"{type(learner).__name__}: .* diverged .* lower .*{lowered} \(now"):
            learner.fit(rows)
