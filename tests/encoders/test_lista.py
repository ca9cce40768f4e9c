from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import pytest

from striate.coding import PreparedDictionary, infer
from striate.encoders import LISTA, ShrinkageEncoder, _encoder, lista
from striate.encoders._sparse_inhibition import SparseInhibition
from striate.errors import UsageError
from striate.threads import limit
from tests.encoders.twin import assert_twin_agrees_and_differentiates


def some_dictionary(rng: np.random.Generator, n_components: int, n_features: int) -> np.ndarray:
    components = rng.standard_normal((n_components, n_features))
    return components / np.linalg.norm(components, axis=1, keepdims=True)


def ista(signal: np.ndarray, components: np.ndarray, sparsity: Any, steps: int) -> np.ndarray:
    """Proximal gradient from 0, in the residual's form."""
    curvature = 1.001 * np.linalg.norm(components, 2) ** 2
    code = np.zeros(len(components))
    for _ in range(steps):
        moved = code + components @ (signal - code @ components) / curvature
        code = np.sign(moved) * np.maximum(np.abs(moved) - sparsity / curvature, 0)
    return code


def some_encoder(rng: np.random.Generator, *, untied: bool, steps: int = 3, dtype: Any = np.float64) -> LISTA:
    """Not at ISTA's parameters, and with each step's its own."""
    encoder = LISTA.from_dictionary(some_dictionary(rng, 20, 12), rng.uniform(0.1, 0.4, 20), steps, untied=untied)
    changed = {n: a * rng.uniform(0.7, 1.3, a.shape) for n, a in encoder.arrays().items()}
    return encoder.with_arrays({name: array.astype(dtype) for name, array in changed.items()})


@pytest.mark.kernels
@pytest.mark.parametrize("untied", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_start_is_ista(rng: np.random.Generator, steps: int, untied: bool) -> None:
    components, signals = some_dictionary(rng, 20, 12), rng.standard_normal((9, 12))
    weights = rng.uniform(0.05, 0.4, 20)
    encoder = LISTA.from_dictionary(PreparedDictionary(components), weights, steps, untied=untied)
    expected = [ista(signal, components, weights, steps) for signal in signals]
    np.testing.assert_allclose(encoder.encode(signals), expected, atol=1e-12)
    single = LISTA.from_dictionary(components.astype(np.float32), weights, steps, untied=untied)
    assert single.encode(signals).dtype == single.dtype == np.float32
    np.testing.assert_allclose(single.encode(signals), expected, atol=1e-5)


def test_one_step_is_a_shrinkage_encoder(rng: np.random.Generator) -> None:
    components, signals = some_dictionary(rng, 20, 12), rng.standard_normal((9, 12))
    one = ShrinkageEncoder.from_dictionary(components, 0.3).encode(signals)
    np.testing.assert_array_equal(LISTA.from_dictionary(components, 0.3, 1).encode(signals), one)


def test_many_steps_reach_the_optimum(rng: np.random.Generator) -> None:
    components, signals = some_dictionary(rng, 20, 12), rng.standard_normal((9, 12))
    codes = LISTA.from_dictionary(components, 0.3, 3000).encode(signals)
    np.testing.assert_allclose(codes, infer(signals, components, 0.3, tolerance=1e-12), atol=1e-5)


@pytest.mark.kernels
@pytest.mark.parametrize("untied", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_and_dense_products_agree(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, dtype: Any, untied: bool
) -> None:
    pruned = some_encoder(rng, untied=untied, steps=4, dtype=dtype).prune(0.2)
    assert pruned.density == pytest.approx(0.2)
    signals = rng.standard_normal((300, 12)).astype(dtype)
    signals[17, 3] = np.nan
    codes = []
    for limit_of_density in (1.0, -1.0):
        monkeypatch.setattr(lista, "SPARSE_BELOW", limit_of_density)
        encoder = pruned.with_arrays(pruned.arrays())
        codes.append(encoder.encode(signals))
        assert bool(encoder._sparse) == (limit_of_density > 0)
    np.testing.assert_allclose(codes[0], codes[1], atol=1e-5 if dtype == np.float32 else 1e-12)
    assert np.flatnonzero(np.isnan(codes[0]).any(axis=1)).tolist() == [17]


@pytest.mark.kernels
def test_a_sparse_step_by_its_definition(rng: np.random.Generator) -> None:
    matrix = rng.standard_normal((7, 7)) * (rng.uniform(size=(7, 7)) < 0.4)
    matrix[3] = 0  # a unit that nothing inhibits
    linear, codes, thresholds = rng.standard_normal((7, 48)), rng.standard_normal((7, 48)), rng.uniform(0.1, 1, 7)
    result = np.empty_like(linear)
    SparseInhibition(matrix).step(linear, codes, thresholds, result)
    drive = linear + matrix @ codes
    expected = np.sign(drive) * np.maximum(np.abs(drive) - thresholds[:, np.newaxis], 0)
    np.testing.assert_allclose(result, expected, atol=1e-13)


def test_prune_keeps_the_strongest(rng: np.random.Generator) -> None:
    encoder = some_encoder(rng, untied=False)
    pruned = encoder.prune(0.25)
    kept = pruned.inhibition != 0
    assert kept.sum() == 100
    np.testing.assert_array_equal(pruned.inhibition[kept], encoder.inhibition[kept])
    assert np.abs(encoder.inhibition[kept]).min() >= np.abs(encoder.inhibition[~kept]).max()
    np.testing.assert_array_equal(encoder.prune(1.0).inhibition, encoder.inhibition)
    for fraction in (0.0, 1.5):
        with pytest.raises(UsageError, match="fraction"):
            encoder.prune(fraction)


def test_threads_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_encoder, "_WORTH_THREADS", 0)
    signals = rng.standard_normal((2000, 12))
    for encoder in (some_encoder(rng, untied=False), some_encoder(rng, untied=False).prune(0.1)):
        with limit(1):
            one = encoder.encode(signals)
        with limit(2):
            np.testing.assert_allclose(encoder.encode(signals), one, atol=1e-13)


@pytest.mark.parametrize("untied", [False, True])
def test_the_twin_agrees_and_its_gradients_are_right(rng: np.random.Generator, untied: bool) -> None:
    assert_twin_agrees_and_differentiates(some_encoder(rng, untied=untied), rng.standard_normal((4, 12)))


class Problem(NamedTuple):
    components: np.ndarray
    sparsity: float
    signals: np.ndarray
    codes: np.ndarray
    held_out_signals: np.ndarray
    held_out_codes: np.ndarray

    def error(self, encoder: LISTA) -> float:
        """Of signals that no training has seen."""
        wrong = encoder.encode(self.held_out_signals) - self.held_out_codes
        return float(np.square(wrong).sum(axis=1).mean())

    def energy(self, encoder: LISTA) -> float:
        codes = encoder.encode(self.held_out_signals)
        residual = self.held_out_signals - codes @ self.components
        return float((np.square(residual).sum(axis=1) / 2 + self.sparsity * np.abs(codes).sum(axis=1)).mean())


@pytest.fixture(scope="module")
def problem() -> Problem:
    rng = np.random.default_rng(1)
    components = some_dictionary(rng, 32, 16).astype(np.float32)
    signals = rng.standard_normal((4000, 16), dtype=np.float32)
    codes = infer(signals, components, 0.5)
    return Problem(components, 0.5, signals[:3000], codes[:3000], signals[3000:], codes[3000:])


@pytest.mark.parametrize("untied", [False, True])
def test_three_learned_steps_beat_three_of_ista(problem: Problem, untied: bool) -> None:
    pytest.importorskip("torch")
    start = LISTA.from_dictionary(problem.components, problem.sparsity, 3, untied=untied)
    trained = deepcopy(start).fit(problem.signals, problem.codes, n_batches=1000, batch_size=128, random_state=0)
    assert trained.dtype == np.float32
    assert trained.untied == untied
    assert problem.error(trained) < 0.4 * problem.error(start)
    assert problem.energy(trained) < problem.energy(start)
    assert (trained.thresholds > 0).all()


def test_the_energy_is_a_loss_of_its_own(problem: Problem) -> None:
    pytest.importorskip("torch")
    start = LISTA.from_dictionary(problem.components, problem.sparsity, 3)
    by_codes = deepcopy(start).fit(problem.signals, problem.codes, n_batches=600, batch_size=128, random_state=0)
    by_energy = deepcopy(start).fit(
        problem.signals, loss="energy", components=problem.components, sparsity=problem.sparsity,
        n_batches=600, batch_size=128, random_state=0,
    )  # fmt: skip
    assert problem.energy(by_energy) < problem.energy(by_codes) < problem.energy(start)


def test_a_pruned_inhibition_stays_pruned(problem: Problem) -> None:
    pytest.importorskip("torch")
    start = LISTA.from_dictionary(problem.components, problem.sparsity, 3).prune(0.2)
    options: dict[str, Any] = {"n_batches": 300, "batch_size": 128, "random_state": 0}
    trained = deepcopy(start).fit(problem.signals, problem.codes, **options)
    assert trained.density == start.density
    assert problem.error(trained) < 0.7 * problem.error(start)
    assert deepcopy(start).fit(problem.signals, problem.codes, keep_zeros=False, **options).density > start.density


def test_training_is_reproducible_and_never_harms(problem: Problem) -> None:
    pytest.importorskip("torch")
    start = LISTA.from_dictionary(problem.components, problem.sparsity, 2)
    before = {name: array.copy() for name, array in start.arrays().items()}
    one, again = (deepcopy(start).fit(problem.signals, problem.codes, n_batches=20, random_state=3) for _ in range(2))
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
        np.testing.assert_array_equal(start.arrays()[name], before[name])
        assert not np.array_equal(array, before[name])
    wild = deepcopy(start).fit(problem.signals, problem.codes, n_batches=20, learning_rate=1e4, random_state=0)
    np.testing.assert_array_equal(wild.filters, start.filters)
    few = deepcopy(start).fit(problem.signals[:10], problem.codes[:10], n_batches=5, random_state=0)
    assert few.steps == 2


def test_what_training_refuses(problem: Problem) -> None:
    pytest.importorskip("torch")
    encoder = LISTA.from_dictionary(problem.components, problem.sparsity, 2)
    signals, codes = problem.signals[:100], problem.codes[:100]
    with pytest.raises(UsageError, match="learns from codes"):
        encoder.fit(signals)
    with pytest.raises(UsageError, match="codes have shape"):
        encoder.fit(signals, codes[:, :5])
    with pytest.raises(UsageError, match="signals have shape"):
        encoder.fit(signals[:, :5], codes)
    with pytest.raises(UsageError, match="give components and sparsity"):
        encoder.fit(signals, loss="energy")
    with pytest.raises(UsageError, match="components have shape"):
        encoder.fit(signals, loss="energy", components=problem.components[:5], sparsity=1.0)
    with pytest.raises(UsageError, match="loss is 'speed'"):
        encoder.fit(signals, codes, loss="speed")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="batch_size"):
        encoder.fit(signals, codes, batch_size=0)
    with pytest.raises(UsageError, match="NaN"):
        encoder.fit(np.full_like(signals, np.nan), codes)


def test_state_round_trip_and_bad_input(rng: np.random.Generator) -> None:
    signals = rng.standard_normal((4, 12))
    for apart in (False, True):
        encoder = some_encoder(rng, untied=apart)
        arrays, header = encoder.to_state()
        assert header == {"kind": "lista", "steps": 3, "untied": apart}
        del header["untied"]  # which earlier versions did not write
        np.testing.assert_array_equal(LISTA.from_state(arrays, header).encode(signals), encoder.encode(signals))
    untied = some_encoder(rng, untied=True)
    with pytest.raises(UsageError, match="for 4 steps"):
        LISTA.from_arrays(untied.filters, untied.inhibition, untied.thresholds, steps=4)
    filters, inhibition, thresholds = some_encoder(rng, untied=False).arrays().values()
    with pytest.raises(UsageError, match="LISTA needs"):
        LISTA.from_arrays(filters, inhibition[:5], thresholds, steps=3)
    with pytest.raises(UsageError, match="LISTA needs"):
        LISTA.from_arrays(filters, inhibition, thresholds[:5], steps=3)
    with pytest.raises(UsageError, match="thresholds must be above 0"):
        LISTA.from_arrays(filters, inhibition, -thresholds, steps=3)
    with pytest.raises(UsageError, match="steps"):
        LISTA.from_arrays(filters, inhibition, thresholds, steps=0)
    with pytest.raises(UsageError, match="signals have shape"):
        LISTA.from_arrays(filters, inhibition, thresholds, steps=3).encode(signals.T)


def test_codes_need_no_torch_and_training_says_so() -> None:
    script = """
import sys

class NoTorch:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
import numpy as np
from striate.encoders import LCoD, LISTA, LinearEncoder, ShrinkageEncoder, SmoothShrinkageEncoder
from striate.errors import UsageError
signals, units = np.eye(3), np.eye(3)
LinearEncoder().fit(signals, signals).encode(signals)
for encoder in (
    ShrinkageEncoder.from_dictionary(units, 0.5), SmoothShrinkageEncoder.from_dictionary(units, 0.5),
    LISTA.from_dictionary(units, 0.5, 3), LCoD.from_dictionary(units, 0.5, 3),
):
    encoder.encode(signals)
    try:
        encoder.fit(signals, signals)
    except UsageError as error:
        assert "pip install striate[torch]" in str(error), error
    else:
        raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True)
