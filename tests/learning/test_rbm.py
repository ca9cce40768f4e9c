"""Restricted Boltzmann machines against sums over all their states."""

from __future__ import annotations

import pickle
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.special import expit, logsumexp
from sklearn.utils.estimator_checks import check_estimator

from striate import model_file, threads
from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.learning import RBM, exact_log_partition
from striate.learning._rows import Rows
from striate.learning._schedule import Schedule
from tests.killing import learn_through_kills

Parameters = tuple[np.ndarray, np.ndarray, np.ndarray]


def _data(n_features: int = 6, n_samples: int = 300) -> np.ndarray:
    return (np.random.default_rng(0).random((n_samples, n_features)) < 0.4).astype(np.float64)


def _states(n_units: int) -> np.ndarray:
    return np.array(list(product([0.0, 1.0], repeat=n_units)))


def _parameters(machine: RBM) -> Parameters:
    return machine.components_, machine.hidden_bias_, machine.visible_bias_


def _same(one: RBM, other: RBM) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(_parameters(one), _parameters(other), strict=True))


def _tiny() -> RBM:
    """Four visible and three hidden units, with weights that make the chain neither mix at once nor hardly at all."""
    rng = np.random.default_rng(1)
    machine = RBM(3, random_state=0).partial_fit(_data(4)[:1])
    machine.components_[:] = rng.standard_normal((3, 4))
    machine.hidden_bias_[:], machine.visible_bias_[:] = rng.standard_normal(3), rng.standard_normal(4)
    return machine


@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_free_energy_is_the_sum_over_hidden_states(visible):
    machine = RBM(4, visible=visible, n_epochs=3, random_state=0).fit(_data())
    v, h = _data()[:5], _states(4)
    own = -v @ machine.visible_bias_ if visible == "binary" else ((v - machine.visible_bias_) ** 2).sum(axis=1) / 2
    energy = own[:, None] - h @ machine.hidden_bias_ - v @ machine.components_.T @ h.T
    np.testing.assert_allclose(machine.free_energy(v), -logsumexp(-energy, axis=1))


@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_free_energy_is_the_integral_over_linear_units(visible):
    machine = RBM(2, visible=visible, hidden="linear", n_epochs=1, random_state=0).fit(_data())
    machine.components_ *= 5
    machine.hidden_bias_[:] = 0.3, -0.5
    for v in _data()[:3]:
        own = -v @ machine.visible_bias_ if visible == "binary" else ((v - machine.visible_bias_) ** 2).sum() / 2
        drive, bias = machine.components_ @ v, machine.hidden_bias_

        def density(a: float, b: float, own: float = own, drive: np.ndarray = drive, bias: np.ndarray = bias) -> float:
            h = np.array([a, b])
            return float(np.exp(-own - ((h - bias) ** 2).sum() / 2 + h @ drive))

        integral, _ = dblquad(density, -9, 9, -9, 9, epsabs=1e-8, epsrel=1e-8)
        assert machine.free_energy(v[None])[0] == pytest.approx(-np.log(integral), abs=1e-7)


def _gradient(machine: RBM, data: np.ndarray, joint: np.ndarray) -> list[np.ndarray]:
    """Of the mean log-likelihood, where `joint` (n_visible_states, n_hidden_states) is the model's distribution."""
    v, h = _states(data.shape[1]), _states(len(machine.components_))
    means = machine.transform(data)
    return [
        means.T @ data / len(data) - h.T @ joint.T @ v,
        means.mean(axis=0) - joint.sum(axis=0) @ h,
        data.mean(axis=0) - joint.sum(axis=1) @ v,
    ]


def _joint(machine: RBM) -> np.ndarray:
    v, h = _states(4), _states(3)
    exponent = (v @ machine.visible_bias_)[:, None] + h @ machine.hidden_bias_ + v @ machine.components_.T @ h.T
    return np.exp(exponent - logsumexp(exponent))


def test_the_exact_gradient_is_that_of_the_exact_likelihood():
    machine, data = _tiny(), _data(4)

    def likelihood() -> float:
        return float(machine.log_likelihood(data, log_partition=exact_log_partition(machine)).mean())

    for parameter, gradient in zip(_parameters(machine), _gradient(machine, data, _joint(machine)), strict=True):
        for index in np.ndindex(parameter.shape):
            value, around = parameter[index], []
            for step in (1e-5, -1e-5):
                parameter[index] = value + step
                around.append(likelihood())
            parameter[index] = value
            assert (around[0] - around[1]) / 2e-5 == pytest.approx(gradient[index], abs=1e-8)


def _bernoulli(means: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Probability of each state (columns) for each row of means."""
    return np.exp(np.log(means) @ states.T + np.log(1 - means) @ (1 - states).T)


def _expected_update(machine: RBM, data: np.ndarray, k: int) -> list[np.ndarray]:
    """Of CD-k: the chain's distribution from the data on, by its transition matrix."""
    v, h = _states(4), _states(3)
    down = _bernoulli(expit(h @ machine.components_ + machine.visible_bias_), v)  # from hidden states to visible ones
    up = _bernoulli(expit(v @ machine.components_.T + machine.hidden_bias_), h)
    start = _bernoulli(machine.transform(data), h).mean(axis=0)
    of_visible = start @ np.linalg.matrix_power(down @ up, k - 1) @ down
    return _gradient(machine, data, of_visible[:, None] * up)


def test_the_expected_update_tends_to_the_exact_gradient():
    machine, data = _tiny(), _data(4)
    exact = np.concatenate([part.ravel() for part in _gradient(machine, data, _joint(machine))])
    far = [
        float(np.linalg.norm(np.concatenate([part.ravel() for part in _expected_update(machine, data, k)]) - exact))
        for k in (1, 2, 5, 20)
    ]
    assert far == sorted(far, reverse=True)
    assert far[0] > 1e-2
    assert far[-1] < 1e-9


def _expected_update_of_means(machine: RBM, data: np.ndarray) -> list[np.ndarray]:
    """Of CD-1 as it is learned: with the visible units' probabilities in place of their states."""
    h = _states(3)
    weights = _bernoulli(machine.transform(data), h).mean(axis=0)
    fantasy = machine.inverse_transform(h)
    hidden, means = machine.transform(fantasy), machine.transform(data)
    return [
        means.T @ data / len(data) - (weights[:, None] * hidden).T @ fantasy,
        means.mean(axis=0) - weights @ hidden,
        data.mean(axis=0) - weights @ fantasy,
    ]


@pytest.mark.parametrize(("n_steps", "persistent"), [(1, False), (3, False), (1, True)])
def test_the_update_is_the_expected_one_on_average(n_steps, persistent):
    machine, data = _tiny(), _data(4)
    many = np.tile(data, (200, 1))
    before = [parameter.copy() for parameter in _parameters(machine)]
    machine.set_params(
        n_steps=n_steps, persistent=persistent, learning_rate=1.0, momentum=0.0, weight_decay=0.0, batch_size=len(many)
    )
    machine._velocities = [np.zeros_like(parameter) for parameter in before]
    expected = _expected_update(machine, data, n_steps)
    if n_steps == 1 and not persistent:
        expected = _expected_update_of_means(machine, data)
    machine.partial_fit(many)
    for after, old, update in zip(_parameters(machine), before, expected, strict=True):
        np.testing.assert_allclose(after - old, update, atol=5 / np.sqrt(len(many)) / 2)


def test_chains_that_persist_beat_contrastive_divergence_where_the_rate_falls():
    # Constant and with momentum, the rate is too high for chains that must follow the model: 5 nats worse on digits.
    from sklearn.datasets import load_digits

    digits = (load_digits().data > 8).astype(np.float32)

    def likelihood(**options: Any) -> float:
        machine = RBM(12, n_epochs=40, batch_size=20, random_state=0, **options).fit(digits[:1400])
        return float(machine.log_likelihood(digits[1400:], log_partition=exact_log_partition(machine)).mean())

    falling = likelihood(persistent=True)
    assert falling > likelihood(persistent=True, falling_rate=False, momentum=0.9) + 2
    assert falling > likelihood() + 0.2


# Both layers real have a distribution only while the weights' norm is below 1.
@pytest.mark.parametrize(("visible", "hidden"), [("binary", "binary"), ("gaussian", "binary"), ("binary", "linear")])
@pytest.mark.parametrize("persistent", [False, True])
def test_threads_do_not_change_a_bit(visible, hidden, persistent):
    rows = np.random.default_rng(0).random((500, 300)).astype(np.float32)
    options: dict[str, Any] = {"visible": visible, "hidden": hidden, "persistent": persistent, "n_steps": 2}
    machines = []
    for n in (1, 2):
        with threads.limit(n):
            machines.append(RBM(400, batch_size=220, n_epochs=1, random_state=0, **options).fit(rows))
    assert _same(*machines)


@pytest.mark.parametrize("persistent", [False, True])
def test_passes_over_all_data_are_a_fit(persistent):
    rows = _data(8, 250)
    options: dict[str, Any] = {
        "persistent": persistent, "falling_rate": False, "batch_size": 60, "n_epochs": 7, "random_state": 0
    }  # fmt: skip
    whole = RBM(5, **options).fit(rows)
    schedule = Schedule(len(rows), 60, held_out_fraction=0.0, seed=whole._seed)
    pieces = RBM(5, **options)
    for epoch in range(7):
        n = schedule.batches_per_epoch
        pieces.partial_fit(rows[np.concatenate([np.sort(b) for b in schedule.batches(epoch * n, (epoch + 1) * n)])])
    assert _same(whole, pieces)
    assert whole.n_epochs_ == pieces.n_epochs_ == 7


def test_the_momentum_is_the_papers_unless_it_is_given():
    rows = _data(8, 120)
    default, half = RBM(5, n_epochs=6, random_state=0), RBM(5, n_epochs=6, momentum=0.5, random_state=0)
    five = RBM(5, n_epochs=5, random_state=0).fit(rows)
    assert _same(five, RBM(5, n_epochs=5, momentum=0.5, random_state=0).fit(rows))
    assert not _same(default.fit(rows), half.fit(rows))


@pytest.mark.parametrize("persistent", [False, True])
def test_a_killed_fit_ends_with_the_same_bits(tmp_path: Path, persistent: bool) -> None:
    rows = _data(10).astype(np.float32)
    options: dict[str, Any] = {"persistent": persistent, "batch_size": 70, "n_epochs": 8, "random_state": 3}
    whole = RBM(6, **options).fit(rows)

    def learn(checkpoint: Checkpoint) -> RBM:
        return RBM(6, **options).fit(rows, checkpoint=checkpoint)

    pieces, resumes = learn_through_kills(learn, tmp_path / "run", lambda: 9)
    assert resumes > 2
    assert _same(whole, pieces)


@pytest.mark.parametrize("persistent", [False, True])
def test_learning_goes_on_from_a_file(tmp_path: Path, persistent: bool) -> None:
    rows = _data(10).astype(np.float32)
    machine = RBM(6, persistent=persistent, random_state=0).partial_fit(rows)
    model_file.write(tmp_path / "a.safetensors", *machine.to_state(training=True), kind="rbm")
    loaded = RBM.from_state(*model_file.read(tmp_path / "a.safetensors", kind="rbm"))
    light = RBM.from_state(*machine.to_state())
    for other in (loaded, light, pickle.loads(pickle.dumps(machine))):
        np.testing.assert_array_equal(other.transform(rows), machine.transform(rows))
        assert other.get_params() == machine.get_params()
    assert _same(loaded.partial_fit(rows), machine.partial_fit(rows))
    light.partial_fit(rows)


def test_a_memory_map_is_read_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _data(10).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    options: dict[str, Any] = {"batch_size": 70, "n_epochs": 2, "random_state": 0}
    whole = RBM(6, **options).fit(rows)
    seen: list[int] = []
    read = Rows.__getitem__

    def watched(samples: Rows, numbers: Any) -> np.ndarray:
        part = read(samples, numbers)
        seen.append(len(part))
        return part

    monkeypatch.setattr(Rows, "__getitem__", watched)
    machine = RBM(6, **options).fit(mapped)
    assert max(seen) == 70
    assert _same(machine, whole)
    np.testing.assert_array_equal(machine.transform(mapped), whole.transform(rows))
    for broken, message in ((np.nan, "NaN"), (2.0, "values in")):
        rows[7, 1] = broken
        np.save(tmp_path / "broken.npy", rows)
        with pytest.raises(UsageError, match=message):
            RBM(6, **options).fit(np.load(tmp_path / "broken.npy", mmap_mode="r"))


def test_samples_have_the_distribution_of_the_model():
    machine = _tiny()
    numbers = machine.sample(20_000, 50, random_state=0) @ [8, 4, 2, 1]
    found = np.bincount(numbers.astype(int), minlength=16) / len(numbers)
    np.testing.assert_allclose(found, _joint(machine).sum(axis=1), atol=0.015)


def test_samples_start_where_they_are_told():
    machine = _tiny()
    start = _data(4)[:3]
    np.testing.assert_array_equal(machine.sample(5, 0, start=start), start[[0, 1, 2, 0, 1]])
    means = machine.sample(5, 1, start=start, means=True, random_state=0)
    assert ((means > 0) & (means < 1)).all()
    gaussian = RBM(3, visible="gaussian", n_epochs=1, random_state=0).fit(_data(4) + 3)
    np.testing.assert_allclose(gaussian.sample(5000, 0, random_state=0).mean(axis=0), gaussian.visible_bias_, atol=0.06)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", ["binary", "linear"])
def test_dtype_in_is_dtype_out(dtype, hidden):
    rows = _data()
    machine = RBM(4, hidden=hidden, n_epochs=1, random_state=0).fit(rows.astype(np.float32))
    codes = machine.transform(rows.astype(dtype))
    assert codes.dtype == machine.inverse_transform(codes).dtype == dtype
    assert RBM(4, hidden=hidden, n_epochs=1).fit(rows.astype(dtype)).components_.dtype == dtype
    np.testing.assert_allclose(machine.reconstruct(rows), machine.inverse_transform(machine.transform(rows)))


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ({}, np.full((10, 3), -0.5), "values in"),
        ({}, np.full((10, 3), 2.0), "values in"),
        ({}, np.full((10, 3), np.nan), "hold NaN"),
        ({}, np.zeros((0, 3)), "0 sample"),
        ({"visible": "real"}, _data(), "visible is 'real'"),
        ({"hidden": "real"}, _data(), "hidden is 'real'"),
        ({"n_steps": 0}, _data(), "n_steps is 0; it must be an integer of at least 1"),
        ({"momentum": 1.0}, _data(), "momentum is 1.0"),
    ],
)
def test_wrong_use_is_told(options, rows, message):
    with pytest.raises(ValueError, match=message):
        RBM(4, **options).fit(rows)


def test_sampling_needs_chains():
    with pytest.raises(UsageError, match="n_samples is 0"):
        _tiny().sample(0)


def test_scikit_learn_accepts_it():
    check_estimator(RBM(4, visible="gaussian", n_epochs=1, random_state=0), on_skip=None)


class Squashing(RBM):
    """The checks' data are not negative, as the tag asks, but above 1, which binary units refuse."""

    def _check_range(self, values: np.ndarray, *, all_of_them: bool = False) -> None:
        if values.min(initial=0) < 0:
            super()._check_range(values)


@pytest.mark.parametrize("options", [{}, {"hidden": "linear"}, {"persistent": True, "n_steps": 2}])
def test_scikit_learn_accepts_binary_units(options: dict[str, Any]) -> None:
    check_estimator(Squashing(4, n_epochs=1, random_state=0, **options), on_skip=None)


@pytest.mark.parametrize("options", [{"hidden": "linear"}, {"persistent": True}])
def test_scikit_learn_accepts_gaussian_units(options: dict[str, Any]) -> None:
    check_estimator(RBM(4, visible="gaussian", n_epochs=1, random_state=0, **options), on_skip=None)
