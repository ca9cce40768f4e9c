"""Exact sparse codes and dictionary learning beside SPAMS, scikit-learn, celer and torch: python benchmarks/coding.py.

Every contestant gets the same signals and dictionary, in the same type, two threads, and is brought to the same
duality gap: 1e-4 of ½‖y‖² in float32, 1e-6 in float64, at the 99th percentile of the signals. Of each library the
settings are tried one after another on some signals, and the fastest that reaches the gap competes.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from _harness import Harness, Timings
from _signals import N_SIGNALS, PAUSE, WORKLOADS, Coder, patches, repeated, timed, workload

from striate import SparseCoding, threads
from striate.coding import PreparedDictionary, certify, find_sparsity, infer
from striate.errors import UsageError

SLOW = 30.0  # seconds of a peer's learning, which is then timed once
HOPELESS = 100.0  # times our time: what is slower than that need not be measured
FRACTIONS = (0.01, 0.05, 0.15)
TARGET = {"float32": 1e-4, "float64": 1e-6}


def main() -> None:
    """Run the whole grid, learning, threads and single signals."""
    harness = Harness(
        "coding",
        "Exact codes of the same signals at the same gap, and dictionaries of the same quality.",
        options=options,
    )
    chosen = WORKLOADS if harness.options.workloads is None else harness.options.workloads
    warnings.simplefilter("ignore")
    with threads.limit(2):
        for name in chosen:
            signals, dictionary = workload(name)
            for fraction in FRACTIONS:
                # More units than a signal has numbers are never active together.
                fraction = 0.1 if fraction * dictionary.shape[0] > dictionary.shape[1] else fraction
                sparsity = sparsity_for(signals, dictionary, fraction)
                for dtype in ("float32", "float64"):
                    if harness.options.missing and point(name, fraction, dtype) in harness.kept_workloads():
                        continue
                    compare(harness, name, fraction, signals.astype(dtype), dictionary.astype(dtype), sparsity)
        if not harness.options.codes_only:
            compare_learning(harness)
            scaling(harness)
            one_at_a_time(harness)
    summarize(harness)
    harness.finish()


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone takes."""
    parser.add_argument(
        "--workloads", nargs="*", choices=WORKLOADS, help="only these; none for learning and threads alone"
    )
    parser.add_argument("--missing", action="store_true", help="with --keep, only points that are not there yet")
    parser.add_argument("--codes-only", action="store_true", help="neither learning nor threads")


def sparsity_for(signals: np.ndarray, dictionary: np.ndarray, fraction: float) -> float:
    """The sparsity that leaves this fraction of the units active on average."""
    return find_sparsity(signals[:300], PreparedDictionary(dictionary), fraction, low=3e-4, high=1.0, n_steps=20)


# ---- contestants ---------------------------------------------------------------------------------------------------


def striate_coders(dictionary: np.ndarray, sparsity: float) -> Iterator[tuple[str, Coder]]:
    """Both kinds of output."""
    yield "dense", lambda y: infer(y, dictionary, sparsity)
    yield "sparse", lambda y: infer(y, dictionary, sparsity, sparse_output=True)


def spams_coders(dictionary: np.ndarray, sparsity: float) -> Iterator[tuple[str, Coder]]:
    """LARS with and without Cholesky factors, and coordinate descent."""
    import spams
    from scipy import sparse

    columns = np.asfortranarray(dictionary.T)
    common = {"lambda1": sparsity, "mode": 2, "numThreads": 2}

    def lars(cholesky: bool) -> Coder:
        return lambda y: spams.lasso(np.asfortranarray(y.T), D=columns, cholesky=cholesky, **common).T

    def descent(tolerance: float) -> Coder:
        def code(y: np.ndarray) -> Any:
            start = sparse.csc_matrix((len(dictionary), len(y)), dtype=y.dtype)
            return spams.cd(np.asfortranarray(y.T), columns, start, itermax=100_000, tol=tolerance, **common).T

        return code

    yield "lars", lars(False)
    yield "lars, cholesky", lars(True)
    for power in range(2, 8):
        yield f"cd, tol 1e-{power}", descent(10.0**-power)


def sklearn_coders(dictionary: np.ndarray, sparsity: float) -> Iterator[tuple[str, Coder]]:
    """Its coder, and Lasso, whose tolerance can be set, in both types."""
    from sklearn.decomposition import sparse_encode
    from sklearn.linear_model import Lasso

    def encode(algorithm: str, dtype: str, n_jobs: int) -> Coder:
        units = dictionary.astype(dtype)
        return lambda y: sparse_encode(
            y.astype(dtype),
            units,
            algorithm=algorithm,
            alpha=sparsity,
            n_jobs=n_jobs,
            max_iter=100_000,
            check_input=False,
        )

    def descent(tolerance: float, dtype: str) -> Coder:
        units = dictionary.astype(dtype)
        design, gram = np.asfortranarray(units.T), units @ units.T

        def code(y: np.ndarray) -> Any:
            lasso = Lasso(
                alpha=sparsity / units.shape[1], fit_intercept=False, precompute=gram, tol=tolerance, max_iter=100_000
            )
            return np.atleast_2d(lasso.fit(design, y.astype(dtype).T).coef_)

        return code

    for dtype in ("float64", "float32"):
        for n_jobs in (1, 2):
            for algorithm in ("lasso_cd", "lasso_lars"):
                yield f"{algorithm}, {dtype}, {n_jobs} jobs", encode(algorithm, dtype, n_jobs)
        for power in range(3, 9):
            yield f"Lasso, tol 1e-{power}, {dtype}", descent(10.0**-power, dtype)


def celer_coders(dictionary: np.ndarray, sparsity: float) -> Iterator[tuple[str, Coder]]:
    """One signal at a time: it has no other way."""
    from celer import Lasso

    design = np.asfortranarray(dictionary.T)

    def descent(tolerance: float) -> Coder:
        def code(y: np.ndarray) -> Any:
            lasso = Lasso(alpha=sparsity / design.shape[0], fit_intercept=False, tol=tolerance)
            return np.array([lasso.fit(design, signal).coef_ for signal in y])

        return code

    for power in range(3, 8):
        yield f"tol 1e-{power}", descent(10.0**-power)


def torch_coders(dictionary: np.ndarray, sparsity: float) -> Iterator[tuple[str, Coder]]:
    """Plain FISTA, of more and more steps."""
    import torch

    units = torch.from_numpy(dictionary)
    gram = units @ units.T
    step = 1 / float(torch.linalg.eigvalsh(gram.double())[-1])

    def fista(n_steps: int) -> Coder:
        def code(y: np.ndarray) -> Any:
            linear = torch.from_numpy(y) @ units.T
            z = torch.zeros_like(linear)
            point, age = z, 1.0
            for _ in range(n_steps):
                moved = point - step * (point @ gram - linear)
                new = torch.nn.functional.softshrink(moved, step * sparsity)
                older = (1 + (1 + 4 * age * age) ** 0.5) / 2
                point, z, age = new + (age - 1) / older * (new - z), new, older
            return z.numpy()

        return code

    torch.set_num_threads(2)
    for power in range(3, 12):
        yield f"FISTA, {2**power * 5} steps", fista(2**power * 5)


# Library, its settings, signals that it codes when settings are tried, and at the most when it competes.
LIBRARIES: dict[str, tuple[Callable[..., Iterator[tuple[str, Coder]]], int, int]] = {
    "striate": (striate_coders, 1000, N_SIGNALS),
    "SPAMS": (spams_coders, 1000, N_SIGNALS),
    "scikit-learn": (sklearn_coders, 50, 400),
    "celer": (celer_coders, 10, 20),
    "torch": (torch_coders, 50, 500),
}


def point(name: str, fraction: float, dtype: str) -> str:
    """What the results call a point of the grid."""
    return f"{name}, {fraction:.0%} active, {dtype}"


def compare(
    harness: Harness, name: str, fraction: float, signals: np.ndarray, dictionary: np.ndarray, sparsity: float
) -> None:
    """One point of the grid: the best settings of each library, alternating."""
    target = TARGET[signals.dtype.name]
    contestants, settings, gaps, sizes, counts = {}, {}, {}, {}, {}
    longest = np.inf
    for library, (coders, n_probe, n_most) in LIBRARIES.items():
        best = fastest_that_reaches(coders, signals[:n_probe], dictionary, sparsity, target, longest)
        if best is None:
            continue
        settings[library], coder, gaps[library], per_signal = best
        if library == "striate":
            longest = HOPELESS * per_signal
        # About a fifth of a second a repetition, whatever the library's speed, and the same signals again if need be.
        n = int(np.clip(0.2 / per_signal, 20, min(n_most, len(signals))))
        calls = int(np.clip(0.2 / per_signal / n, 1, 50))
        sizes[library], counts[library] = n, n * calls
        contestants[library] = repeated(coder, signals[:n], calls)

    def same_objective(returned: dict[str, Any]) -> None:
        few = min(sizes.values())
        objectives = {
            library: certify(signals[:few], codes[:few], dictionary, sparsity).objective.mean()
            for library, codes in returned.items()
        }
        low, high = min(objectives.values()), max(objectives.values())
        assert high - low <= 2 * target * max(high, 0.5), objectives

    timings = harness.alternate(contestants, pause=PAUSE, check=same_objective)
    of_signal = Timings({key: [value / counts[key] for value in row] for key, row in timings.seconds.items()})
    harness.report(
        point(name, fraction, signals.dtype.name),
        of_signal,
        reference="striate",
        kind="codes",
        unit="seconds a signal",
        sparsity=sparsity,
        target_gap=target,
        gap_at_99_percent=gaps,
        settings=settings,
        n_signals=sizes,
    )


def fastest_that_reaches(
    coders: Callable[..., Iterator[tuple[str, Coder]]],
    signals: np.ndarray,
    dictionary: np.ndarray,
    sparsity: float,
    target: float,
    longest: float,
) -> tuple[str, Coder, float, float] | None:
    """The setting with the least time a signal among those that reach the gap; None, with a word, where none does.

    Settings that take longer than `longest` seconds a signal are not followed.
    """
    best, closest = None, np.inf
    # Settings differ by one number: beyond the first that is exact enough, or too slow, they only get slower.
    finished: set[str] = set()
    for setting, coder in coders(dictionary, sparsity):
        family = re.sub(r"tol 1e-\d+|\d+ steps", "", setting)
        if family in finished:
            continue
        few = min(20, len(signals))
        coder(signals[:1])  # kernels compile, threads start
        if timed(coder, signals[1:3], 1) / 2 > 2 * longest:
            finished.add(family)
            continue
        seconds = timed(coder, signals[:few], 1)
        if seconds / few > (longest if best is None else min(longest, 5 * best[3])):
            finished.add(family)
            continue
        n = int(np.clip(0.2 * few / seconds, few, len(signals)))
        codes = coder(signals[:n])
        gap = float(np.percentile(certify(signals[:n], codes, dictionary, sparsity).relative_gap, 99))
        closest = min(closest, gap)
        if gap <= target:
            finished.add(family)
            time.sleep(PAUSE)
            per_signal = timed(coder, signals[:n], 3) / n
            if best is None or per_signal < best[3]:
                best = (setting, coder, gap, per_signal)
        elif seconds > 2:
            finished.add(family)
    if best is None:
        print(f"    {coders.__name__}: no setting reaches a gap of {target:g} in time; the best is {closest:.1e}")
    return best


# ---- learning ------------------------------------------------------------------------------------------------------


def compare_learning(harness: Harness) -> None:
    """Seconds to a held-out objective that SPAMS, or scikit-learn, reaches in 300 batches of 512."""
    import spams
    from sklearn.decomposition import MiniBatchDictionaryLearning

    signals = patches(12).astype(np.float32)
    train, held_out, sparsity, n_components = signals[:N_SIGNALS], signals[-5000:], 0.15, 256

    def objective(components: np.ndarray) -> float:
        units = np.ascontiguousarray(components, np.float64)
        codes = infer(held_out.astype(np.float64), units, sparsity)
        return float(certify(held_out, codes, units, sparsity).objective.mean())

    def of_spams() -> np.ndarray:
        columns = np.asfortranarray(train.T)
        return spams.trainDL(
            columns, K=n_components, lambda1=sparsity, iter=300, batchsize=512, numThreads=2, mode=2, verbose=False
        ).T

    def of_sklearn() -> np.ndarray:
        learner = MiniBatchDictionaryLearning(
            n_components, alpha=sparsity, batch_size=512, max_iter=8, max_no_improvement=None, tol=0,
            fit_algorithm="cd", n_jobs=2, random_state=0,
        )  # fmt: skip
        return learner.fit(train[: 300 * 64]).components_

    def ours(n_batches: int) -> Callable[[], np.ndarray]:
        return lambda: (
            SparseCoding(n_components, sparsity=sparsity, max_batches=n_batches, validation_fraction=0, random_state=0)
            .fit(train)
            .components_
        )

    counts = (10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 450, 600)
    reached = {n: objective(ours(n)()) for n in counts}
    for peer, learn in (("SPAMS", of_spams), ("scikit-learn", of_sklearn)):
        started = time.perf_counter()
        learned = learn()
        seconds = time.perf_counter() - started
        wanted = objective(learned)
        enough = [n for n in counts if reached[n] <= wanted]
        if not enough:
            print(f"  striate does not reach {peer}'s objective {wanted:.5f} in {counts[-1]} batches: {reached}")
            continue
        if seconds > SLOW:  # by so much that more repetitions would show nothing
            again = time.perf_counter()
            ours(enough[0])()
            timings = Timings({"striate": [time.perf_counter() - again], peer: [seconds]})
        else:
            timings = harness.alternate({"striate": ours(enough[0]), peer: learn}, pause=PAUSE)
        harness.report(
            f"dictionary of 256 units of 12x12 to {peer}'s objective",
            timings,
            reference="striate",
            kind="learning",
            objective={"striate": reached[enough[0]], peer: wanted},
            batches={"striate": enough[0], peer: 300},
        )


# ---- threads, single signals ---------------------------------------------------------------------------------------


def scaling(harness: Harness) -> None:
    """One thread and two, on many signals and on few."""
    signals, dictionary = workload("144x256")
    prepared = PreparedDictionary(dictionary.astype(np.float32))
    sparsity = sparsity_for(signals, dictionary, 0.05)
    for n in (64, 256, 1024, N_SIGNALS):
        some = signals[:n].astype(np.float32)
        calls = max(1, 20_000 // n)

        def run(n_threads: int, some: np.ndarray = some, calls: int = calls) -> None:
            with threads.limit(n_threads):
                for _ in range(calls):
                    infer(some, prepared, sparsity)

        timings = harness.alternate({"1 thread": lambda: run(1), "2 threads": lambda: run(2)})
        harness.report(f"threads, {n:,} signals, 144x256", timings, reference="1 thread", kind="threads", calls=calls)


def one_at_a_time(harness: Harness) -> None:
    """The median of 10,000 calls with one signal each, as from a camera."""
    signals, dictionary = workload("144x256")
    prepared = PreparedDictionary(dictionary.astype(np.float32))
    sparsity = sparsity_for(signals, dictionary, 0.02)
    single = signals.astype(np.float32)

    seconds = []
    for index in range(10_200):
        signal = single[index % len(single)][np.newaxis]
        start = time.perf_counter()
        infer(signal, prepared, sparsity)
        seconds.append(time.perf_counter() - start)
    seconds = seconds[200:]
    harness.report(
        "one signal a call, 144x256, 2 % active",
        Timings({"striate": [statistics.median(seconds)]}),
        goals={"striate": 60e-6},
        kind="single",
        calls=len(seconds),
        percentiles={str(p): float(np.percentile(seconds, p)) for p in (5, 50, 95, 99)},
    )


def summarize(harness: Harness) -> None:
    """Ratios of all points, and their geometric mean."""
    rows = [row for row in harness.all_rows() if row.get("kind") == "codes"]
    for peer in ("SPAMS", "scikit-learn", "celer", "torch"):
        ratios = {
            row["workload"]: row["contestants"][peer]["median_seconds"]
            / row["contestants"]["striate"]["median_seconds"]
            for row in rows
            if peer in row["contestants"]
        }
        if ratios:
            mean = statistics.geometric_mean(ratios.values())
            worst = min(ratios, key=lambda key: ratios[key])
            print(f"  {peer}: {mean:.1f} times as long, at least {ratios[worst]:.2f} ({worst}), {len(ratios)} points")


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:  # a data set is not there: the message says how to get it
        sys.exit(str(error))
