"""The README's tables of results, made from the committed results files.

The text between ``<!-- table: NAME -->`` and ``<!-- end -->`` is replaced by the figures of the experiment NAME, one
row each. Between ``<!-- matrix: NAME -->`` and ``<!-- end -->`` figures called "ROW, COLUMN" form a table of rows and
columns, with the published numbers in brackets; ``<!-- matrix: NAME + OTHER: ROW, ROW -->`` adds rows of another
experiment, each of them as soon as something in it has been measured. A comment that begins with ``figures:`` and has a
line ``LABEL = NAME: FIGURE`` per row makes a table of figures of several experiments.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from striate.errors import UsageError

_MARK = re.compile(
    r"(?P<mark><!-- (?P<form>table|matrix): (?P<name>\S+)(?: \+ (?P<other>\S+): (?P<rows>[^\n]+?))? -->\n)"
    r"(?P<table>.*?)(?P<end><!-- end -->)",
    re.DOTALL,
)
_CHOSEN = re.compile(r"(?P<mark><!-- figures:\n(?P<rows>.*?)-->\n)(?P<table>.*?)(?P<end><!-- end -->)", re.DOTALL)
_ROW = re.compile(r"(?P<label>.+?) = (?P<name>\S+): (?P<what>.+)")
_MARK_OF_AGE = "\\*"  # of a number that was measured on older code
_ANY_MARK = re.compile(r"<!-- (?:(?:table|matrix): \S+(?: \+ [^\n]+?)?|figures:\n[^>]*|end) ?-->")


def rewrite_tables(text: str, summaries: Sequence[Mapping[str, Any]]) -> str:
    """Return a Markdown text with its tables brought up to date.

    Parameters
    ----------
    text : str
        The Markdown.
    summaries : sequence of dict
        As `list_experiments` returns them.

    Raises
    ------
    UsageError
        If a mark names no experiment, or is not closed.
    """
    by_name = {summary["name"]: summary for summary in summaries}
    n_marks = len(_ANY_MARK.findall(text))

    def table(match: re.Match[str]) -> str:
        nonlocal n_marks
        n_marks -= 2
        for name in filter(None, (match["name"], match["other"])):
            if name not in by_name:
                raise UsageError(
                    f"the mark {match['mark'].strip()} names no experiment {name}; see `striate experiments`"
                )
        figures = list(by_name[match["name"]]["figures"])
        if match["other"]:
            figures += _cells_in_rows(by_name[match["other"]]["figures"], match["rows"].split(", "))
        make = markdown_table if match["form"] == "table" else markdown_matrix
        return f"{match['mark']}{make(figures)}\n{match['end']}"

    def chosen(match: re.Match[str]) -> str:
        nonlocal n_marks
        n_marks -= 2
        figures = [_chosen_figure(line, by_name) for line in match["rows"].splitlines() if line.strip()]
        return f"{match['mark']}{markdown_table(figures)}\n{match['end']}"

    rewritten = _CHOSEN.sub(chosen, _MARK.sub(table, text))
    if n_marks:
        raise UsageError("a mark <!-- table: NAME --> has no <!-- end -->, or the other way round; add it")
    return rewritten


def _cells_in_rows(figures: Sequence[Mapping[str, Any]], rows: Sequence[str]) -> list[Mapping[str, Any]]:
    """The cells of those of some rows in which something has been measured."""
    cells = [figure for figure in figures if figure["what"].partition(", ")[0] in rows and _is_cell(figure)]
    measured = {figure["what"].partition(", ")[0] for figure in cells if figure["verdict"] != "not run"}
    return [figure for figure in cells if figure["what"].partition(", ")[0] in measured]


def _chosen_figure(line: str, summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The figure that a line ``LABEL = NAME: FIGURE`` names, with the label in the place of its own name."""
    row = _ROW.fullmatch(line.strip())
    if row is None:
        raise UsageError(f"{line!r} is no row of a table of figures; write LABEL = EXPERIMENT: FIGURE")
    figures = summaries.get(row["name"], {}).get("figures", ())
    for figure in figures:
        if figure["what"] == row["what"]:
            return {**figure, "what": row["label"]}
    raise UsageError(f"{line!r} names no figure of an experiment; see `striate experiments`")


def markdown_table(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return figures as a Markdown table."""
    lines = ["| | published | goal | measured | verdict |", "|---|---|---|---|---|"]
    for figure in figures:
        published, goal, measured, verdict = (_escape(cell) for cell in _cells(figure))
        lines.append(f"| {_escape(figure['what'])} | {published} | {goal} | {measured} | {verdict}{_mark(figure)} |")
    return "\n".join(lines + _note_of_age(figures))


def markdown_matrix(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return figures called "ROW, COLUMN" as a Markdown table: measured values, published ones in brackets.

    Other figures follow below as sentences.
    """
    cells: dict[str, dict[str, str]] = {}
    others = []
    for figure in figures:
        if not _is_cell(figure):
            others.append(figure)
            continue
        row, _, column = figure["what"].partition(", ")
        value = measured_text(figure).split(" (n")[0] or "not run"
        cells.setdefault(row, {})[column] = f"{value}{_mark(figure)} ({figure['published']:g})"
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    lines = [f"| | {' | '.join(map(_escape, columns))} |", f"|{'---|' * (len(columns) + 1)}"]
    for row, of_row in cells.items():
        lines.append(f"| {_escape(row)} | {' | '.join(of_row.get(column, '') for column in columns)} |")
    for figure in others:
        _, _, measured, verdict = _cells(figure)
        lines += ["", f"{_sentence(figure['what'])}: {measured}; {verdict}{_mark(figure)}."]
    return "\n".join(lines + _note_of_age(figures))


def _is_cell(figure: Mapping[str, Any]) -> bool:
    return ", " in figure["what"] and figure["published"] is not None


def _mark(figure: Mapping[str, Any]) -> str:
    return _MARK_OF_AGE if _is_older(figure) else ""


def _note_of_age(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """The line under a table that explains its marks, if it has any."""
    return ["", f"{_MARK_OF_AGE} measured on older code."] if any(map(_is_older, figures)) else []


def cells_of(figure: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return a figure's published number, goal, measured number and verdict as people read them."""
    published, goal, measured, verdict = _cells(figure)
    return published, goal, measured, f"{verdict}; measured on older code" if _is_older(figure) else verdict


def _cells(figure: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """As `cells_of`, without the age of the code."""
    unit = f" {figure['unit']}" if figure["unit"] else ""
    relation = {"higher": "≥ ", "lower": "≤ ", "match": ""}[figure["better"]]
    published = "" if figure["published"] is None else f"{figure['published']:g}{unit}"
    goal = "" if figure["goal"] is None else f"{relation}{figure['goal']:g}"
    if "tolerance" in figure:
        # The tolerance belongs to the number that decides.
        if goal:
            goal += f" ± {figure['tolerance']:g}"
        else:
            goal = f"within {figure['tolerance']:g}"
    goal += unit if goal else ""
    verdict = figure["verdict"]
    if figure.get("held") is not None:
        verdict = f"{figure['predicate']}: {'held' if figure['held'] else 'did not hold'}"
    elif "predicate" in figure:
        verdict = f"{figure['predicate']}: not run"
    elif figure["better"] == "match" and verdict == "short":
        target = figure["goal"] if figure["goal"] is not None else figure["published"]
        verdict = f"differs by {figure['measured'] - target:+.3g}{unit}"
    if figure.get("dirty"):
        verdict += "; measured on uncommitted code"
    return published, goal, measured_text(figure), verdict


def measured_text(figure: Mapping[str, Any]) -> str:
    """Return a measured number with its standard error, rounded to the digits that the error leaves meaningful."""
    value, uncertainty, n = figure["measured"], figure["uncertainty"], figure["n"]
    unit = f" {figure['unit']}" if figure["unit"] else ""
    if value is None:
        return ""
    if uncertainty is None:
        return f"{value:.4g}{unit}"
    decimals = 2
    if uncertainty > 0:
        decimals = max(0, 1 - math.floor(math.log10(uncertainty)))
    return f"{value:.{decimals}f} ± {uncertainty:.{decimals}f}{unit} (n = {n})"


def _is_older(figure: Mapping[str, Any]) -> bool:
    return figure["verdict"] != "not run" and not figure.get("current", True)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
