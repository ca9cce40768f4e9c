"""Bring the README's tables up to date with ``results`` and ``benchmarks/results``; with ``--check``, only say
whether they are.

    python tools/readme_tables.py [--check]

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``, where NAME is an experiment's, or between
``<!-- benchmark: NAME -->`` and ``<!-- end benchmark -->``.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from striate.errors import StriateError
from striate.experiments import list_experiments, rewrite_tables

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
_MARK = re.compile(r"(<!-- benchmark: (\S+) -->\n).*?(<!-- end benchmark -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Rewrite or check; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(f"unknown arguments {' '.join(arguments)}; the only option is --check", file=sys.stderr)
        return 2
    text = README.read_text("utf-8")
    try:
        rewritten = rewrite_tables(rewrite_benchmarks(text), list_experiments(ROOT / "results"))
    except StriateError as error:
        print(f"README.md: {error}", file=sys.stderr)
        return error.exit_code
    if rewritten == text:
        print("README.md is in step with the results")
        return 0
    if arguments:
        print("README.md is not in step with the results; run: python tools/readme_tables.py", file=sys.stderr)
        return 1
    README.write_text(rewritten, "utf-8")
    print("README.md: tables rewritten")
    return 0


def rewrite_benchmarks(text: str) -> str:
    """The text with its tables of benchmarks brought up to date."""

    def table(match: re.Match[str]) -> str:
        path = ROOT / "benchmarks" / "results" / f"{match[2]}.json"
        if not path.exists():
            return match[0]
        return f"{match[1]}{codes_table(json.loads(path.read_text('utf-8'))['workloads'])}\n{match[3]}"

    return _MARK.sub(table, text)


def codes_table(rows: list[dict[str, Any]]) -> str:
    """Microseconds a signal of each library, and how many times as long as striate, in float32."""
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


def _microseconds(seconds: float) -> str:
    value = 1e6 * seconds
    return f"{value:.2g} µs" if value < 10 else f"{value:,.0f} µs"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
