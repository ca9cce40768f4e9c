from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.experiments import Figure, FigureError, Measurement, NotRunError, Results, Unit, over
from striate.experiments.engine.figure import holding, paired


def figure(**options: Any) -> Figure:
    defaults: dict[str, Any] = {"what": "accuracy", "better": "higher", "goal": 90.0, "measure": lambda _: 0.0}
    return Figure(**defaults | options)


def verdict(value: float, **options: Any) -> str:
    return str(figure(**options).judge(Measurement(value))["verdict"])


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (90.0, {}, "met"),
        (89.99, {}, "short"),
        (0.1, {"better": "lower", "goal": 0.2}, "met"),
        (0.3, {"better": "lower", "goal": 0.2}, "short"),
        (0.064, {"better": "match", "goal": 0.05, "tolerance": 0.015}, "met"),
        (0.036, {"better": "match", "goal": 0.05, "tolerance": 0.015}, "met"),
        (0.066, {"better": "match", "goal": 0.05, "tolerance": 0.015}, "short"),
        (55.0, {"goal": None, "published": 54.0, "source": "a paper, table 1"}, "met"),
        (53.0, {"goal": None, "published": 54.0, "source": "a paper, table 1"}, "short"),
    ],
)
def test_the_verdict_compares_with_the_target(value: float, options: dict[str, Any], expected: str) -> None:
    assert verdict(value, **options) == expected


@pytest.mark.parametrize(("goal", "expected"), [(60.0, "short"), (50.0, "met")])
def test_a_goal_takes_precedence_over_a_published_number(goal: float, expected: str) -> None:
    assert verdict(55.0, goal=goal, published=54.0, source="a paper, table 1") == expected


def test_rounding_alone_makes_nothing_short() -> None:
    mean = over([0.1, 0.2, 0.3]).value  # 0.6000000000000001 / 3 or so
    assert mean is not None
    assert verdict(mean, goal=0.2) == "met"
    assert verdict(mean, goal=0.2, better="lower") == "met"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"what": " "}, "says what is measured"),
        ({"published": 18.0, "source": "a paper, recalled"}, "make it the goal, with that remark"),
        ({"history": "goal 2 until 2026"}, "give a tuple of sentences"),
        ({"history": (" ",)}, "give a tuple of sentences"),
        ({"better": "more"}, 'write "higher", "lower" or "match"'),
        ({"goal": math.nan}, "finite number"),
        ({"goal": math.inf}, "finite number"),
        ({"goal": True}, "finite number"),
        ({"published": 54.0}, "name the paper"),
        ({"goal": None}, "a predicate that can be tested"),
        ({"predicate": "it rises"}, "drop the predicate"),
        ({"better": "match"}, "state the tolerance"),
        ({"tolerance": 1.0}, "drop the tolerance"),
        ({"goal": None, "predicate": "it rises", "better": "match", "tolerance": 1.0}, "drop the tolerance"),
        ({"better": "match", "tolerance": 0.0}, "positive number"),
        ({"measure": None}, "nothing was published"),
    ],
)
def test_a_declaration_without_a_possible_verdict_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FigureError, match=message):
        figure(**options)


SHAPE = {"goal": None, "predicate": "it rises"}


@pytest.mark.parametrize(
    ("options", "measurement", "message"),
    [
        ({}, Measurement(math.nan), "only finite numbers"),
        ({}, Measurement(math.inf), "only finite numbers"),
        ({}, Measurement(None), "measured as None"),
        ({}, Measurement(None, held=True), "return the number"),
        ({}, Measurement(91.0, n=0), "number of splits or seeds"),
        ({}, Measurement(91.0, -1.0, 3), "not negative"),
        ({}, Measurement(91.0, math.nan, 3), "finite number"),
        ({}, Measurement(91.0, 0.5, 1), "needs two or more"),
        (SHAPE, Measurement(91.0), "whether its predicate holds"),
    ],
)
def test_a_measurement_that_proves_nothing_is_refused(
    options: dict[str, Any], measurement: Measurement, message: str
) -> None:
    with pytest.raises(FigureError, match=message):
        figure(**options).judge(measurement)


@pytest.mark.parametrize("held", [True, False])
def test_a_shape_says_whether_its_predicate_held(held: bool) -> None:
    row = figure(**SHAPE).judge(Measurement(0.3, held=held))
    assert row["verdict"] == "shape"
    assert row["predicate"] == "it rises"
    assert row["held"] is held
    assert row["measured"] == 0.3


def test_what_was_not_measured_is_not_run() -> None:
    row = figure().judge(None)
    assert (row["verdict"], row["measured"], row["n"]) == ("not run", None, 0)
    assert (row["goal"], row["published"]) == (90.0, None)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_the_uncertainty_is_the_standard_error_of_the_mean(values: list[float]) -> None:
    measured = over(values)
    assert measured.n == len(values)
    assert measured.value == pytest.approx(np.mean(values), abs=1e-6)
    expected = np.std(values, ddof=1) / np.sqrt(len(values))
    assert measured.uncertainty == pytest.approx(expected, abs=1e-6)


def test_one_value_has_no_uncertainty() -> None:
    assert over([3.0]) == Measurement(3.0, None, 1)
    with pytest.raises(FigureError, match="no values"):
        over([])


def test_pairs_keep_what_all_splits_share_out_of_the_error() -> None:
    assert paired([50.0, 70.0, 60.0], [49.0, 69.0, 59.0]) == Measurement(1.0, 0.0, 3)
    assert paired([3.0], [1.0]) == Measurement(2.0, None, 1)
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 2.0], [1.0])


def test_a_predicate_sees_the_value_and_its_error() -> None:
    found = Measurement(1.0, 0.4, 3)
    assert holding(found, lambda mean, error: mean > 2 * error) == Measurement(1.0, 0.4, 3, held=True)
    assert holding(found, lambda mean, error: mean > 3 * error).held is False
    assert holding(Measurement(1.0), lambda mean, error: mean > 2 * error).held is True
    with pytest.raises(FigureError, match="without a value"):
        holding(Measurement(None, held=True), lambda mean, error: True)


def run(settings: Any, context: Any) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (91, Measurement(91.0)),
        ([1.0, 3.0], Measurement(2.0, 1.0, 2)),
        (np.array([1.0, 3.0]), Measurement(2.0, 1.0, 2)),
        (Measurement(1.0, 0.1, 7), Measurement(1.0, 0.1, 7)),
        (True, Measurement(None, held=True)),
        (np.bool_(False), Measurement(None, held=False)),
    ],
)
def test_a_measure_returns_what_is_natural(measured: Any, expected: Measurement) -> None:
    assert figure(measure=lambda _: measured).read(Results("full", [], {})) == expected


def test_a_figure_whose_units_have_not_all_finished_is_not_run() -> None:
    units = [Unit(f"split {split}", {"split": split}, run) for split in range(2)]
    half = Results("full", units, {"split 0": {"accuracy": 91.0}})
    assert figure(measure=lambda results: results.column("accuracy")).read(half) is None
    assert figure(measure=lambda results: results["split 1"]["accuracy"]).read(half) is None
    assert figure(measure=lambda results: results.select(split=7).column("accuracy")).read(half) is None
    with pytest.raises(NotRunError):
        half.column("accuracy")


def test_a_measure_that_names_no_result_is_an_error_not_a_gap() -> None:
    done = Results("full", [Unit("split 0", {}, run)], {"split 0": {"accuracy": 91.0}})
    with pytest.raises(FigureError, match="KeyError: 'acuracy'"):
        figure(measure=lambda results: results.column("acuracy")).read(done)


def test_the_history_of_a_goal_is_kept_with_the_figure() -> None:
    line = "the goal was 95 until the protocol had 10 splits"
    assert figure(history=(line,)).judge(None)["history"] == [line]
    assert figure().judge(None)["history"] == []
