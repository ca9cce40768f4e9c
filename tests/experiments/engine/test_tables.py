from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from tools import readme_tables

from striate.errors import UsageError
from striate.experiments import Figure, Measurement
from striate.experiments.engine import tables
from striate.experiments.engine.tables import markdown_table, rewrite_tables
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
        (
            row(Measurement(62.7), better="match", goal=None, published=46.7, source="a paper", tolerance=3.0),
            ("46.7 %", "within 3 %", "62.7 %", "differs by +16 %"),
        ),
        (
            row(Measurement(93.0)) | {"current": False, "dirty": True},
            ("", "≥ 90 %", "93 %", "met; measured on uncommitted code; measured on older code"),
        ),
        (row(None) | {"current": False}, ("", "≥ 90 %", "", "not run")),
        (row(Measurement(93.7, 0.0, 2)), ("", "≥ 90 %", "93.70 ± 0.00 % (n = 2)", "met")),
    ],
)
def test_numbers_are_shown_as_people_read_them(figure: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert tables.cells_of(figure) == expected


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    lines = markdown_table([row(None, what="p(a|b)")]).splitlines()
    assert lines[2] == r"| p(a\|b) |  | ≥ 90 % |  | not run |"


def test_a_note_under_the_table_explains_marks_of_age() -> None:
    lines = markdown_table([row(Measurement(93.0)), row(Measurement(94.0)) | {"current": False}]).splitlines()
    assert lines[2:] == [
        "| x |  | ≥ 90 % | 93 % | met |".replace("x", row(None)["what"]),
        "| x |  | ≥ 90 % | 94 % | met\\* |".replace("x", row(None)["what"]),
        "",
        "\\* measured on older code.",
    ]


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


@pytest.mark.parametrize("page", readme_tables.PAGES)
def test_pages_are_in_step_with_the_results(page: str) -> None:
    root = repository()
    assert root is not None
    text = (root / page).read_text("utf-8")
    assert "<!-- " in text
    assert readme_tables.rewritten_page(text) == text, "run: python tools/readme_tables.py"


def test_a_mark_of_no_benchmark_is_refused() -> None:
    with pytest.raises(UsageError, match="benchmark: cods --> names no table; there are coding"):
        readme_tables.rewrite_benchmarks("<!-- benchmark: cods -->\n<!-- end benchmark -->")


def test_codes_are_listed_with_what_they_cost_and_lose() -> None:
    curve = {
        "kind": "accuracy",
        "size": "81x64",
        "contestants": {
            "active_set": {"median_seconds": 5.04e-6},
            "tanh": {"median_seconds": 1e-7},
            "SPAMS": {"median_seconds": 12e-6},
        },
        "code_error": {"active_set": 1e-7, "tanh": 0.4712, "SPAMS": 2e-4},
        "energy_excess": {"active_set": 1e-8, "tanh": 0.05, "SPAMS": 1.4},
        "times_of_tanh": {"active_set": 50.4, "SPAMS": 120.0},
        "goal_times_of_tanh": {"SPAMS": 25},
        "solves_a_patch": {"striate": 8.78, "authors": 8.8},
    }
    product = {
        "kind": "throughput",
        "size": "81→64",
        "share": 0.823,
        "goal_share": 0.6,
        "tangent_error": 2.8e-7,
        "goal_tangent_error": 2e-6,
    }
    sparse = {"kind": "inhibition", "workload": "LISTA", "break_even_density": None}
    lines = readme_tables.encoders_table([product, curve, sparse, {"kind": "another"}]).splitlines()
    assert lines[:5] == [
        "| code | 81x64: time | error | energy |",
        "|---|--:|--:|--:|",
        "| tanh | 0.1 µs | 47 % | 5 % |",
        "| optimal, `infer` | 5 µs | < 0.01 % | < 0.01 % |",
        "| optimal, SPAMS | 12 µs | 0.02 % | 140 % |",
    ]
    assert lines[6:] == [
        "- 81x64, time over that of the tanh encoder: `infer` 50×, SPAMS 120× (goal 25×). Feature-sign search takes "
        "8.8 solves per patch, the authors' algorithm 8.8.",
        "- The tanh encoder, 81→64, has 82% of the speed of its matrix product alone (goal 60%); its tangent is within "
        "3e-07 (goal 2e-06).",
        "- LISTA: the kernel for a sparse inhibition is as fast as BLAS at no density that was measured.",
    ]


def test_the_example_on_codes_runs() -> None:
    pytest.importorskip("torch")
    root = repository()
    assert root is not None
    (example,) = re.findall(r"```python\n(.*?)```", (root / "docs" / "which-code.md").read_text("utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.05


def test_cells_make_a_matrix_with_published_values_in_brackets() -> None:
    published = {"published": 52.2, "source": "a paper", "goal": None}
    figures = [
        row(Measurement(53.41, 0.52, 3), what="U, PA", **published),
        row(Measurement(12.0, 0.1, 3), what="U, N-PA", **published) | {"current": False},
        row(None, what="R, PA", **published),
        row(Measurement(4.0, held=True), what="smallest lead", goal=None, predicate="above 2", unit=""),
    ]
    text = rewrite_tables("<!-- matrix: x -->\n<!-- end -->", [{"name": "x", "figures": figures}])
    assert text.splitlines() == [
        "<!-- matrix: x -->",
        "| | PA | N-PA |",
        "|---|---|---|",
        "| U | 53.41 ± 0.52 % (52.2) | 12.00 ± 0.10 %\\* (52.2) |",
        "| R | not run (52.2) |  |",
        "",
        "Smallest lead: 4; above 2: held.",
        "",
        "\\* measured on older code.",
        "<!-- end -->",
    ]


def test_rows_of_another_experiment_appear_when_something_in_them_was_measured() -> None:
    published = {"published": 52.2, "source": "a paper", "goal": None}
    own = [row(Measurement(50.0), what="U, PA", **published), row(Measurement(9.0), what="U, N-PA", **published)]
    other = [
        row(Measurement(54.0), what="U+, PA", **published),
        row(None, what="U+, N-PA", measure=None, **published),
        row(None, what="R+, PA", **published),
        row(Measurement(64.0), what="U+U+, PA", **published),
        row(Measurement(2.0), what="U+ minus U, PA"),
    ]
    summaries = [{"name": "x", "figures": own}, {"name": "y", "figures": other}]
    mark = "<!-- matrix: x + y: U+, R+ -->"
    text = rewrite_tables(f"{mark}\nold\n<!-- end -->", summaries)
    assert text.splitlines() == [
        mark,
        "| | PA | N-PA |",
        "|---|---|---|",
        "| U | 50 % (52.2) | 9 % (52.2) |",
        "| U+ | 54 % (52.2) | not run (52.2) |",
        "<!-- end -->",
    ]
    assert rewrite_tables(text, summaries) == text
    with pytest.raises(UsageError, match="names no experiment z"):
        rewrite_tables(text.replace("+ y:", "+ z:"), summaries)


def test_a_table_of_chosen_figures_names_them_by_its_labels() -> None:
    summaries = [{"name": "toy", "figures": [row(Measurement(93.7123, 0.1234, 5)), row(None, what="time")]}]
    text = "<!-- figures:\nDigits, 100 labels = toy: accuracy\n-->\nold\n<!-- end -->\n"
    rewritten = rewrite_tables(text, summaries)
    assert "| Digits, 100 labels |  | ≥ 90 % | 93.71 ± 0.12 % (n = 5) | met |" in rewritten
    assert "old" not in rewritten
    assert "time" not in rewritten
    assert rewrite_tables(rewritten, summaries) == rewritten


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("accuracy", "no row of a table"),
        ("a = toy: size", "names no figure"),
        ("a = other: accuracy", "names no figure"),
    ],
)
def test_a_table_of_chosen_figures_refuses_what_is_not_there(line: str, message: str) -> None:
    summaries = [{"name": "toy", "figures": [row(Measurement(93.7))]}]
    with pytest.raises(UsageError, match=message):
        rewrite_tables(f"<!-- figures:\n{line}\n-->\n<!-- end -->\n", summaries)
