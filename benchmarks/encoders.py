"""Predicted codes beside exact ones, and the kernels behind them: python benchmarks/encoders.py.

One dictionary, learned by PSD from photographs, and as many patches as a whole image has, drawn from others; float32
and two threads for everybody. Beside its time each encoder has its accuracy: the distance to the certified optimal
codes, and the energy that is lost. Training is not timed; what was trained is kept in the cache.
"""

from __future__ import annotations

import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any
from unittest.mock import patch

import numpy as np
from _harness import Harness, Timings

from coding import PAUSE, TARGET, fastest_that_reaches, repeated, spams_coders, timed
from striate import PSD, threads
from striate.cache_folder import cache_folder
from striate.coding import PreparedDictionary, certify, infer
from striate.encoders import LISTA, LCoD, LinearEncoder, ShrinkageEncoder, TanhEncoder
from striate.errors import UsageError
from striate.images import ImageCollection, as_images, data_folder, extract_patches, sample_patches, to_grey, whiten

SPARSITY = 1.0  # in the scale of PSD, in which patches have a deviation of 1
DICTIONARIES = {"81x64": (9, 64), "144x256": (12, 256)}  # side of the patches, units
N_TRAIN = 100_000
N_BATCHES = 2000
N_JUDGED = 10_000  # patches on which accuracies are taken
N_COUNTED = 100  # patches on which solves are counted
SOLVERS = ("active_set", "coordinate_descent", "feature_sign")
GOALS = {"SPAMS": 25, "feature_sign": 300}  # times as long as the tanh encoder, for 81x64
SHARES = {(9, 64): 0.6, (12, 1024): 0.8}  # of the matrix product's speed
MOST_PATCHES = 1 << 28  # bytes of their codes
TANGENT_ERROR = 2e-6
DENSITIES = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05)
BATCH = 1024

Encode = Callable[[np.ndarray], Any]


def main() -> None:
    """Throughput, the curve of time and accuracy, partial inhibition."""
    harness = Harness(
        "encoders", "Predicted codes of the same patches beside optimal ones, at each encoder's accuracy."
    )
    warnings.simplefilter("ignore")
    with threads.limit(2):
        for (side, n_components), goal in SHARES.items():
            compare_with_product(harness, side, n_components, goal)
        for name, (side, n_components) in DICTIONARIES.items():
            compare_codes(harness, Problem(name, side, n_components))
        thin_out(harness, Problem("144x256", *DICTIONARIES["144x256"]))
    harness.finish()


# ---- data ----------------------------------------------------------------------------------------------------------


def photographs(part: str) -> ImageCollection:
    """Berkeley's images to learn from, "train", or others, "val"."""
    return as_images(data_folder("berkeley") / part)


def flattened(image: np.ndarray) -> np.ndarray:
    """Grey, with a flat spectrum."""
    return whiten(to_grey(image))


def whole_image(side: int) -> np.ndarray:
    """All patches of one image, without their means, at a standard deviation of 1."""
    patches = extract_patches(flattened(photographs("val")[0]), side).astype(np.float32)
    patches -= patches.mean(axis=1, keepdims=True)
    return patches / patches.std()


def kept(name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What `make` returns, from the cache if it was made before."""
    path = cache_folder() / "benchmarks" / f"encoders {name}.npz"
    if not path.exists():
        arrays = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
    with np.load(path) as found:
        return dict(found)


class Problem:
    """A dictionary, its tanh encoder, patches to learn from and others to code, and their optimal codes."""

    def __init__(self, name: str, side: int, n_components: int) -> None:
        self.name, self.side, self.n_components = name, side, n_components
        learned = kept(f"{name} psd", self._learn)
        self.dictionary = PreparedDictionary(learned["components"])
        self.tanh = TanhEncoder.from_arrays(learned["filters"], learned["bias"], learned["gain"])
        self._scale = learned["scale"]
        n_patches = len(whole_image(side))
        self.patches = self._scaled(
            sample_patches(photographs("val"), n_patches, side, random_state=0, prepare=flattened)
        )

    @cached_property
    def _raw(self) -> np.ndarray:
        return sample_patches(photographs("train"), N_TRAIN, self.side, random_state=0, min_std=0.3, prepare=flattened)

    def _learn(self) -> Mapping[str, np.ndarray]:
        psd = PSD(self.n_components, sparsity=SPARSITY, random_state=0).fit(self._raw)
        return {"components": psd.components_, "scale": np.float32(psd.scale_)} | psd.predictor_.to_state()[0]

    def _scaled(self, patches: np.ndarray) -> np.ndarray:
        return (patches - patches.mean(axis=1, keepdims=True)) / self._scale

    def encoders(self) -> Iterator[tuple[str, Encode]]:
        """Those that are compared, trained for the energy; the linear one is in closed form, from optimal codes."""
        units = self.dictionary
        yield "linear", self._linear().encode
        yield "tanh", self.tanh.encode
        yield "shrinkage", self._trained("shrinkage", ShrinkageEncoder.from_dictionary(units, SPARSITY)).encode
        for steps in (2, 3, 4):
            yield f"LISTA, {steps} steps", self.lista(steps).encode
        pruned = self.lista(4).prune(0.2)
        yield "LISTA, 4 steps, 20% of S", self._trained("lista 4 pruned", pruned).encode
        yield "LCoD, 10 updates", self._trained("lcod 10", LCoD.from_dictionary(units, SPARSITY, 10)).encode

    def lista(self, steps: int) -> LISTA:
        """One that has learned."""
        return self._trained(f"lista {steps}", LISTA.from_dictionary(self.dictionary, SPARSITY, steps))

    def _linear(self) -> LinearEncoder:
        def fit() -> Mapping[str, np.ndarray]:
            signals = self._scaled(self._raw)
            return LinearEncoder().fit(signals, infer(signals, self.dictionary, SPARSITY, sparse_output=True)).arrays()

        return LinearEncoder(**kept(f"{self.name} linear", fit))

    def _trained(self, name: str, start: Any) -> Any:
        def fit() -> Mapping[str, np.ndarray]:
            with threads.limit(1):  # products this small are slower with more
                learned: Mapping[str, np.ndarray] = start.fit(
                    self._scaled(self._raw), loss="energy", components=self.dictionary, sparsity=SPARSITY,
                    n_batches=N_BATCHES, random_state=0,
                ).arrays()  # fmt: skip
            return learned

        return start.with_arrays(kept(f"{self.name} {name}", fit))


# ---- throughput ----------------------------------------------------------------------------------------------------


def compare_with_product(harness: Harness, side: int, n_components: int, goal: float) -> None:
    """The tanh encoder beside the matrix product that is in it, on the patches of one image."""
    patches = whole_image(side)[: MOST_PATCHES // (4 * n_components)]
    rng = np.random.default_rng(0)
    filters = rng.standard_normal((n_components, side**2), dtype=np.float32) / np.float32(side)
    bias, gain = rng.standard_normal((2, n_components), dtype=np.float32)
    encoder = TanhEncoder.from_arrays(filters, bias, gain)
    result = np.empty((len(patches), n_components), np.float32)

    def of_numpy(signals: np.ndarray) -> np.ndarray:
        activations = encoder.activations(signals)
        activations *= gain
        return activations

    def same_codes(returned: Mapping[str, Any]) -> None:
        np.testing.assert_allclose(returned["tanh encoder"], returned["NumPy"], atol=1e-4)

    coders: dict[str, Encode] = {
        "product": lambda y: np.matmul(y, filters.T, out=result),
        "product, new memory": lambda y: np.matmul(y, filters.T),
        "tanh encoder": encoder.encode,
        "NumPy": of_numpy,
    }
    calls = {name: max(1, round(0.1 / timed(code, patches, 2))) for name, code in coders.items()}
    contestants = {name: repeated(code, patches, calls[name]) for name, code in coders.items()}
    timings = harness.alternate(contestants, pause=PAUSE, check=same_codes)
    of_patch = Timings(
        {name: [value / calls[name] / len(patches) for value in row] for name, row in timings.seconds.items()}
    )
    share = of_patch.ratio("tanh encoder", "product")["median"]
    harness.report(
        f"tanh encoder, {side**2}→{n_components}, {len(patches):,} patches",
        of_patch,
        reference="product",
        kind="throughput",
        unit="seconds a patch",
        size=f"{side**2}→{n_components}",
        share=share,
        goal_share=goal,
        tangent_error=tangent_error(),
        goal_tangent_error=TANGENT_ERROR,
    )
    print(f"    {share:.0%} of the product's speed (goal {goal:.0%}), error of the tangent {tangent_error():.1e}")


def tangent_error() -> float:
    """The largest distance of the encoder's tangent to that of float64, at two million places."""
    one = np.ones(1, np.float32)
    places = np.concatenate([np.linspace(-12, 12, 1_000_000), np.geomspace(1e-30, 1e30, 1_000_000)]).astype(np.float32)
    found = TanhEncoder.from_arrays(one[:, np.newaxis], 0 * one, one).encode(places[:, np.newaxis])[:, 0]
    return float(np.abs(found - np.tanh(places.astype(np.float64))).max())


# ---- time and accuracy ---------------------------------------------------------------------------------------------


def compare_codes(harness: Harness, problem: Problem) -> None:
    """Every encoder and every solver on one dictionary."""
    units, patches, target = problem.dictionary, problem.patches, TARGET["float32"]
    judged = patches[:N_JUDGED]
    exact = judged.astype(np.float64)
    optimal = infer(exact, units, SPARSITY, tolerance=1e-8)
    least = certify(exact, optimal, units.components, SPARSITY).objective.mean()

    spams = fastest_that_reaches(spams_coders, patches[:1000], units.components, SPARSITY, target, np.inf)
    if spams is None:
        raise AssertionError("no setting of SPAMS reaches the gap")
    coders: dict[str, Encode] = dict(problem.encoders())
    coders |= {method: lambda y, method=method: infer(y, units, SPARSITY, method=method) for method in SOLVERS}
    coders["SPAMS"] = spams[1]

    facts: dict[str, dict[str, float]] = {"code_error": {}, "energy_excess": {}, "active": {}, "gap_at_99_percent": {}}
    contestants, counts = {}, {}
    for name, code in coders.items():
        found = code(judged)
        found = found.toarray() if hasattr(found, "toarray") else found
        proof = certify(exact, found, units.components, SPARSITY)
        facts["code_error"][name] = float(np.square(found - optimal).sum() / np.square(optimal).sum())
        facts["energy_excess"][name] = float(proof.objective.mean() / least - 1)
        facts["active"][name] = float(np.mean(found != 0))
        if name in (*SOLVERS, "SPAMS"):
            gap = facts["gap_at_99_percent"][name] = float(np.percentile(proof.relative_gap, 99))
            assert gap <= 1.5 * target, (name, gap)  # other patches than those that SPAMS' setting was found on
        # A fifth of a second a repetition: solvers on as many patches as that takes, encoders on all, again if need be.
        few = judged[:1000] if name in (*SOLVERS, "SPAMS") else patches
        per_patch = timed(code, few, 1) / len(few)
        n = len(patches) if few is patches else int(np.clip(0.2 / per_patch, 1000, len(patches)))
        calls = int(np.clip(0.2 / per_patch / n, 1, 20))
        contestants[name], counts[name] = repeated(code, patches[:n], calls), n * calls
    timings = harness.alternate(contestants, pause=PAUSE)
    of_patch = Timings({name: [value / counts[name] for value in row] for name, row in timings.seconds.items()})
    times = {name: 1 / of_patch.ratio(name, "tanh")["median"] for name in (*SOLVERS, "SPAMS")}
    harness.report(
        f"{problem.name}, sparsity {SPARSITY:g}, float32",
        of_patch,
        reference="tanh",
        kind="accuracy",
        unit="seconds a patch",
        size=problem.name,
        times_of_tanh=times,
        goal_times_of_tanh=GOALS if problem.name == "81x64" else {},
        solver_of_spams=spams[0],
        active_optimal=float(np.mean(optimal != 0)),
        patches_timed=counts,
        solves_a_patch=solves(judged[:N_COUNTED].astype(np.float64), units),
        **facts,
    )
    for name, times_of in times.items():
        print(f"    {name} takes {times_of:.0f} times as long as the tanh encoder")


def solves(signals: np.ndarray, units: PreparedDictionary) -> dict[str, float]:
    """Closed-form solves a patch of our feature-sign search and of the authors' algorithm, to the same optimum."""
    ours = infer(signals, units, SPARSITY, method="feature_sign", tolerance=1e-10, info=True).iterations
    theirs = [count_solves(signal, units.components.astype(np.float64)) for signal in signals]
    counted = {"striate": float(np.mean(ours)), "authors": statistics.mean(theirs)}
    assert counted["striate"] <= 1.05 * counted["authors"], counted
    return counted


def count_solves(signal: np.ndarray, dictionary: np.ndarray) -> int:
    """Lee, Battle, Raina, Ng, NIPS 2006, algorithm 1, line by line; how often its step 3 solves."""
    gram, linear = dictionary @ dictionary.T, dictionary @ signal
    code, count = np.zeros(len(dictionary)), 0

    def objective(z: np.ndarray) -> float:
        return float(z @ gram @ z / 2 - linear @ z + SPARSITY * np.abs(z).sum())

    while True:
        slope = gram @ code - linear
        violation = np.where(code == 0, np.abs(slope), 0)
        unit = int(violation.argmax())
        if violation[unit] <= SPARSITY * (1 + 1e-9):
            return count
        signs = np.sign(code)
        signs[unit] = -np.sign(slope[unit])
        while True:
            active = np.flatnonzero(signs)
            solved = np.zeros_like(code)
            solved[active] = np.linalg.solve(gram[np.ix_(active, active)], (linear - SPARSITY * signs)[active])
            count += 1
            # The line search looks at the end and wherever a sign changes on the way.
            crossing = np.flatnonzero(code * solved < 0)
            shares = np.append(code[crossing] / (code - solved)[crossing], 1.0)
            ends = [code + share * (solved - code) for share in shares]
            for end, crossed in zip(ends, crossing, strict=False):
                end[crossed] = 0
            code = min(ends, key=objective)
            signs, slope = np.sign(code), gram @ code - linear
            if np.all(np.abs(slope + SPARSITY * signs)[signs != 0] <= 1e-9 * SPARSITY):
                break


# ---- partial inhibition --------------------------------------------------------------------------------------------


def thin_out(harness: Harness, problem: Problem) -> None:
    """LISTA with fewer and fewer inhibitions, on one core, by BLAS and by the kernel for sparse matrices."""
    whole, patches = problem.lista(4), problem.patches[:BATCH]
    sparse = {density: decided(whole.prune(density), 1.0, patches) for density in DENSITIES}
    contestants = {"dense": repeated(decided(whole, -1.0, patches).encode, patches, 20)} | {
        f"sparse, {density:.0%} of S": repeated(encoder.encode, patches, 20) for density, encoder in sparse.items()
    }

    def same_codes(returned: Mapping[str, Any]) -> None:
        for density, encoder in sparse.items():
            by_blas = decided(whole.prune(density), -1.0, patches).encode(patches)
            np.testing.assert_allclose(encoder.encode(patches), by_blas, atol=1e-3)

    with threads.limit(1):
        timings = harness.alternate(contestants, pause=PAUSE, check=same_codes)
    of_patch = Timings({name: [value / 20 / BATCH for value in row] for name, row in timings.seconds.items()})
    ratios = [of_patch.ratio(f"sparse, {density:.0%} of S", "dense")["median"] for density in DENSITIES]
    harness.report(
        f"LISTA of 4 steps, 144x256, {BATCH:,} patches, 1 thread",
        of_patch,
        reference="dense",
        kind="inhibition",
        unit="seconds a patch",
        break_even_density=break_even(ratios),
    )
    print(f"    both take the same time at a density of {break_even(ratios)}")

    # As they are shipped, in which the encoder chooses for itself.
    both = {"all of S": whole, "20% of S": whole.prune(0.2)}
    timings = harness.alternate({name: repeated(one.encode, patches, 20) for name, one in both.items()}, pause=PAUSE)
    harness.report(
        f"LISTA of 4 steps, 144x256, {BATCH:,} patches, 2 threads",
        Timings({name: [value / 20 / BATCH for value in row] for name, row in timings.seconds.items()}),
        reference="all of S",
        kind="inhibition, 2 threads",
        unit="seconds a patch",
    )


def decided(encoder: LISTA, sparse_below: float, patches: np.ndarray) -> LISTA:
    """The same encoder, which takes the kernel for sparse matrices up to this density."""
    same = encoder.with_arrays(encoder.arrays())
    with patch("striate.encoders.lista.SPARSE_BELOW", sparse_below):
        same.encode(patches[:1])  # it decides once
    return same


def break_even(ratios: list[float]) -> float | None:
    """The density at which the kernel is as fast as BLAS, between those that were measured; None if it never is."""
    places = np.log(DENSITIES)
    faster = [index for index, ratio in enumerate(ratios) if ratio >= 1]
    if not faster:
        return None
    first = faster[0]
    if first == 0:
        return DENSITIES[0]
    before, after = np.log(ratios[first - 1]), np.log(ratios[first])
    share = -before / (after - before)
    return round(float(np.exp(places[first - 1] + share * (places[first] - places[first - 1]))), 3)


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:  # a data set is not there: the message says how to get it
        sys.exit(str(error))
