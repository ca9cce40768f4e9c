"""Every parameter of every learner is checked by name; NumPy's numbers are taken and stored as Python's are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from striate import model_file
from striate.errors import UsageError
from striate.learning import PSD, RBM, DeepAutoencoder, GaborFilters, RandomFilters, SparseCoding, TemplateFilters
from striate.parameters import Boolean, Integer, IntegerTuple, Real
from tests.learning.learners import CLASSES, LEARNERS, codes_of, data_for

_ROWS = (np.random.default_rng(0).random((60, 9)) < 0.4).astype(np.float32)
# What no number, word, truth value or tuple of a learner may be.
_WRONG: dict[type, tuple[Any, ...]] = {
    Integer: (1.5, 8.0, "8", -1, np.nan, True, np.float64(2), [3], np.array([1, 2]), 1 + 2j, {}),
    Real: ("0.1", -1.0, np.nan, np.inf, True, [0.1], np.array([0.1, 0.2]), 1j, 10**400, -np.float32(1)),
    Boolean: (1, "yes", 2.0, [], np.int64(0)),
    IntegerTuple: (5, (), (0,), (3, 1.5), (3, -1), "53", (3, None), (True,), ((3, 2),)),
}
_WORDS = ("others", "", 3, ["tanh"], True, b"tanh")


def _cases() -> list[tuple[Any, str, Any]]:
    found: list[tuple[Any, str, Any]] = []
    for learner in CLASSES:
        for name in inspect.signature(learner).parameters:
            rule = learner._rules[name]
            values = [object(), *_WORDS[:2]] if name != "start" else []
            for kind, wrong in _WRONG.items():
                if kind in {type(one) for one in getattr(rule, "rules", [rule])}:
                    values += wrong
            found += [(learner, name, value) for value in values if not _taken(rule, value)]
    return found


def _taken(rule: Any, value: Any) -> bool:
    try:
        rule._take(value)
    except (ValueError, TypeError):
        return False
    return True


@pytest.mark.parametrize("learner", CLASSES)
def test_every_parameter_has_a_rule_that_takes_its_default(learner: Any) -> None:
    parameters = inspect.signature(learner).parameters
    assert set(learner._rules) == set(parameters)
    for name, rule in learner._rules.items():
        assert _taken(rule, parameters[name].default), name


@pytest.mark.parametrize(("learner", "name", "value"), _cases())
def test_wrong_values_are_refused_with_the_names_of_learner_and_parameter(learner: Any, name: str, value: Any) -> None:
    message = rf"^{learner.__name__}: {name} is .*; it must be .+"
    with pytest.raises(UsageError, match=message):
        learner(**{name: value}).fit(_ROWS)
    with pytest.raises(UsageError, match=message):
        learner(**{name: value}).partial_fit(_ROWS)


@pytest.mark.parametrize("name", LEARNERS)
def test_wrong_values_are_refused_after_the_fit_as_well(name: str) -> None:
    rows = data_for(name)
    learner = LEARNERS[name]().fit(rows)
    learner.set_params(random_state=-1)
    for task in (learner.transform, learner.partial_fit, learner.fit):
        with pytest.raises(UsageError, match="random_state is -1"):
            task(rows)


def _in_numpy(learner: Any) -> Any:
    """A learner whose numbers are NumPy's, of narrow types where these hold them."""
    changed: dict[str, Any] = {}
    for name, value in learner.get_params().items():
        if isinstance(value, bool):
            changed[name] = np.bool_(value)
        elif isinstance(value, int):
            changed[name] = np.int16(value)
        elif isinstance(value, float):
            changed[name] = np.float32(value) if float(np.float32(value)) == value else np.float64(value)
        elif isinstance(value, str):
            changed[name] = np.str_(value)
        elif isinstance(value, tuple):
            changed[name] = np.array(value)
    return clone(learner).set_params(**changed)


_SETTINGS: dict[str, Callable[..., Any]] = {
    **LEARNERS,
    "sparse-coding": lambda: SparseCoding(4, sparsity=0.25, max_batches=3, random_state=0),
    "sparse-coding-auto": lambda: SparseCoding(4, active_fraction=0.5, max_batches=3, random_state=0),
    "rbm-rates": lambda: RBM(4, learning_rate=0.1, falling_rate=True, momentum=0.3, n_epochs=2, random_state=0),
    "autoencoder-patience": lambda: DeepAutoencoder(
        (4, 2), validation_fraction=0.2, patience=2, weight_decay=0.1, input_noise=0.1, n_epochs=3, random_state=0
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", _SETTINGS)
def test_numpy_numbers_give_the_bits_of_pythons_and_survive_a_file(name: str, dtype: Any, tmp_path: Path) -> None:
    rows = data_for(name if name in LEARNERS else "rbm-binary", dtype=dtype)
    learner = _SETTINGS[name]().fit(rows)
    same = _in_numpy(_SETTINGS[name]()).fit(rows)
    assert all(type(value) is type(same.get_params()[key]) for key, value in _in_numpy(learner).get_params().items())
    codes = learner.transform(rows)
    assert same.transform(rows).dtype == codes.dtype == dtype
    np.testing.assert_array_equal(same.transform(rows), codes)
    np.testing.assert_array_equal(
        same.inverse_transform(codes_of(same, rows)), learner.inverse_transform(codes_of(learner, rows))
    )
    if hasattr(learner, "infer"):
        np.testing.assert_array_equal(same.infer(rows), learner.infer(rows))
    model_file.write(tmp_path / "model.safetensors", *same.to_state(), kind="learner")
    again = type(same).from_state(*model_file.read(tmp_path / "model.safetensors", kind="learner"))
    for key, value in _SETTINGS[name]().get_params().items():
        assert again.get_params()[key] == value
        assert type(again.get_params()[key]) is type(value)
    np.testing.assert_array_equal(again.transform(rows), codes)
    for one in (learner, same):
        one.partial_fit(rows)
    np.testing.assert_array_equal(same.transform(rows), learner.transform(rows))


def test_a_generator_is_taken_and_left_out_of_the_state() -> None:
    for learner in (PSD, RBM, RandomFilters, TemplateFilters, GaborFilters, DeepAutoencoder):
        made = learner(random_state=np.random.default_rng(0))
        if learner is DeepAutoencoder:
            made.set_params(layers=(3, 2))
        else:
            made.set_params(n_components=16)
        quick = {"max_batches", "n_epochs"} & set(made.get_params())
        header = made.set_params(**dict.fromkeys(quick, 1)).fit(_ROWS).to_state()[1]
        assert "random_state" not in header["parameters"]
