"""Bring the tables of the README and of the pages in ``docs`` up to date with ``results`` and ``benchmarks/results``;
with ``--check``, only say whether they are.

    python tools/readme_tables.py [--check]

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``, where NAME is an experiment's, or between
``<!-- benchmark: NAME -->`` and ``<!-- end benchmark -->``.
"""

from __future__ import annotations

import functools
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from striate.errors import StriateError, UsageError
from striate.experiments import list_experiments, rewrite_tables

ROOT = Path(__file__).resolve().parents[1]
GUIDE = "autoencoders energies near-to-far recognition results search-and-duplicates sparse-coding which-code"
PAGES = ("README.md", *(f"docs/{name}.md" for name in GUIDE.split()))
_MARK = re.compile(r"(<!-- benchmark: (\S+) -->\n).*?(<!-- end benchmark -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Rewrite or check; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(f"unknown arguments {' '.join(arguments)}; the only option is --check", file=sys.stderr)
        return 2
    stale = False
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        try:
            rewritten = rewritten_page(text)
        except StriateError as error:
            print(f"{page}: {error}", file=sys.stderr)
            return error.exit_code
        if rewritten == text:
            print(f"{page} is in step with the results")
        elif arguments:
            print(f"{page} is not in step with the results; run: python tools/readme_tables.py", file=sys.stderr)
            stale = True
        else:
            (ROOT / page).write_text(rewritten, "utf-8")
            print(f"{page}: tables rewritten")
    return int(stale)


def rewritten_page(text: str) -> str:
    """Return the text of a page with all its tables brought up to date."""
    return rewrite_tables(rewrite_benchmarks(text), _summaries())


@functools.cache
def _summaries() -> list[dict[str, Any]]:
    return list_experiments(ROOT / "results")


def rewrite_benchmarks(text: str) -> str:
    """Return the text with its tables of benchmarks brought up to date."""
    tables = {
        "coding": codes_table,
        "coding-summary": codes_summary,
        "pursuits": pursuits_table,
        "encoders": encoders_table,
        "features": features_table,
    }

    def table(match: re.Match[str]) -> str:
        if match[2] not in tables:
            raise UsageError(f"the mark {match[1].strip()} names no table; there are {', '.join(tables)}")
        path = ROOT / "benchmarks" / "results" / f"{match[2].removesuffix('-summary')}.json"
        if not path.exists():
            return match[0]
        return f"{match[1]}{tables[match[2]](json.loads(path.read_text('utf-8'))['workloads'])}\n{match[3]}"

    return _MARK.sub(table, text)


_SHOWN = ("144x256, 5% active", "256x512, 5% active", "784x1000, 5% active")


def codes_summary(rows: list[dict[str, Any]]) -> str:
    """Return three rows of `codes_table`, and the ratios over all sizes."""
    head, rule, *body = codes_table(rows).splitlines()
    return "\n".join(
        [
            head,
            rule,
            *(
                line
                for line in body
                if line.startswith(("| geometric", "| least")) or any(name in line for name in _SHOWN)
            ),
        ]
    )


def codes_table(rows: list[dict[str, Any]]) -> str:
    """Return a table of microseconds per signal for each library, in float32, with the ratio to striate."""
    peers = ("SPAMS", "scikit-learn", "celer", "torch")
    lines = [f"| units, active, float32 | striate | {' | '.join(peers)} |", f"|---|--:|{'--:|' * len(peers)}"]
    ratios: dict[str, list[float]] = {peer: [] for peer in peers}
    for row in rows:
        if row.get("kind") != "codes":
            continue
        times = {name: entry["median_seconds"] for name, entry in row["contestants"].items()}
        for peer in peers:
            if peer in times:
                ratios[peer].append(times[peer] / times["striate"])
        if "float32" in row["workload"]:
            cells = [f"{_microseconds(times[peer])} ({times[peer] / times['striate']:.1f}×)" if peer in times else "–"
                     for peer in peers]  # fmt: skip
            name = row["workload"].replace(", float32", "")
            lines.append(f"| {name} | {_microseconds(times['striate'])} | {' | '.join(cells)} |")
    means = [f"{statistics.geometric_mean(ratios[peer]):.1f}×" if ratios[peer] else "–" for peer in peers]
    least = [f"{min(ratios[peer]):.1f}×" if ratios[peer] else "–" for peer in peers]
    lines.append(f"| geometric mean, float64 included | | {' | '.join(means)} |")
    lines.append(f"| least, float64 included | | {' | '.join(least)} |")
    return "\n".join(lines)


def pursuits_table(rows: list[dict[str, Any]]) -> str:
    """Return microseconds per signal of each pursuit and its peer in float32, and ratios over sizes and types."""
    pairs = (("striate, OLS", "SPAMS"), ("striate, OMP", "scikit-learn"))
    lines = [
        "| units, active, float32 | orthogonal least squares | SPAMS | orthogonal matching pursuit | scikit-learn |",
        "|---|--:|--:|--:|--:|",
    ]
    ratios: dict[str, list[float]] = {theirs: [] for _, theirs in pairs}
    for row in rows:
        times = {name: entry["median_seconds"] for name, entry in row["contestants"].items()}
        cells = []
        for ours, theirs in pairs:
            ratios[theirs].append(times[theirs] / times[ours])
            cells += [_microseconds(times[ours]), f"{_microseconds(times[theirs])} ({ratios[theirs][-1]:.1f}×)"]
        if "float32" in row["workload"]:
            lines.append(f"| {row['workload'].replace(', float32', '')} | {' | '.join(cells)} |")
    for name, of in (("geometric mean", statistics.geometric_mean), ("least", min)):
        cells = [f"{of(ratios[theirs]):.1f}×" for _, theirs in pairs]
        lines.append(f"| {name}, float64 included | | {' | | '.join(cells)} |")
    return "\n".join(lines)


def encoders_table(rows: list[dict[str, Any]]) -> str:
    """Return what each code costs and how far it is from the optimum, fastest first, then figures of the kernels."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    curves = by_kind.get("accuracy", [])
    heads = [f"{row['size']}: time | error | energy" for row in curves]
    lines = [f"| code | {' | '.join(heads)} |", f"|---|{'--:|' * (3 * len(curves))}"]
    times = [{name: entry["median_seconds"] for name, entry in row["contestants"].items()} for row in curves]
    for name in sorted(times[0], key=times[0].__getitem__) if times else ():
        cells = [
            f"{_microseconds(of[name])} | {_percent(row['code_error'][name])} | {_percent(row['energy_excess'][name])}"
            for row, of in zip(curves, times, strict=True)
        ]
        shown = f"optimal, {_SOLVERS[name]}" if name in _SOLVERS else name
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    lines.append("")
    for row in curves:
        goals, solves = row["goal_times_of_tanh"], row["solves_a_patch"]
        slower = [
            f"{_SOLVERS[name]} {ratio:.0f}×" + (f" (goal {goals[name]}×)" if name in goals else "")
            for name, ratio in row["times_of_tanh"].items()
        ]
        lines.append(
            f"- {row['size']}, time over that of the tanh encoder: {', '.join(slower)}. Feature-sign search takes "
            f"{solves['striate']:.1f} solves per patch, the authors' algorithm {solves['authors']:.1f}."
        )
    for row in by_kind.get("throughput", []):
        lines.append(
            f"- The tanh encoder, {row['size']}, has {row['share']:.0%} of the speed of its matrix product alone "
            f"(goal {row['goal_share']:.0%}); its tangent is within {row['tangent_error']:.1g} "
            f"(goal {row['goal_tangent_error']:.0g})."
        )
    for row in by_kind.get("inhibition", []):
        equal = row["break_even_density"]
        when = "at no density that was measured" if equal is None else f"at a density of {equal:.2g}"
        lines.append(f"- {row['workload']}: the kernel for a sparse inhibition is as fast as BLAS {when}.")
    return "\n".join(lines)


def features_table(rows: list[dict[str, Any]]) -> str:
    """Return milliseconds per image of each network or part of one, by batch size, and accuracy with one classifier."""
    heads = [row["workload"] for row in rows]
    lines = [f"| 143×143 images | {' | '.join(heads)} | accuracy |", f"|---|{'--:|' * (len(rows) + 1)}"]
    first = rows[0]
    for name in sorted(first["ms_an_image"], key=rows[-1]["ms_an_image"].__getitem__):
        cells = [f"{row['ms_an_image'][name]:.3g} ms" for row in rows]
        accuracy = first["accuracy"].get(name)
        lines.append(f"| {name} | {' | '.join(cells)} | {'–' if accuracy is None else f'{accuracy:.1%}'} |")
    return "\n".join(lines)


_SOLVERS = {
    "active_set": "`infer`",
    "coordinate_descent": "coordinate descent",
    "feature_sign": "feature-sign search",
    "SPAMS": "SPAMS",
}


def _percent(share: float) -> str:
    value = 100 * share
    return "< 0.01 %" if value < 0.01 else f"{value:.2g} %" if value < 10 else f"{value:.0f} %"


def _microseconds(seconds: float) -> str:
    value = 1e6 * seconds
    return f"{value:.2g} µs" if value < 10 else f"{value:,.0f} µs"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
