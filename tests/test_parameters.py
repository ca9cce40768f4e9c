"""Rules for parameters: what they take, what they say, and what a model file holds of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.errors import UsageError
from striate.parameters import (
    Anything,
    Boolean,
    Choice,
    Instance,
    Integer,
    IntegerTuple,
    Real,
    Rule,
    Seed,
    Text,
    check_parameters,
    checked,
    plain,
    plain_parameters,
)


@pytest.mark.parametrize(
    ("rule", "value", "taken"),
    [
        (Integer(low=1), np.int64(3), 3),
        (Integer(low=1), np.uint8(3), 3),
        (Integer(low=1), np.array(3), 3),
        (Integer(low=-1, high=1), -1, -1),
        (Real(above=0), np.float32(0.5), 0.5),
        (Real(above=0), np.int64(2), 2.0),
        (Real(low=0, below=1), 0, 0.0),
        (Real(infinite=True), np.inf, np.inf),
        (Boolean(), np.True_, True),
        (Choice("a", "b"), np.str_("b"), "b"),
        (Text(), "word", "word"),
        (IntegerTuple(2, low=1), np.array([3, 4]), (3, 4)),
        (IntegerTuple(), [7], (7,)),
        (Real(above=0) | Choice("auto") | None, "auto", "auto"),
        (Real(above=0) | Choice("auto") | None, None, None),
        (Seed(), np.int32(7), 7),
        (Seed(), None, None),
    ],
)
def test_numpy_and_python_values_are_taken_alike(rule: Rule, value: object, taken: object) -> None:
    found = checked("x", value, rule)
    assert found == taken
    assert type(found) is type(taken)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (Integer(low=1), 0),
        (Integer(low=1), 1.5),
        (Integer(low=1), 8.0),
        (Integer(low=1), True),
        (Integer(low=1), np.True_),
        (Integer(low=1), "8"),
        (Integer(low=1), None),
        (Integer(low=1), np.array([1, 2])),
        (Real(above=0), 0),
        (Real(above=0), np.nan),
        (Real(above=0), np.inf),
        (Real(above=0), 10**400),
        (Real(above=0), 1 + 2j),
        (Real(below=1), 1),
        (Real(high=1), True),
        (Boolean(), 1),
        (Boolean(), "yes"),
        (Choice("a", "b"), "c"),
        (Choice("a", "b"), ["a"]),
        (Text(), ""),
        (IntegerTuple(2), (1, 2, 3)),
        (IntegerTuple(), ()),
        (IntegerTuple(low=1), [0]),
        (IntegerTuple(), "12"),
        (IntegerTuple(), 5),
        (Instance(dict, words="a dictionary"), []),
        (Seed(), -1),
        (Seed(), "0"),
        (Real(above=0) | Choice("auto"), "other"),
    ],
)
def test_other_values_are_refused_with_the_name(rule: Rule, value: object) -> None:
    with pytest.raises(UsageError, match=r"^depth is .*; it must be .+"):
        checked("depth", value, rule)


def test_messages_say_what_is_wanted() -> None:
    with pytest.raises(UsageError, match=r'^x is -1.0; it must be a number above 0 and below 1, "auto" or None$'):
        checked("x", np.float32(-1), Real(above=0, below=1) | Choice("auto") | None)
    with pytest.raises(UsageError) as error:
        checked("x", list(range(1000)), Integer())
    assert len(str(error.value)) < 120


class _Estimator:
    def __init__(self, **parameters: Any) -> None:
        self.__dict__.update(parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return dict(self.__dict__)


def test_an_estimator_is_named_and_left_as_it_is() -> None:
    estimator = _Estimator(n=np.int64(3), rate=0.1)
    check_parameters(estimator, {"n": Integer(low=1), "rate": Real(above=0)})
    assert type(estimator.n) is np.int64  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"^_Estimator: rate is 0\.1; it must be a number of at least 1$"):
        check_parameters(estimator, {"rate": Real(low=1)})


def test_what_a_model_file_holds_is_plain_or_an_error() -> None:
    estimator = _Estimator(n=np.int64(3), rate=np.float32(0.5), how="a", sizes=(np.int8(1), 2), more=None, on=np.True_)
    held = plain_parameters(estimator)
    assert held == {"n": 3, "rate": 0.5, "how": "a", "sizes": [1, 2], "more": None, "on": True}
    assert {type(value) for value in held.values()} == {int, float, str, list, type(None), bool}
    assert plain_parameters(_Estimator(random_state=np.random.default_rng(0))) == {}
    assert plain_parameters(_Estimator(a=np.ones(3), b=1), apart=["a"]) == {"b": 1}
    with pytest.raises(UsageError, match="a is array"):
        plain_parameters(_Estimator(a=np.ones(3)))
    with pytest.raises(UsageError):
        plain("f", lambda: None)
    assert checked("x", held, Anything()) is held
