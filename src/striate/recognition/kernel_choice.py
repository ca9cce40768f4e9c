"""Kernel, weight decay and temperature by cross-validation, and the fit with them, on rows that many fits share.

With fewer than five labels per class the choice would be noise. A prior decides instead: a linear kernel, features
that are not split, and a weight decay of 1e-5. It was found on validation images with 1 to 4 labels per class (means
of 3 to 10 draws), on filters of two stages, whitened patches and pixels, of digits and of photographs of 32×32 pixels
(20 classes of Caltech-101). The decay was at most 0.1 points less accurate than cross-validation, and up to 1.5 points
more. The linear kernel was as good as the best Gaussian one or better, and splitting cost 0.5 to 3 points, but for two
of the six: on pixels of photographs a Gaussian kernel was 1.4 and splitting 3 points better, on their patches
splitting −0.5 to 0.7.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.recognition.feature_space import FeatureSpace, Standardization
from striate.recognition.gaussian_kernel import GaussianKernel, GaussianMap, n_axes_of_map
from striate.recognition.landmarks import LandmarkSpace
from striate.recognition.least_squares import DECAYS, calibrated_losses, judged_scores, solve_least_squares
from striate.recognition.metrics import exceeds_its_error
from striate.recognition.sample_space import SampleCoordinates, SampleSpace
from striate.recognition.splits import hold_out_fraction
from striate.recognition.weight_decay import (
    THREE_FOLDS_BELOW,
    CrossValidation,
    HeldOut,
    cross_validate,
    held_out_samples,
    solve,
)

__all__ = ["LARGEST_KERNEL", "SQUARES_PRIOR", "Fit", "Options", "candidate_spaces", "fit_rows", "uses_squares"]

_FEW = 5  # labels per class, on average; with fewer, the prior decides
_PRIOR = 1e-5
SQUARES_PRIOR = 1e-2  # for least squares; accuracies of 1e-3 and 1e-1 were within 0.5 points
_CHOSEN_BY = 2_000  # samples by which least squares chooses
LARGEST_KERNEL = 10_000  # samples; above, the n × n matrix takes more than 400 MB


class Options(Protocol):
    """The parameters of `SoftmaxClassifier` that a fit uses."""

    kernel: Literal["linear", "gaussian", "auto"]
    widths: Sequence[float]
    standardize: bool | Literal["together"]
    split: bool | Literal["auto"]
    weight_decay: float | Literal["auto"]
    weight_decays: Sequence[float]
    loss: Literal["cross-entropy", "squares", "auto"]
    n_folds: int | Literal["auto"]
    calibrate: bool
    max_iterations: int
    tolerance: float
    random_state: RandomState


class Fit(NamedTuple):
    """The result of `fit_rows`.

    Attributes
    ----------
    space : SampleSpace, FeatureSpace or LandmarkSpace
        The one that was chosen.
    gaussian : GaussianKernel or None
        The kernel, unless it is the linear one.
    coefficients : (n + 1, n_classes) or (n_columns + 1, n_classes)
        For a `SampleSpace`, the matrix A that multiplies the kernel with the training samples; for a `FeatureSpace`,
        the weights of the standardized features; for a `LandmarkSpace`, what multiplies the kernel with the landmarks.
        The last row is the intercept.
    of_landmarks : GaussianMap or None
        That kernel.
    """

    space: SampleSpace | FeatureSpace | LandmarkSpace
    gaussian: GaussianKernel | None
    coefficients: NDArray
    weight_decay: float
    temperature: float
    results: list[dict[str, Any]]
    n_iterations: int
    of_landmarks: GaussianMap | None = None


def candidate_spaces(
    features: Any, options: Options, n_classes: int, *, by_samples: bool = False
) -> list[SampleSpace | FeatureSpace | LandmarkSpace]:
    """The spaces among which `fit_rows` chooses, from simple to less simple.

    Parameters
    ----------
    features : float16, float32 or float64 (n_samples, n_features)
    options : Options
    n_classes : int
    by_samples : bool
        Always compute inner products of samples, even if there are fewer features than samples, and never project
        them: for many fits of which no one is kept.

    Raises
    ------
    UsageError
        For a linear kernel with least squares, or a Gaussian one with cross-entropy, of more than 10,000 samples.
    """
    n_samples = len(features)
    fits = n_samples <= LARGEST_KERNEL
    by_squares = uses_squares(options, n_samples)
    if options.kernel == "gaussian" and options.loss == "cross-entropy" and not fits:
        raise UsageError(
            f'a Gaussian kernel with loss="cross-entropy" takes at most {LARGEST_KERNEL:,} samples, not '
            f'{n_samples:,}; use loss="auto", which is then least squares on landmarks'
        )
    if by_squares and options.kernel != "gaussian" and not fits:
        raise UsageError(
            f'loss="squares" takes at most {LARGEST_KERNEL:,} samples, not {n_samples:,}, unless kernel="gaussian"; '
            'use "auto", which is then "cross-entropy" for a linear kernel'
        )
    is_decided = n_samples < _FEW * n_classes  # all later ones would be left out
    spaces: list[SampleSpace | FeatureSpace | LandmarkSpace] = []
    plain: SampleSpace | None = None
    if options.kernel != "gaussian":
        for split in (False, True) if options.split == "auto" else (options.split,):
            if spaces and is_decided:
                break
            standardization = Standardization(features, scale=options.standardize, split=split)
            if by_samples or by_squares or (fits and standardization.n_columns > n_samples):
                of_samples = SampleSpace(features, standardization)
                spaces.append(of_samples)
                plain = plain if split else of_samples
            else:
                spaces.append(FeatureSpace(features, standardization))
    if options.kernel != "linear" and fits and not (spaces and is_decided):
        if plain is None:
            plain = SampleSpace(features, Standardization(features, scale=options.standardize))
        n_axes = None if by_samples else n_axes_of_map(*features.shape)
        if n_axes is not None:
            plain = plain.projected(n_axes)
        widths = sorted(options.widths, reverse=True)
        spaces.extend(plain.with_width(float(width)) for width in (widths[:1] if is_decided else widths))
    if options.kernel != "linear" and options.loss != "cross-entropy" and not fits and not (spaces and is_decided):
        known = (space.standardization for space in spaces if not space.standardization.split)
        standardization = next(known, None) or Standardization(features, scale=options.standardize)
        spaces.append(LandmarkSpace(features, standardization))
    return spaces


def fit_rows(
    spaces: Sequence[SampleSpace | FeatureSpace | LandmarkSpace],
    rows: NDArray[np.integer],
    labels: NDArray[np.integer],
    n_classes: int,
    options: Options,
    *,
    groups: NDArray[np.integer] | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Fit to some samples of spaces, so that many fits on the same features share their computations.

    Parameters
    ----------
    spaces : sequence of SampleSpace, FeatureSpace or LandmarkSpace
        As from `candidate_spaces`. A space replaces an earlier one if its held-out cross-entropy after calibration is
        lower by more than a standard error of the paired difference. The first is taken if there are fewer than
        five labels per class.
    rows : integer (n,)
        The training samples, as rows of the spaces.
    labels : integer (n,)
        In 0 … n_classes − 1, each class at least once.
    n_classes : int
    options : Options
        A `SoftmaxClassifier`, which need not be fitted, and is not changed.
    groups : integer (n,), optional
        Samples of one group, such as an image and its mirror image, are of one class. They are held out together, and
        count as one label.
    progress : Progress, optional
    """
    from sklearn.exceptions import ConvergenceWarning

    dense = [space for space in spaces if not isinstance(space, LandmarkSpace)]
    of_landmarks = [space for space in spaces if isinstance(space, LandmarkSpace)]
    if uses_squares(options, len(rows)) and dense:
        return _fit_squares(dense, rows, labels, n_classes, options, progress)
    held_out = held_out_samples(labels, groups, n_folds=options.n_folds, random_state=options.random_state)
    if of_landmarks:
        given, compared = of_landmarks[0], None
        if dense:
            compared = _compare_on_some(given.features, rows, labels, n_classes, held_out, options, progress)
        if compared is None or compared.gaussian is not None:
            found = _fit_landmarks(given, rows, labels, n_classes, held_out, options, progress)
            return found if compared is None else found._replace(results=compared.results + found.results)
    space, problem, chosen = _choose(dense, rows, labels, n_classes, options, held_out, progress)
    is_part = isinstance(problem, SampleCoordinates)
    with (progress or Progress()).phase("classifier", total=1, unit="fits") as phase:
        _, solution = solve(
            problem,
            np.arange(len(rows)) if is_part else rows,
            labels,
            n_classes,
            chosen.weight_decay,
            start=chosen.start,
            prepared=chosen.prepared,
            tolerance=options.tolerance,
            max_iterations=options.max_iterations,
        )
        phase.advance()
    if solution.ended_by == "iterations":
        warnings.warn(
            f"logistic regression stopped after {solution.n_iterations} iterations, about "
            f"{solution.suboptimality / solution.value:.0e} of the value above the optimum; "
            "increase max_iterations or weight_decay",
            ConvergenceWarning,
            stacklevel=3,
        )
    return Fit(
        space,
        problem.gaussian if isinstance(problem, SampleCoordinates) else None,
        problem.combination(solution.coefficients) if isinstance(problem, SampleCoordinates) else solution.coefficients,
        chosen.weight_decay,
        chosen.temperature if options.calibrate else 1.0,
        chosen.results,
        max(solution.n_iterations, 1),
    )


def uses_squares(options: Options, n_samples: int) -> bool:
    """Whether the fit is one by least squares."""
    return options.loss == "squares" or (options.loss == "auto" and n_samples <= LARGEST_KERNEL)


def _fit_squares(
    spaces: Sequence[SampleSpace | FeatureSpace | LandmarkSpace],
    rows: NDArray[np.integer],
    labels: NDArray[np.integer],
    n_classes: int,
    options: Options,
    progress: Progress | None,
) -> Fit:
    """Kernel and decay by the scores of each sample without it, on 2,000 samples where there are more."""
    is_decided = len(rows) < _FEW * n_classes
    decays = list(DECAYS) if options.weight_decay == "auto" else [float(options.weight_decay)]
    if is_decided:
        spaces, decays = spaces[:1], [SQUARES_PRIOR] if options.weight_decay == "auto" else decays
    some = np.arange(len(rows))
    if len(rows) > _CHOSEN_BY:
        _, some = hold_out_fraction(labels, _CHOSEN_BY / len(rows), random_state=generator_from(options.random_state))
    results: list[dict[str, Any]] = []
    best: tuple[SampleSpace, float, NDArray] | None = None
    candidates = [(space, decay) for space in spaces for decay in decays]
    with (progress or Progress()).phase("least squares", total=len(candidates) + 1, unit="fits") as phase:
        for space in spaces if len(candidates) > 1 else ():
            assert isinstance(space, SampleSpace)
            kernel, _ = space.kernel_of(rows[some])
            of_space: tuple[SampleSpace, float, NDArray] | None = None
            for decay in decays:
                held_out = solve_least_squares(kernel, np.eye(n_classes)[labels[some]], decay).held_out
                losses, judged = judged_scores(held_out, labels[some])
                results.append((_kind(space) if len(spaces) > 1 else {}) | {"weight_decay": decay} | judged)
                if of_space is None or losses.mean() < of_space[2].mean():
                    of_space = space, decay, losses
                phase.advance()
            assert of_space is not None
            if best is None or exceeds_its_error(best[2] - of_space[2]):
                best = of_space
        space, decay = best[:2] if best is not None else candidates[0]
        assert isinstance(space, SampleSpace)
        kernel, gaussian = space.kernel_of(rows)
        found = solve_least_squares(kernel, np.eye(n_classes)[labels], decay)
        phase.advance()
    temperature = calibrated_losses(found.held_out, labels)[1] if options.calibrate else 1.0
    return Fit(space, gaussian, found.coefficients, decay, temperature, results, 1)


def _compare_on_some(
    features: Any,
    rows: NDArray[np.integer],
    labels: NDArray[np.integer],
    n_classes: int,
    held_out: HeldOut,
    options: Options,
    progress: Progress | None,
) -> Fit:
    """Least squares on 2,000 samples, by which linear and Gaussian kernels are compared."""
    firsts = held_out.firsts
    share = min(_CHOSEN_BY, LARGEST_KERNEL) / len(firsts)
    own = firsts[hold_out_fraction(labels[firsts], share, random_state=generator_from(options.random_state))[1]]
    spaces = candidate_spaces(features[rows[own]], options, n_classes)
    return _fit_squares(spaces, np.arange(len(own)), labels[own], n_classes, options, progress)


def _fit_landmarks(
    space: LandmarkSpace,
    rows: NDArray[np.integer],
    labels: NDArray[np.integer],
    n_classes: int,
    held_out: HeldOut,
    options: Options,
    progress: Progress | None,
) -> Fit:
    found = space.fit(
        rows,
        labels,
        n_classes,
        held_out.folds == 0,
        widths=sorted(options.widths, reverse=True),
        decays=DECAYS if options.weight_decay == "auto" else [float(options.weight_decay)],
        random_state=options.random_state,
        progress=progress,
    )
    kernel, temperature = found.map.kernel, found.temperature if options.calibrate else 1.0
    return Fit(space, kernel, found.coefficients, found.weight_decay, temperature, found.results, 1, found.map)


_Chosen = tuple[SampleSpace | FeatureSpace, SampleCoordinates | FeatureSpace, CrossValidation]


def _choose(
    spaces: Sequence[SampleSpace | FeatureSpace],
    rows: NDArray[np.integer],
    labels: NDArray[np.integer],
    n_classes: int,
    options: Options,
    held_out: HeldOut,
    progress: Progress | None,
) -> _Chosen:
    """Space, weight decay and temperature, by cross-validation unless none is needed or nothing can be held out."""
    folds = held_out.folds
    is_decided = len(held_out.firsts) < _FEW * n_classes
    decays = [float(decay) for decay in options.weight_decays]
    if options.weight_decay != "auto":
        decays = [float(options.weight_decay)]
    elif is_decided:
        decays = [_PRIOR]
    if is_decided:
        spaces = spaces[:1]
    is_needed = options.calibrate or len(spaces) > 1 or len(decays) > 1
    if not is_needed or not (folds >= 0).any():
        known = CrossValidation(decays[0] if len(decays) == 1 else _PRIOR, 1.0, [], None)
        return spaces[0], _problem(spaces[0], rows, progress), known
    best: _Chosen | None = None
    results: list[dict[str, Any]] = []
    for space in spaces:
        problem = _problem(space, rows, progress)
        kind = _kind(space) if len(spaces) > 1 else {}
        found = cross_validate(
            problem,
            np.arange(len(rows)) if isinstance(problem, SampleCoordinates) else rows,
            labels,
            n_classes,
            decays,
            folds,
            single_split=options.n_folds == "auto" and len(rows) >= THREE_FOLDS_BELOW,
            prepare=True,
            max_iterations=options.max_iterations,
            progress=progress,
        )
        results.extend(kind | result for result in found.results)
        if best is None or exceeds_its_error(best[2].losses - found.losses):
            best = space, problem, found
    assert best is not None
    return best[0], best[1], best[2]._replace(results=results)


def _problem(
    space: SampleSpace | FeatureSpace, rows: NDArray[np.integer], progress: Progress | None
) -> SampleCoordinates | FeatureSpace:
    if not isinstance(space, SampleSpace):
        return space
    with (progress or Progress()).phase("coordinates of training samples", total=1, unit="factorizations") as phase:
        problem = space.coordinates(rows)
        phase.advance()
    return problem


def _kind(space: SampleSpace | FeatureSpace) -> dict[str, Any]:
    """What distinguishes a space from the others, for the results."""
    width = space.width if isinstance(space, SampleSpace) else None
    named: dict[str, Any] = {"kernel": "linear"} if width is None else {"kernel": "gaussian", "width": width}
    return named | {"split": space.standardization.split}
