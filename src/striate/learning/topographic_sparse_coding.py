"""Topographic sparse coding: a dictionary on a sheet, whose codes are optimal, without an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from striate.coding import certify_topographic
from striate.errors import UsageError
from striate.learning._gradient_decoder import GradientDecoder
from striate.learning._objective import HeldOutObjective
from striate.learning._on_sheet import SHEET_RULES, OnSheet
from striate.learning._scaled_patches import ScaledPatches
from striate.learning.online import VERBOSE, Course, OnlineLearner, Start
from striate.parameters import Integer, Real, Rule, parameter
from striate.randomness import RandomState
from striate.samples import all_finite

__all__ = ["TopographicSparseCoding"]


class TopographicSparseCoding(OnSheet, GradientDecoder, ScaledPatches, OnlineLearner):
    """A dictionary of units on a sheet, whose pools of neighbors are sparse.

    Codes `z` of patches `y` and the dictionary `D` (`components_`) minimize::

        ½‖y − zD‖² + sparsity·Σ_pools √(Σ weight·z² + ε)

    Pools are windows of the sheet that overlap, so that units that respond together settle beside each other. It is
    `TopographicPSD` without an encoder: `transform` finds the optimal codes, which takes a hundred times as long as a
    prediction. Where windows do not overlap, pools are independent subspaces.

    Patches lose their mean and are divided by one number, the standard deviation of all of them, as in `PSD`.

    Parameters
    ----------
    n_components, sheet, window, stride, torus, weights, epsilon
        As in `TopographicPSD`.
    sparsity : float, default 3.0
        Weight of the sum over pools.
    remove_mean : bool, default True
        Whether each patch (all its channels together) loses its mean.
    batch_size : int, default 200
        Patches per step of learning.
    max_batches, max_epochs : int, default 3000 and 100
        The budget: learning ends after `max_batches`, or when the data have been seen `max_epochs` times.
    n_inference_steps : int, default 20
        Steps for the codes of a batch, which start at the correlations with the units.
    decoder_rate : float, default 0.2
        Step of the dictionary, as in `PSD`.
    validation_fraction : float, default 0.1
        Fraction of the patches, at most 1,000, held out to decide when to stop; none with fewer than 50 patches.
    tolerance : float, default 1e-3
        Learning stops when the held-out objective has not fallen by this fraction in 1,000 batches.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None
        Seed of the first dictionary, the held-out patches and the order of the others.

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
        The dictionary, rows of unit norm, row by row of the sheet.
    sheet_ : Sheet
    n_pools_ : int
    scale_ : float
        The number that patches are divided by.
    n_batches_ : int
    usage_ : ndarray (n_components,)
        Share of the patches of the last hundred batches or so in which a unit's code exceeded √ε.
    active_fraction_ : float
        Their mean.
    history_ : list of HeldOutObjective

    References
    ----------
    Hyvärinen, Hoyer, "A two-layer sparse coding model learns simple and complex cell receptive fields and topography
    from natural images", Vision Research 41, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from striate import TopographicSparseCoding
    >>> patches = np.random.default_rng(0).standard_normal((60, 25), dtype=np.float32)
    >>> learner = TopographicSparseCoding(sheet=(8, 4), window=4, stride=4, max_batches=5, random_state=0)
    >>> learner.fit_transform(patches).shape
    (60, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        **ScaledPatches._rules, **SHEET_RULES,
        "batch_size": Integer(low=1), "max_batches": Integer(low=1), "max_epochs": Integer(low=1),
        "n_inference_steps": Integer(low=1), "decoder_rate": Real(low=0),
        "validation_fraction": Real(low=0, below=1), "tolerance": Real(low=0), "verbose": VERBOSE,
    }  # fmt: skip
    _learned = ("components_", "usage_", "_code_energy")
    _checkpoint_name = "topographic-sparse-coding"
    _phase_name = "learning a dictionary on a sheet"
    _check_every = 100
    _patience = 10

    history_: list[HeldOutObjective]

    def __init__(
        self,
        n_components: int | None = None,
        *,
        sheet: tuple[int, int] | int | None = None,
        window: tuple[int, int] | int | None = None,
        stride: tuple[int, int] | int | None = None,
        torus: bool = True,
        weights: Literal["gaussian", "box"] = "gaussian",
        sparsity: float = 3.0,
        epsilon: float = 1e-3,
        remove_mean: bool = True,
        batch_size: int = 200,
        max_batches: int = 3000,
        max_epochs: int = 100,
        n_inference_steps: int = 20,
        decoder_rate: float = 0.2,
        validation_fraction: float = 0.1,
        tolerance: float = 1e-3,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.sheet = sheet
        self.window = window
        self.stride = stride
        self.torus = torus
        self.weights = weights
        self.sparsity = sparsity
        self.epsilon = epsilon
        self.remove_mean = remove_mean
        self.batch_size = batch_size
        self.max_batches = max_batches
        self.max_epochs = max_epochs
        self.n_inference_steps = n_inference_steps
        self.decoder_rate = decoder_rate
        self.validation_fraction = validation_fraction
        self.tolerance = tolerance
        self.verbose = verbose
        self.random_state = random_state

    def score(self, X: np.ndarray, y: object = None) -> float:
        """Minus the mean objective of scaled patches, with optimal codes: larger is better, as in scikit-learn."""
        patches = self.scaled(self._checked(X))
        return -float(self._objective(patches, self._optimal(patches, None)))

    def to_state(self, *, training: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes the same estimator, and learning goes on."""
        arrays, header = super().to_state(training=training)
        return arrays, header | {"scale": self.scale_}

    def _restore(self, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        OnlineLearner._restore(self, arrays, header)
        self.history_ = [HeldOutObjective(*found) for found in self.history_]

    def _simple(self, X: np.ndarray) -> np.ndarray:
        return self.infer(X)

    def _infer_scaled(self, patches: np.ndarray, tolerance: float | None) -> np.ndarray:
        return self._optimal(patches, tolerance)

    def _begin(self, start: Start) -> None:
        self.sheet_ = self._new_sheet()
        self._set_scale(start.samples)
        self._begin_dictionary(start.samples, self.sheet_.n_units, start.rng)

    def _learn(self, batch: np.ndarray, course: Course) -> None:
        self._update_decoder(batch, self._codes_near(batch))

    def _codes_near(self, patches: np.ndarray) -> np.ndarray:
        return self._descend(patches, parameter(self, "n_inference_steps"))

    def _objective(self, patches: np.ndarray, codes: np.ndarray) -> float:
        found = certify_topographic(
            patches, codes, self.components_, self.sheet_, parameter(self, "sparsity"),
            epsilon=parameter(self, "epsilon"),
        )  # fmt: skip
        return float(found.objective.mean())

    def _evaluate(self, held_out: np.ndarray) -> HeldOutObjective:
        codes = self._codes_near(held_out)
        active = float(self._is_active(codes).mean())
        return HeldOutObjective(self.n_batches_, self._objective(held_out, codes), active, parameter(self, "sparsity"))

    def _describe(self, found: HeldOutObjective) -> str:
        return f"held-out objective {found.objective:.4g}, {found.active:.1%} active"

    def _held_out_errors(self) -> list[float]:
        return [found.objective for found in self.history_]

    def _conclude(self) -> None:
        if not all_finite(self.components_):
            raise UsageError(
                f"TopographicSparseCoding: learning has diverged after {self.n_batches_} batches: lower decoder_rate "
                f"(now {parameter(self, 'decoder_rate'):g})"
            )
