"""Topographic predictive sparse decomposition: filters on a sheet, where neighbors share pools and become alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from striate.encoders import Encoder
from striate.learning._on_sheet import SHEET_RULES, OnSheet
from striate.learning.online import Start
from striate.learning.psd import PSD
from striate.parameters import Rule, parameter
from striate.randomness import RandomState

__all__ = ["TopographicPSD"]


class TopographicPSD(OnSheet, PSD):
    """Predictive sparse decomposition with pools of units that are learned along: invariant features.

    The units lie on a sheet, and the penalty is a sum over pools of neighbors, windows that overlap. As in `PSD`, codes
    `z` of patches `y`, the dictionary `D` (`components_`) and the encoder are learned together::

        E = ½‖y − zD‖² + sparsity·Σ_pools √(Σ weight·z² + ε) + ½·prediction·‖z − encoder(y)‖²
        encoder(y) = gain · tanh(y·encoder_ᵀ + bias)

    Few pools should be active, and how many of their units are does not matter: units that respond together settle
    beside each other. Orientation, frequency and position of the filters change smoothly over the sheet, most of all
    orientation, and a pool responds to a pattern wherever it is shifted or turned a little, as complex cells do.
    `transform` gives the pooled features. With windows that do not overlap (a `stride` as large as the `window`), pools
    are independent subspaces, without order among them. (The talk writes the squares without ½: its sparsity is twice
    ours.)

    Parameters
    ----------
    n_components : int, optional
        The number of units; by default as many as the sheet has.
    sheet : (int, int) or int, optional
        Rows and columns of units, or their number on a line. By default the shape nearest to a square with
        `n_components` units, and without it (32, 16), as in the paper.
    window, stride : int or (int, int), optional
        Rows and columns of units in a pool, and distance of neighboring pools; by default 6 and 2, as in the paper,
        where these fit the sheet: 128 pools of 36 of the 512 units.
    torus : bool, default True
        Whether opposite sides of the sheet are neighbors.
    weights : "gaussian" or "box"
        Weights of the units in a window, which add up to 1.
    sparsity : float, default 3.0
        Weight of the sum over pools. With 1, natural patches are coded by all pools at once, and the filters neither
        become Gabors nor put themselves in order.
    epsilon : float, default 1e-3
        Squared codes below it count as 0; patches are scaled so that those of natural images have squares near 1.
        A larger one makes pools less sparse: with 0.1, units learn nothing.
    prediction, encoder, predict_in_inference, remove_mean
        As in `PSD`. "tanh" is the paper's encoder, and the one for the stages of a hierarchy.
    batch_size : int, default 200
        Patches per step of learning.
    max_batches, max_epochs : int, default 3000 and 100
        The budget: learning ends after `max_batches`, or when the data have been seen `max_epochs` times.
    n_inference_steps : int, default 10
        Steps for the codes of a batch, which start at the prediction; 10 come within a thousandth of the least energy.
    decoder_rate, encoder_rate, validation_fraction, tolerance, verbose, random_state
        As in `PSD`.

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
        The dictionary (decoder), rows of unit norm, row by row of the sheet.
    sheet_ : Sheet
        The units' layout and pools.
    n_pools_ : int
        Their number.
    predictor_, encoder_, encoder_bias_, gain_, scale_, n_batches_, history_, energy_history_
        As in `PSD`.
    usage_ : ndarray (n_components,)
        Share of the patches of the last hundred batches or so in which a unit's code exceeded √ε.
    active_fraction_ : float
        Their mean.

    References
    ----------
    Kavukcuoglu, Ranzato, Fergus, LeCun, "Learning invariant features through topographic filter maps", CVPR 2009.
    Hyvärinen, Hoyer, Vision Research 41, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from striate import TopographicPSD
    >>> patches = np.random.default_rng(0).standard_normal((60, 25), dtype=np.float32)
    >>> learner = TopographicPSD(sheet=(8, 4), window=4, stride=2, random_state=0).fit(patches)
    >>> learner.transform(patches).shape, learner.transform(patches, simple=True).shape
    ((60, 8), (60, 32))
    """

    _rules: ClassVar[Mapping[str, Rule]] = {**PSD._rules, **SHEET_RULES}
    _checkpoint_name = "topographic-psd"
    _phase_name = "learning filters on a sheet"

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
        prediction: float = 1.0,
        encoder: Encoder | str = "tanh",
        predict_in_inference: bool = True,
        remove_mean: bool = True,
        batch_size: int = 200,
        max_batches: int = 3000,
        max_epochs: int = 100,
        n_inference_steps: int = 10,
        decoder_rate: float = 0.2,
        encoder_rate: float = 1e-3,
        validation_fraction: float = 0.1,
        tolerance: float = 1e-3,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components  # type: ignore[assignment]
        self.sheet = sheet
        self.window = window
        self.stride = stride
        self.torus = torus
        self.weights = weights
        self.sparsity = sparsity
        self.epsilon = epsilon
        self.prediction = prediction
        self.encoder = encoder
        self.predict_in_inference = predict_in_inference
        self.remove_mean = remove_mean
        self.batch_size = batch_size
        self.max_batches = max_batches
        self.max_epochs = max_epochs
        self.n_inference_steps = n_inference_steps
        self.decoder_rate = decoder_rate
        self.encoder_rate = encoder_rate
        self.validation_fraction = validation_fraction
        self.tolerance = tolerance
        self.verbose = verbose
        self.random_state = random_state

    @property
    def _n_units(self) -> int:
        return self.sheet_.n_units

    @property
    def _pull(self) -> float:
        """The weight of the prediction term in inference."""
        return float(parameter(self, "prediction")) if parameter(self, "predict_in_inference") else 0.0

    def _begin(self, start: Start) -> None:
        self.sheet_ = self._new_sheet()
        super()._begin(start)

    def _simple(self, X: np.ndarray) -> np.ndarray:
        return PSD.transform(self, X)

    def _minimize_energy(self, patches: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        steps = parameter(self, "n_inference_steps")
        return self._descend(patches, steps, start=predicted, prediction=self._pull, target=predicted)

    def _infer_scaled(self, patches: np.ndarray, tolerance: float | None) -> np.ndarray:
        predicted = self.predictor_.astype(patches.dtype).encode(patches)
        return self._optimal(patches, tolerance, start=predicted, prediction=self._pull, target=predicted)
