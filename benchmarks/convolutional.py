"""Convolutional sparse codes of the same images, as near to the optimum: python benchmarks/convolutional.py.

Filters of 9×9 are learned from patches of Berkeley's training images, and code a validation image behind local contrast
normalization, once as a square of 143×143 and once as a whole; filters of 28×28 are pieces of the photograph that they
code, as in the published comparison of dicodile. float32 and two threads for everybody. striate stops at a certified
relative gap. A peer has reached it when its objective exceeds the optimum, which is computed beforehand, by no more: it
is told what it could not know, and stops early. Each runs at its fastest setting, with as many iterations as it needs,
and is left out of a row where no setting is there in two minutes.

Filters are learned from crops of Berkeley's training images, by sporco's online learner one after another, once.
striate begins with the same noise, and stops after the batch at which its filters are as good: at which the objective
of validation images, with optimal codes, is no higher than for those of sporco.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from _harness import Harness

from encoders import kept
from striate import ConvolutionalSparseCoding, SparseCoding, threads
from striate.coding import PreparedFilters, certify_convolutional, infer_convolutional
from striate.images import as_images, data_folder, local_contrast_normalization, sample_patches, to_grey

SPARSITIES = (0.3, 0.1, 0.05)  # of the largest correlation
GAPS = (1e-2, 1e-4)
SIDE, N_MAPS, N_PATCHES = 9, 64, 50_000
LARGE_SIDE, N_LARGE = 28, 36
CROP = 143
GOAL = 0.2  # of the time of sporco's fastest
LEARNING_GOAL = 0.3  # of the time of sporco's online learner
LEARNING_CROP, N_LEARNED_FROM, N_VALIDATED = 96, 200, 20
LEARNING_SPARSITY = 2.0  # about one coefficient in ten positions
BATCH = 4
# Of sporco's online learner: its penalty over λ, and its iterations for each image. Chosen on 80 crops of 64×64 of
# training images, by the objective of others after one pass, 594 in 3 s of a core. Its own example, 50 iterations and a
# penalty that adapts, has 610 in 30 s; 25 λ and 3, 10 or 20 iterations have 602, 596 and 601 in 2, 6 and 11 s; 50 λ and
# 5 have 599 in 3 s; 10 λ and 10 have 603 in 6 s. Its step, 10 / (20 + n) as in the example, is within 1 of the best.
SPORCO_PENALTY, SPORCO_ITERATIONS = 25.0, 5
LONGEST = 120.0  # seconds of a run of a peer
PAUSE = 0.05  # in which idle threads of the one before fall asleep

Code = Callable[[], np.ndarray]


class Problem(NamedTuple):
    """An image (height, width), filters, and the sparsity."""

    image: np.ndarray
    filters: PreparedFilters
    sparsity: float
    positive: bool

    def objective(self, codes: Any) -> float:
        """The objective of codes, in double precision."""
        proof = certify_convolutional(self.image, codes, self.filters, self.sparsity, positive=self.positive)
        return float(proof.objective[0])

    def optimum(self) -> float:
        """The least objective, to a relative gap of 1e-6."""
        return self.objective(striate_coder(self, 1e-6)())


def main() -> None:
    """Every workload, from the shortest on."""
    question = "Convolutional sparse codes of the same image, as near to the optimum."
    harness = Harness("convolutional", question, repetitions=3)
    warnings.simplefilter("ignore")
    with threads.limit(2):
        for name, problem, gap in workloads():
            compare(harness, f"{name}, gap {gap:g}", problem, gap)
        compare_learning(harness)
    harness.finish()


# ---- data ----------------------------------------------------------------------------------------------------------


def normalized(image: np.ndarray) -> np.ndarray:
    """Grey, behind local contrast normalization."""
    return local_contrast_normalization(to_grey(image))


def learned_filters() -> np.ndarray:
    """Units of a dictionary for patches, (N_MAPS, SIDE, SIDE)."""

    def learn() -> dict[str, np.ndarray]:
        photographs = as_images(data_folder("berkeley") / "train")
        patches = sample_patches(photographs, N_PATCHES, SIDE, random_state=0, prepare=normalized).astype(np.float32)
        return {"components": SparseCoding(N_MAPS, random_state=0).fit(patches).components_}

    return kept("convolutional filters", learn)["components"].reshape(N_MAPS, SIDE, SIDE)


def workloads() -> Iterator[tuple[str, Problem, float]]:
    """Name, problem and relative gap."""
    filters = PreparedFilters(learned_filters())
    photograph = as_images(data_folder("berkeley") / "val")[0]
    whole = normalized(photograph).reshape(photograph.shape[-2:]).astype(np.float32)
    crop = np.ascontiguousarray(whole[100 : 100 + CROP, 100 : 100 + CROP])
    for gap in GAPS:
        for share in SPARSITIES:
            yield f"{CROP}×{CROP}, 64 of 9×9, {share} λ_max", scaled(crop, filters, share), gap
    yield f"{whole.shape[0]}×{whole.shape[1]}, 64 of 9×9, 0.1 λ_max", scaled(whole, filters, 0.1), 1e-2
    from skimage import data

    photograph = data.camera().astype(np.float32) / 255
    pieces = sample_patches([photograph], N_LARGE, LARGE_SIDE, random_state=0, min_std=0.05)
    pieces = pieces.reshape(N_LARGE, -1) - pieces.reshape(N_LARGE, -1).mean(axis=1, keepdims=True)
    pieces /= np.linalg.norm(pieces, axis=1, keepdims=True)
    large = PreparedFilters(pieces.reshape(N_LARGE, LARGE_SIDE, LARGE_SIDE).astype(np.float32))
    yield "512×512, 36 of 28×28, positive, 0.1 λ_max", scaled(photograph - photograph.mean(), large, 0.1, True), 1e-2


def scaled(image: np.ndarray, filters: PreparedFilters, share: float, positive: bool = False) -> Problem:
    """A problem whose sparsity is a share of the least at which the code is empty."""
    correlations = filters.correlate(image)
    return Problem(image, filters, share * float((correlations if positive else np.abs(correlations)).max()), positive)


# ---- contestants ---------------------------------------------------------------------------------------------------


def striate_coder(problem: Problem, gap: float, method: Any = "active_set") -> Code:
    """Codes of striate, to a gap."""
    return lambda: infer_convolutional(  # type: ignore[no-any-return]
        problem.image, problem.filters, problem.sparsity, positive=problem.positive, tolerance=gap, method=method
    )


def sporco_pgm(problem: Problem) -> Iterator[tuple[str, Callable[[int], Code]]]:
    """Sporco's proximal gradient method with the exact step; filters do not cross the border."""
    from sporco.pgm import cbpdn

    def coder(n: int) -> Code:
        options = cbpdn.ConvBPDN.Options(
            sporco_options(problem, n) | {"L": problem.filters.largest_eigenvalue}
        )  # fmt: skip
        return lambda: cropped(cbpdn.ConvBPDN(filters_last(problem), problem.image, problem.sparsity, options), problem)

    yield "exact step", coder


def sporco_admm(problem: Problem) -> Iterator[tuple[str, Callable[[int], Code]]]:
    """Sporco's ADMM with its own penalty, which adapts, and with fixed ones."""
    from sporco.admm import cbpdn

    def family(more: dict[str, Any]) -> Callable[[int], Code]:
        def coder(n: int) -> Code:
            options = cbpdn.ConvBPDN.Options(sporco_options(problem, n) | more)
            return lambda: cropped(
                cbpdn.ConvBPDN(filters_last(problem), problem.image, problem.sparsity, options), problem
            )

        return coder

    yield "adaptive", family({"AutoRho": {"Enabled": True}})
    for times in (10, 50, 250):
        yield f"rho {times} λ", family({"rho": times * problem.sparsity, "AutoRho": {"Enabled": False}})


def sporco_options(problem: Problem, n: int) -> dict[str, Any]:
    """As many iterations, the same problem, and no statistics beside the way."""
    return {
        "Verbose": False, "FastSolve": True, "MaxMainIter": n, "RelStopTol": 0.0, "NoBndryCross": True,
        "NonNegCoef": problem.positive,
    }  # fmt: skip


def filters_last(problem: Problem) -> np.ndarray:
    """The filters as sporco takes them, (height, width, n_maps)."""
    return np.ascontiguousarray(problem.filters.filters[:, 0].transpose(1, 2, 0))


def cropped(solver: Any, problem: Problem) -> np.ndarray:
    """Solve, and return the maps at positions where filters lie inside the image; those of ADMM's sparse variable."""
    solver.solve()
    maps = np.asarray(solver.Y if "admm" in type(solver).__module__ else solver.X).squeeze().transpose(2, 0, 1)
    height, width = problem.image.shape
    return np.ascontiguousarray(maps[:, : height - problem.filters.height + 1, : width - problem.filters.width + 1])


def torch_fista(problem: Problem) -> Iterator[tuple[str, Callable[[int], Code]]]:
    """FISTA by torch's convolutions, with the exact step."""
    import torch

    torch.set_num_threads(2)
    filters = torch.from_numpy(problem.filters.filters.copy())
    image = torch.from_numpy(problem.image)[None, None]
    step = 1 / problem.filters.largest_eigenvalue

    def coder(n: int) -> Code:
        def run() -> np.ndarray:
            code = torch.zeros_like(torch.nn.functional.conv2d(image, filters))
            ahead, momentum = code, 1.0
            for _ in range(n):
                residual = image - torch.nn.functional.conv_transpose2d(ahead, filters)
                moved = ahead + step * torch.nn.functional.conv2d(residual, filters)
                new = torch.nn.functional.softshrink(moved, step * problem.sparsity)
                new = new.clamp_(min=0) if problem.positive else new
                after = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
                ahead, code, momentum = new + (momentum - 1) / after * (new - code), new, after
            return np.asarray(code[0].numpy())

        return run

    yield "exact step", coder


PEERS = {"torch FISTA": torch_fista, "sporco PGM": sporco_pgm, "sporco ADMM": sporco_admm}


def fastest(
    peer: Callable[[Problem], Iterator[tuple[str, Callable[[int], Code]]]],
    problem: Problem,
    objective: float,
) -> tuple[str, Code] | None:
    """The setting that reaches an objective soonest, with the fewest iterations in steps of a half; None if none does.

    Numbers of iterations are followed while one run takes at most `LONGEST` seconds.
    """
    best: tuple[str, Code] | None = None
    shortest = LONGEST
    for setting, coder in peer(problem):
        n, seconds = 10, 0.0
        coder(1)()  # plans, threads
        while seconds < shortest:
            code = coder(n)
            start = time.perf_counter()
            maps = code()
            seconds = time.perf_counter() - start
            if problem.objective(maps) <= objective:
                if seconds < shortest:
                    best, shortest = (f"{setting}, {n} iterations", code), seconds
                break
            n = int(1.5 * n)
    return best


def compare(harness: Harness, name: str, problem: Problem, gap: float) -> None:
    """All contestants on one problem."""
    ours = striate_coder(problem, gap)
    codes = ours()
    objective = problem.optimum() + gap * 0.5 * float((problem.image.astype(np.float64) ** 2).sum())
    contestants: dict[str, Code] = {"striate": ours}
    settings: dict[str, str] = {}
    for peer, coders in PEERS.items():
        try:
            found = fastest(coders, problem, objective)
        except ImportError as error:
            print(f"    {peer} is left out: {error}")
            continue
        if found is None:
            print(f"    {peer} does not reach the objective in {LONGEST:g} s")
            continue
        settings[peer], contestants[peer] = found

    def check(returned: Any) -> None:
        for peer, maps in returned.items():
            found = problem.objective(maps)
            assert found <= objective * (1 + 1e-6), f"{peer} has an objective of {found}, and not {objective}"

    timings = harness.alternate(contestants, pause=PAUSE, check=check)
    of_sporco = [timings.median(peer) for peer in settings if re.match("sporco", peer)]
    harness.report(
        name, timings, reference="striate", goals={"striate": GOAL * min(of_sporco)} if of_sporco else None,
        relative_gap=gap, objective=objective, active=float(np.mean(codes != 0)), settings=settings,
    )  # fmt: skip


# ---- learning ------------------------------------------------------------------------------------------------------


def crops(part: str, n: int) -> np.ndarray:
    """One crop of each of the first photographs, (n, 1, LEARNING_CROP, LEARNING_CROP)."""
    rng = np.random.default_rng(0)
    found = []
    for photograph in list(as_images(data_folder("berkeley") / part).subset(range(n))):
        image = normalized(photograph)
        row, column = (int(rng.integers(length - LEARNING_CROP + 1)) for length in image.shape[1:])
        found.append(image[:, row : row + LEARNING_CROP, column : column + LEARNING_CROP])
    return np.stack(found).astype(np.float32)


def sporco_learner(images: np.ndarray, start: np.ndarray) -> Callable[[], np.ndarray]:
    """Filters of sporco's online learner at its best settings, after each image once."""
    from sporco.dictlrn import onlinecdl

    options = onlinecdl.OnlineConvBPDNDictLearn.Options({
        "Verbose": False, "ZeroMean": False, "eta_a": 10.0, "eta_b": 20.0, "DataType": np.float32,
        "CBPDN": {
            "rho": SPORCO_PENALTY * LEARNING_SPARSITY, "AutoRho": {"Enabled": False}, "RelaxParam": 1.8,
            "MaxMainIter": SPORCO_ITERATIONS, "FastSolve": True,
        },
    })  # fmt: skip

    def learn() -> np.ndarray:
        first = np.ascontiguousarray(start[:, 0].transpose(1, 2, 0))
        learner = onlinecdl.OnlineConvBPDNDictLearn(first, LEARNING_SPARSITY, options)
        for image in images[:, 0]:
            learner.solve(image)
        return np.ascontiguousarray(learner.getdict().squeeze().transpose(2, 0, 1))

    return learn


def compare_learning(harness: Harness) -> None:
    """Sporco's online learner, and striate as long as it takes to be as good."""
    images, validation = crops("train", N_LEARNED_FROM), crops("val", N_VALIDATED)
    start = np.random.default_rng(0).standard_normal((N_MAPS, 1, SIDE, SIDE)).astype(np.float32)
    start /= np.sqrt(np.square(start).sum(axis=(1, 2, 3), keepdims=True))

    def objective(filters: Any) -> float:
        found = infer_convolutional(validation, filters, LEARNING_SPARSITY, sparse_output=True, info=True)
        return float(found.objective.mean())

    try:
        theirs = sporco_learner(images, start)
    except ImportError as error:
        print(f"    learning is left out: {error}")
        return
    reached = objective(theirs())

    def learn(stop: Callable[[Any], bool]) -> np.ndarray:
        learner = ConvolutionalSparseCoding(
            N_MAPS,
            SIDE,
            sparsity=LEARNING_SPARSITY,
            start=start,
            batch_size=BATCH,
            validation_fraction=0,
            random_state=0,
        ).fit(images, callback=stop)
        filters: np.ndarray = learner.components_
        return filters

    n_batches = 0

    def is_as_good(learner: Any) -> bool:
        nonlocal n_batches
        n_batches = learner.n_batches_
        return objective(learner.components_) <= reached

    ours = objective(learn(is_as_good))
    contestants: dict[str, Callable[[], np.ndarray]] = {
        "striate": lambda: learn(lambda learner: learner.n_batches_ >= n_batches),
        "sporco online": theirs,
    }
    timings = harness.alternate(contestants, warm_up=0, pause=PAUSE)
    harness.report(
        f"learning {N_MAPS} of {SIDE}×{SIDE} from {N_LEARNED_FROM} crops of {LEARNING_CROP}×{LEARNING_CROP}", timings,
        reference="striate", goals={"striate": LEARNING_GOAL * timings.median("sporco online")},
        objectives={"striate": ours, "sporco online": reached}, n_batches=n_batches, sparsity=LEARNING_SPARSITY,
    )  # fmt: skip


if __name__ == "__main__":
    main()
