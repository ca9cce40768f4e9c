from __future__ import annotations

from typing import Any

import pytest

from striate.errors import UsageError
from striate.experiments import Figure, Measurement, list_experiments, tables
from striate.experiments.tables import markdown_table, rewrite_tables
from striate.provenance import repository


def row(measurement: Measurement | None, **options: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "what": "accuracy",
        "better": "higher",
        "goal": 90.0,
        "unit": "%",
        "measure": lambda _: 0.0,
    }
    return Figure(**defaults | options).judge(measurement)


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (row(Measurement(93.7123, 0.1234, 5)), ("", "≥ 90 %", "93.71 ± 0.12 % (n = 5)", "met")),
        (row(Measurement(89.0)), ("", "≥ 90 %", "89 %", "short")),
        (row(None), ("", "≥ 90 %", "", "not run")),
        (
            row(Measurement(4.2, 12.0, 3), better="lower", unit="s", published=7.5, source="a paper"),
            ("7.5 s", "≤ 90 s", "4 ± 12 s (n = 3)", "met"),
        ),
        (
            row(Measurement(5.5), better="match", goal=5.0, tolerance=1.5),
            ("", "5 ± 1.5 %", "5.5 %", "met"),
        ),
        (
            row(Measurement(14.0), better="match", goal=None, published=13.87, source="p", tolerance=0.4, unit=""),
            ("13.87", "within 0.4", "14", "met"),
        ),
        (
            row(Measurement(None, held=False), goal=None, predicate="it rises"),
            ("", "", "", "it rises: did not hold"),
        ),
        (row(None, goal=None, predicate="it rises"), ("", "", "", "it rises: not run")),
        (row(Measurement(93.7, 0.0, 2)), ("", "≥ 90 %", "93.70 ± 0.00 % (n = 2)", "met")),
    ],
)
def test_numbers_are_shown_as_people_read_them(figure: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert tables.cells_of(figure) == expected


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    lines = markdown_table([row(None, what="p(a|b)")]).splitlines()
    assert lines[2] == r"| p(a\|b) |  | ≥ 90 % |  | not run |"


TEXT = "before\n<!-- table: toy -->\nold\n<!-- end -->\nafter\n"


def test_only_what_is_between_the_marks_is_rewritten() -> None:
    summaries = [{"name": "toy", "figures": [row(None)]}]
    text = rewrite_tables(TEXT, summaries)
    assert text.startswith("before\n<!-- table: toy -->\n| | published |")
    assert text.endswith("| not run |\n<!-- end -->\nafter\n")
    assert "old" not in text
    assert rewrite_tables(text, summaries) == text
    assert rewrite_tables("<!-- table: toy -->\n<!-- end -->", summaries) in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("toy", "joy"), "names no experiment"),
        (TEXT.replace("<!-- end -->", ""), "has no <!-- end -->"),
        (TEXT.replace("<!-- table: toy -->", ""), "has no <!-- end -->"),
        (TEXT.replace("old", "<!-- table: toy -->"), "has no <!-- end -->"),
    ],
)
def test_wrong_marks_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rewrite_tables(text, [{"name": "toy", "figures": [row(None)]}])


def test_the_readme_is_in_step_with_the_results() -> None:
    root = repository()
    assert root is not None
    text = (root / "README.md").read_text("utf-8")
    assert rewrite_tables(text, list_experiments()) == text, "run: python tools/readme_tables.py"
