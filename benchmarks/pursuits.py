"""Orthogonal matching pursuits beside SPAMS and scikit-learn: python benchmarks/pursuits.py.

Every contestant gets the same signals and dictionary, in the same type, two threads, and finds the same number of
active units. Pursuits are compared at equal supports: `omp` of SPAMS with orthogonal least squares, which is the
pursuit that it computes, and `orthogonal_mp_gram` of scikit-learn with orthogonal matching pursuit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import warnings
from typing import Any, Literal

import numpy as np
from _harness import Harness, Timings
from _signals import N_SIGNALS, PAUSE, WORKLOADS, Coder, as_dense, repeated, timed, workload

from striate import threads
from striate.coding import PreparedDictionary, infer_until
from striate.errors import UsageError

SIZES = (4, 10, 32)  # active units
ALIKE = 0.99  # share of the signals for which two pursuits must choose the same units; rounding decides ties


def main() -> None:
    """Run the whole grid."""
    harness = Harness("pursuits", "Codes with the same active units, of the same signals.", options=options)
    warnings.simplefilter("ignore")
    with threads.limit(2):
        for name in harness.options.workloads or WORKLOADS:
            compare_pursuits(harness, name, *workload(name))
    summarize(harness)
    harness.finish()


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone takes."""
    parser.add_argument("--workloads", nargs="*", choices=WORKLOADS, help="only these")
    parser.add_argument("--missing", action="store_true", help="with --keep, only points that are not there yet")


def pursuits(dictionary: np.ndarray, size: int) -> dict[str, tuple[Coder, int, int]]:
    """Each pursuit by striate and by a peer, and numbers of signals as in `LIBRARIES`; codes are sparse."""
    import spams
    from sklearn.linear_model import orthogonal_mp_gram

    prepared = PreparedDictionary(dictionary)
    columns = np.asfortranarray(dictionary.T)

    def ours(method: Literal["omp", "orthogonal_least_squares"]) -> Coder:
        return lambda y: infer_until(y, prepared, method=method, max_nonzero=size, sparse_output=True)

    def of_spams(y: np.ndarray) -> Any:
        return spams.omp(np.asfortranarray(y.T), columns, L=size, eps=0.0, numThreads=2).T

    def of_sklearn(y: np.ndarray) -> Any:
        return orthogonal_mp_gram(prepared.gram, dictionary @ y.T, n_nonzero_coefs=size).T

    return {
        "striate, OLS": (ours("orthogonal_least_squares"), 1000, N_SIGNALS),
        "SPAMS": (of_spams, 1000, N_SIGNALS),
        "striate, OMP": (ours("omp"), 1000, N_SIGNALS),
        "scikit-learn": (of_sklearn, 50, 400),
    }


def compare_pursuits(harness: Harness, name: str, signals: np.ndarray, dictionary: np.ndarray) -> None:
    """Codes with given numbers of active units, in both types."""
    for size in SIZES:
        for dtype in ("float32", "float64"):
            point_of_grid = f"{name}, {size} active, {dtype}"
            if harness.options.missing and point_of_grid in harness.kept_workloads():
                continue
            some = signals.astype(dtype)
            contestants, counts = {}, {}
            alike: dict[str, float] = {}
            for library, (coder, n_probe, n_most) in pursuits(dictionary.astype(dtype), size).items():
                per_signal = timed(coder, some[:n_probe], 3) / n_probe
                n = int(np.clip(0.2 / per_signal, 20, min(n_most, len(some))))
                calls = int(np.clip(0.2 / per_signal / n, 1, 50))
                contestants[library], counts[library] = repeated(coder, some[:n], calls), n * calls

            def same_supports(returned: dict[str, Any], alike: dict[str, float] = alike) -> None:
                for ours, theirs in (("striate, OLS", "SPAMS"), ("striate, OMP", "scikit-learn")):
                    few = min(returned[each].shape[0] for each in (ours, theirs))
                    active = [as_dense(returned[each][:few]) != 0 for each in (ours, theirs)]
                    alike[theirs] = float((active[0] == active[1]).all(axis=1).mean())
                assert min(alike.values()) >= ALIKE, alike

            timings = harness.alternate(contestants, pause=PAUSE, check=same_supports)
            of_signal = Timings({key: [value / counts[key] for value in row] for key, row in timings.seconds.items()})
            harness.report(
                point_of_grid, of_signal, reference="striate, OLS", unit="seconds a signal",
                same_supports=alike, n_signals=counts,
            )  # fmt: skip


def summarize(harness: Harness) -> None:
    """Geometric mean and least of the ratios of each peer."""
    for ours, theirs in (("striate, OLS", "SPAMS"), ("striate, OMP", "scikit-learn")):
        times = [row["contestants"] for row in harness.all_rows()]
        ratios = [each[theirs]["median_seconds"] / each[ours]["median_seconds"] for each in times]
        mean = statistics.geometric_mean(ratios)
        print(f"  {theirs}: {mean:.1f} times as long as {ours}, at least {min(ratios):.2f}, {len(ratios)} points")


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:  # a data set is not there: the message says how to get it
        sys.exit(str(error))
