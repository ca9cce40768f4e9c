"""LISTA against FISTA: how near a few learned iterations come to optimal codes of natural patches.

LISTA of T iterations is a product of the patch with We and T products with S. FISTA of t iterations applies the
dictionary and its transpose t times, the first time to a code of zeros. These are the paper's units; counted strictly,
LISTA of T iterations takes as many products as FISTA of T + 1, and `LISTA(steps=T + 1)` is its class here.

For every T a network is trained of its own. Errors are those of patches of photographs from which nothing was learned,
relative to the optimal codes: Σ‖z − z*‖² / Σ‖z*‖², and (E(z) − E(z*)) / E(z*) of mean energies.

The patches are whitened, which the paper's may not have been: their dictionaries are better conditioned, and FISTA is
faster on them.

References
----------
Gregor, LeCun, "Learning fast approximations of sparse coding", ICML 2010, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.coding import PreparedDictionary, certify, find_sparsity, fista, infer
from striate.encoders import LISTA
from striate.experiments.drawing import new_canvas, save_canvas
from striate.experiments.experiment import Scale
from striate.experiments.figure import Figure, Measurement, above, over
from striate.experiments.results import Results
from striate.experiments.sparse_coding_natural_patches import natural_patches
from striate.experiments.unit import Context, Settings, Unit
from striate.images import as_images, load_digits, sample_patches, to_grey, whiten
from striate.learning import SparseCoding

NAME = "lista-vs-fista"
CLAIM = "An iteration whose matrices are learned comes as near to optimal sparse codes as many iterations of FISTA."
DATA = {"quick": (), "full": ("berkeley",)}

PAPER = "Gregor & LeCun 2010, as remembered; no copy of the curve was at hand"
ITERATIONS = {"quick": (1, 3), "full": (1, 2, 3, 5, 7, 10, 20)}
OTHER_ITERATIONS = (1, 3, 7)  # where another share of the units is active
ACTIVE = 0.1
OTHER_ACTIVE = {"quick": (), "full": (0.05, 0.2)}
SIZES = {"quick": {"small": 32, "large": 64}, "full": {"small": 100, "large": 400}}
UNITS = {"small": "100 units", "large": "400 units"}  # as the figures are declared
FISTA_ITERATIONS = {
    "quick": (*range(1, 11), 14, 20, 28, 40),
    "full": (*range(1, 21), 22, 25, 28, 32, 36, 40, 45, 50, 57, 64, 72, 80, 90, 100, 120, 140, 170, 200),
}
KEPT = (1.0, 0.5, 0.2, 0.1, 0.05)  # of the inhibition, in the order in which they are trained
PRUNED_AT = 3
TOLERANCE = 1e-6


def equivalent_iterations(curve: Sequence[Sequence[float]], error: float) -> float:
    """Iterations after which a solver's code error is `error`, between two of them by interpolating logarithms.

    Parameters
    ----------
    curve : sequence of (iterations, code error, ...)
        By growing iterations.
    error : float

    Returns
    -------
    float
        The first iterations where all of the curve is below, the last where none of it is.
    """
    previous: tuple[float, float] | None = None
    for iterations, reached, *_ in curve:
        if reached <= error:
            if previous is None:
                return float(iterations)
            ratio = np.log(previous[1] / error) / np.log(previous[1] / max(reached, 1e-300))
            return float(previous[0] * (iterations / previous[0]) ** ratio)
        previous = float(iterations), reached
    return float(curve[-1][0])


def _lista(results: Results, size: str, iterations: int, key: str = "code error", active: float = ACTIVE) -> float:
    found = results.select(method="lista", size=size, iterations=iterations, active=active).column(key)
    return float(found[0])


def _fista(results: Results, size: str, active: float = ACTIVE) -> list[tuple[float, float, float]]:
    """Iterations, code error, energy excess."""
    found: list[tuple[float, float, float]] = results.select(method="fista", size=size, active=active).column("curve")[
        0
    ]
    return found


def _fista_error(results: Results, size: str, iterations: int, active: float = ACTIVE) -> float:
    return next(error for t, error, _ in _fista(results, size, active) if t == iterations)


def _equivalent(size: str, active: float = ACTIVE) -> Callable[[Results], float]:
    return lambda results: equivalent_iterations(_fista(results, size, active), _lista(results, size, 1, active=active))


def _gain_of_size(results: Results) -> Measurement:
    return above([_equivalent("large")(results) / _equivalent("small")(results)], 1)


def largest_below(ratios: Sequence[float], bound: float) -> Measurement:
    """The largest of the ratios, which holds where it is below the bound."""
    return replace(over([max(ratios)]), held=bool(max(ratios) < bound))


def _falls(size: str) -> Callable[[Results], Measurement]:
    """The largest ratio of an error to that of the next fewer iterations."""

    def measure(results: Results) -> Measurement:
        ratios = []
        for active, iterations in _trained(results, size):
            errors = [_lista(results, size, t, active=active) for t in iterations]
            ratios += [after / before for before, after in pairwise(errors)]
        return largest_below(ratios, 1)

    return measure


def _error_over_fista(results: Results) -> Measurement:
    ratios = [
        _lista(results, size, t, active=active) / _fista_error(results, size, t, active)
        for size in UNITS
        for active, iterations in _trained(results, size)
        for t in iterations
    ]
    return largest_below(ratios, 1)


def _trained(results: Results, size: str) -> Iterator[tuple[float, list[int]]]:
    """The shares of active units, and for each the iterations that networks were trained for."""
    of_size = results.select(method="lista", size=size)
    for active in dict.fromkeys(unit.settings["active"] for unit in of_size):
        yield active, sorted(unit.settings["iterations"] for unit in of_size.select(active=active))


def _error_at_seven(size: str) -> Callable[[Results], float]:
    """Over FISTA's after as many iterations: 7, or 3 where FISTA's is below 2 % at 7."""

    def measure(results: Results) -> float:
        t = 7 if _fista_error(results, size, 7) >= 0.02 else 3
        return _lista(results, size, t) / _fista_error(results, size, t)

    return measure


def _error_when_pruned(results: Results) -> float:
    errors = dict(results.select(method="pruned").column("errors")[0])
    return float(errors[0.2] / errors[1.0])


def _figures_of(size: str, published: float) -> tuple[Figure, ...]:
    units = UNITS[size]
    return (
        Figure(
            what=f"iterations of FISTA that come as near as one of LISTA, {units}",
            better="higher",
            published=published,
            source=PAPER,
            goal=5.0,
            measure=_equivalent(size),
        ),
        Figure(
            what=f"largest ratio of LISTA's code error to that of fewer iterations, {units}",
            better="lower",
            predicate="below 1: the error falls with the iterations",
            measure=_falls(size),
        ),
        Figure(
            what=f"energy of LISTA of 7 iterations above the optimum, {units}",
            unit="%",
            better="lower",
            goal=5.0,
            measure=lambda results: 100 * _lista(results, size, 7, "energy excess"),
        ),
        Figure(
            what=f"code error of LISTA over FISTA's, 7 iterations (3 where FISTA's is below 2 % at 7), {units}",
            better="lower",
            goal=1 / 3,
            measure=_error_at_seven(size),
        ),
    )


FIGURES = (
    *_figures_of("small", 18.0),
    *_figures_of("large", 35.0),
    Figure(
        what="iterations of FISTA that come as near as one of LISTA, 400 units over 100",
        better="higher",
        predicate="above 1: more where there are more units",
        measure=_gain_of_size,
    ),
    Figure(
        what="largest ratio of LISTA's code error to FISTA's of as many iterations",
        better="lower",
        predicate="below 1: nearer at both sizes, with 5, 10 and 20 % active, at every number of iterations",
        measure=_error_over_fista,
    ),
    Figure(
        what="code error with the strongest 20 % of the inhibition over that with all, 400 units, 3 iterations",
        better="lower",
        goal=1.1,
        measure=_error_when_pruned,
    ),
)


def units(scale: Scale) -> list[Unit]:
    """FISTA and a network for each T, for both sizes and each share of active units; and the pruned networks."""
    batches = 3000 if scale == "full" else 60
    made = []
    for size, n in SIZES[scale].items():
        for active in (ACTIVE, *OTHER_ACTIVE[scale]):
            common = {"size": size, **problem_settings(scale, n, active)}
            title = f"{n} units, {100 * active:g} % active"
            made.append(Unit(f"FISTA, {title}", {"method": "fista", **common}, follow_fista))
            for iterations in ITERATIONS[scale] if active == ACTIVE else OTHER_ITERATIONS:
                settings = {"method": "lista", "iterations": iterations, "batches": batches, **common}
                made.append(Unit(f"LISTA, {title}, T = {iterations}", settings, train_network))
    n = SIZES[scale]["large"]
    common = {"size": "large", **problem_settings(scale, n, ACTIVE)}
    settings = {"method": "pruned", "iterations": PRUNED_AT, "batches": batches, "kept": KEPT, **common}
    made.append(Unit(f"pruned LISTA, {n} units, T = {PRUNED_AT}", settings, prune_network, expected_seconds=150.0))
    return made


def problem_settings(scale: Scale, n_components: int, active: float) -> dict[str, Any]:
    """What `make_problem` asks for."""
    full = scale == "full"
    return {
        "n_components": n_components,
        "active": active,
        "side": 10 if full else 8,
        "dictionary_patches": 50_000 if full else 1000,
        "dictionary_batches": 400 if full else 20,
        "n_patches": 150_000 if full else 1500,
        "n_held_out": 5000 if full else 500,
    }


@dataclass(frozen=True)
class Problem:
    """A dictionary with its sparsity, patches and their optimal codes.

    Parameters
    ----------
    dictionary : PreparedDictionary
    sparsity : float
    patches : ndarray (n_samples, n_features)
        For networks to learn from; none of them taught the dictionary.
    held_out : ndarray (n_held_out, n_features)
        Of photographs from which nothing was learned.
    optimal : ndarray (n_held_out, n_components)
        Their codes.
    gap : float
        The largest duality gap of these, relative.
    """

    dictionary: PreparedDictionary
    sparsity: float
    patches: NDArray[np.float32]
    held_out: NDArray[np.float32]
    optimal: NDArray[np.float32]
    gap: float

    @cached_property
    def codes(self) -> Any:
        """The optimal codes of `patches`, a csr_array (n_samples, n_components)."""
        return infer(self.patches, self.dictionary, self.sparsity, tolerance=TOLERANCE, sparse_output=True)

    def errors(self, codes: NDArray[Any]) -> tuple[float, float]:
        """The code error and the energy excess of codes of the held-out patches, both relative."""
        distance = np.square(codes - self.optimal, dtype=np.float64).sum()
        size = np.square(self.optimal, dtype=np.float64).sum()
        lowest = self._energy(self.optimal)
        return round(float(distance / size), 7), round(self._energy(codes) / lowest - 1, 7)

    def facts(self) -> dict[str, float]:
        """What says how hard it is."""
        return {
            "sparsity": self.sparsity,
            "active fraction": float(np.mean(self.optimal != 0)),
            "largest relative gap": self.gap,
            "mean squared norm of a code": float(np.square(self.optimal).sum(axis=1).mean()),
            "largest eigenvalue": self.dictionary.largest_eigenvalue,
        }

    def _energy(self, codes: NDArray[Any]) -> float:
        proof = certify(self.held_out, codes, self.dictionary.components, self.sparsity)
        return float(proof.objective.mean())


def make_problem(settings: Settings, context: Context) -> Problem:
    """Learn a dictionary, fix the sparsity that leaves the share of units active, and code the held-out patches."""
    side, n_first = settings["side"], settings["dictionary_patches"]
    drawn = natural_patches(context, side, n_first + settings["n_patches"])
    first, patches = drawn[:n_first], drawn[n_first:]
    held_out = held_out_patches(context, side, settings["n_held_out"])
    learner = SparseCoding(
        settings["n_components"],
        active_fraction=settings["active"],
        max_batches=settings["dictionary_batches"],
        random_state=0,
    ).fit(first, progress=context.progress)
    dictionary = PreparedDictionary(learner.components_)
    sparsity = find_sparsity(
        first[:2000], dictionary, settings["active"], low=learner.sparsity_ / 2, high=2 * learner.sparsity_, n_steps=9
    )
    found = infer(held_out, dictionary, sparsity, tolerance=TOLERANCE, info=True)
    return Problem(dictionary, sparsity, patches, held_out, found.codes, float(found.relative_gap.max()))


def held_out_patches(context: Context, side: int, n: int) -> NDArray[np.float32]:
    """Patches of other photographs than those of `natural_patches`, prepared alike."""
    if context.scale == "full":
        images = as_images(context.data("berkeley") / "val")
    else:
        digits, _ = load_digits()
        images = as_images(digits[5::10])
    rng = np.random.default_rng(1)
    rows = sample_patches(images, n, side, random_state=rng, min_std=0.3, prepare=lambda image: whiten(to_grey(image)))
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / rows.std()


def follow_fista(settings: Settings, context: Context) -> dict[str, Any]:
    """Errors of FISTA after 1, 2, 3, … iterations from zeros, with the step that the largest eigenvalue allows."""
    problem = make_problem(settings, context)
    curve = []
    for iterations in FISTA_ITERATIONS[context.scale]:
        codes = fista(problem.held_out, problem.dictionary.components, problem.sparsity, steps=iterations)
        curve.append((iterations, *problem.errors(codes)))
    return {"curve": curve} | problem.facts()


def train_network(settings: Settings, context: Context) -> dict[str, Any]:
    """Errors of LISTA of T iterations, trained from those of ISTA."""
    problem = make_problem(settings, context)
    error, excess = problem.errors(_trained_network(problem, settings, context).encode(problem.held_out))
    return {"code error": error, "energy excess": excess} | problem.facts()


def prune_network(settings: Settings, context: Context) -> dict[str, Any]:
    """The code error with shares of the inhibition, each trained as long again after the others were removed."""
    problem = make_problem(settings, context)
    dense = _trained_network(problem, settings, context)
    errors = []
    for kept in settings["kept"]:
        pruned = _fit(dense.prune(kept), problem, settings, context)
        errors.append((kept, problem.errors(pruned.encode(problem.held_out))[0]))
    return {"errors": errors, "trained once": problem.errors(dense.encode(problem.held_out))[0]} | problem.facts()


def _trained_network(problem: Problem, settings: Settings, context: Context) -> LISTA:
    start = LISTA.from_dictionary(problem.dictionary, problem.sparsity, settings["iterations"] + 1)
    return _fit(start, problem, settings, context)


def _fit(encoder: LISTA, problem: Problem, settings: Settings, context: Context) -> LISTA:
    return encoder.fit(
        problem.patches,
        problem.codes,
        n_batches=settings["batches"],
        learning_rate=0.03,
        random_state=0,
        progress=context.progress,
    )


def draw(results: Results, path: Path) -> None:
    """Code error and energy against iterations at both sizes, and code error against what is kept of the inhibition."""
    canvas = new_canvas(13.5, 8.2)
    places = canvas.subplots(2, 3)
    colors = {0.05: "#b3541e", ACTIVE: "#2a7f4f", 0.2: "#4c5f8a"}
    names = {unit.settings["size"]: unit.settings["n_components"] for unit in results}
    for column, size in enumerate(UNITS):
        for row, (which, label) in enumerate(((1, "code error, relative"), (2, "energy above the optimum, relative"))):
            axes = places[row][column]
            for active, iterations in _trained(results, size):
                style = {"color": colors[active], "linewidth": 1.4, "markersize": 4}
                key = ("code error", "energy excess")[which - 1]
                learned = [_lista(results, size, t, key, active) for t in iterations]
                axes.loglog(iterations, learned, marker="o", label=f"LISTA, {100 * active:g} % active", **style)
                curve = [point for point in _fista(results, size, active) if point[which] > 0]
                axes.loglog(
                    [point[0] for point in curve],
                    [point[which] for point in curve],
                    linestyle="--",
                    label=f"FISTA, {100 * active:g} % active",
                    **style,
                )
            axes.set_title(f"{names[size]} units", fontsize=10)
            axes.set_xlabel("iterations")
            axes.set_ylabel(label)
            axes.legend(fontsize=8, frameon=False)
    (pruned,) = results.select(method="pruned").column("errors")
    kept = [share for share, _ in pruned]
    dense = dict(pruned)[1.0]
    axes, nothing = places[0][2], places[1][2]
    axes.semilogx([100 * share for share in kept], [error / dense for _, error in pruned], marker="o", color="#2a7f4f")
    axes.axhline(1.1, color="#888888", linewidth=0.8, linestyle=":")
    axes.set_xticks([100 * share for share in kept], [f"{100 * share:g}" for share in kept])
    axes.minorticks_off()
    axes.set_title(f"{names['large']} units, T = {PRUNED_AT}", fontsize=10)
    axes.set_xlabel("kept of the inhibition, %")
    axes.set_ylabel("code error over that with all")
    nothing.set_axis_off()
    save_canvas(canvas, path)
