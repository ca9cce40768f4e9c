"""Predictive sparse decomposition: a dictionary, and an encoder that learns to predict its sparse codes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from striate.coding import infer_with_prediction
from striate.coding.eigenvalue import TrackedEigenvalue
from striate.coding.proximal import fista_from_gram
from striate.encoders import Encoder
from striate.encoders.kinds import EncoderRule
from striate.learning._diagnosis import HeldOut, diagnose_psd
from striate.learning._encoder_training import EncoderTraining
from striate.learning._gradient_decoder import LONGEST, GradientDecoder
from striate.learning._patch_learner import PatchLearner
from striate.learning._scaled_patches import NO_SPARSITY
from striate.learning.online import VERBOSE, Course, OnlineLearner, Start, silent_blas
from striate.parameters import Boolean, Integer, Real, Rule, parameter
from striate.randomness import RandomState
from striate.threads import threads_for_batch

__all__ = ["PSD", "HeldOut"]


class PSD(EncoderTraining, GradientDecoder, PatchLearner, OnlineLearner):
    """Predictive sparse decomposition.

    Codes `z` of patches `y`, the dictionary `D` (`components_`) and the encoder are learned together::

        E = ½‖y − zD‖² + sparsity·Σ|z| + ½·prediction·‖z − encoder(y)‖²
        encoder(y) = gain · tanh(y·encoder_ᵀ + bias)

    After learning, one matrix product and a tanh replace the minimization. Other encoders have codes that are
    closer to the optimum and have true zeros. (The talk writes the squares without ½: its sparsity is twice ours.)
    Patches lose their mean and are divided by one number, the standard deviation of all of them. Patches of more than
    144 values are divided by a larger number, so that their mean squared norm is that of 12×12 patches, and the weights
    and rates below mean the same for them.

    Parameters
    ----------
    n_components : int, default 256
        The number of units.
    sparsity : float, default 1.0
        Weight of the L1 term. 1 leaves about a fifth of 256 units active on natural patches of 12×12.
    prediction : float, default 1.0
        Weight of the prediction term.
    encoder : Encoder or str, default "tanh"
        The encoder that predicts the codes: an object of `striate.encoders` such as ``LISTA(steps=5)``, which is copied
        and not changed; or a word for one with its default options: "tanh", "linear", "shrinkage", "smooth shrinkage",
        "lista" or "lcod". "tanh" has one gain per unit; it is the talk's encoder. Filter banks of a hierarchy
        replace it by that of their nonlinearity. It and "smooth shrinkage" need no torch; the others are trained with
        it (the extra `torch`), and predict without it.
    predict_in_inference : bool, default True
        Whether the prediction term takes part in inference, as in the paper and the talk. With False, as in the
        authors' later code, inference only starts at the prediction: the term only trains the encoder.
    remove_mean : bool, default True
        Whether each patch (all its channels together) loses its mean.
    batch_size : int, default 200
        Patches per step of learning.
    max_batches, max_epochs : int, default 3000 and 100
        The budget: learning ends after `max_batches`, or when the data have been seen `max_epochs` times.
    n_inference_steps : int, default 20
        Steps of FISTA for the codes of a batch.
    decoder_rate : float, default 0.2
        Step of the dictionary, relative to the curvature that the codes give each unit; after 300 batches it
        falls as 1/t, which takes the noise of single batches out of the filters.
    encoder_rate : float, default 1e-3
        Step of Adam for the encoder. Other encoders than tanh take ten times as much, relative to the root mean
        square of what they learn, and after 300 batches less and less, as the dictionary does. 4e-3 is
        better for LISTA on natural patches: the energy of its codes is 5 % above the optimum instead of 11 %.
    validation_fraction : float, default 0.1
        Fraction of the patches, at most 1,000, held out to decide when to stop; none with fewer than 50 patches.
    tolerance : float, default 1e-3
        Learning stops when the held-out energy has not fallen by this fraction in 1,000 batches.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None
        Seed of the first dictionary, the held-out patches and the order of the others.

    Attributes
    ----------
    components_ : ndarray (n_components, n_features)
        The dictionary (decoder), rows of unit norm.
    predictor_ : Encoder
        The encoder that was learned, for scaled patches.
    encoder_ : ndarray (n_components, n_features)
        The encoder's filters.
    encoder_bias_, gain_ : ndarray (n_components,)
        Its bias and gain, if the encoder is a `TanhEncoder`.
    scale_ : float
        The number that patches are divided by.
    n_batches_ : int
        Batches learned from.
    usage_ : ndarray (n_components,)
        Share of the patches of the last hundred batches or so that used each unit.
    active_fraction_ : float
        Share of the codes of the last hundred batches or so that was not 0.
    history_ : list of HeldOut
        Every 100 batches: energy, active fraction, both reconstruction errors.
    energy_history_ : ndarray (n_checks,), float64
        The energies of `history_`.

    References
    ----------
    Kavukcuoglu, Ranzato, LeCun, "Fast inference in sparse coding algorithms with applications to object
    recognition", CBLL-TR-2008-12-01 (arXiv:1010.3467), equations 5 to 8.

    Examples
    --------
    >>> import numpy as np
    >>> patches = np.random.default_rng(0).standard_normal((60, 25), dtype=np.float32)
    >>> PSD(n_components=16, random_state=0).fit_transform(patches).shape
    (60, 16)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        **PatchLearner._rules,
        "prediction": Real(low=0), "encoder": EncoderRule(), "predict_in_inference": Boolean(),
        "batch_size": Integer(low=1), "max_batches": Integer(low=1), "max_epochs": Integer(low=1),
        "n_inference_steps": Integer(low=1), "decoder_rate": Real(low=0), "encoder_rate": Real(low=0),
        "validation_fraction": Real(low=0, below=1), "tolerance": Real(low=0), "verbose": VERBOSE,
    }  # fmt: skip

    _learned = ("components_", "usage_", "_code_energy")
    _checkpoint_name = "psd"
    _phase_name = "learning filters"
    _check_every = 100
    _patience = 10

    history_: list[HeldOut]

    def __init__(
        self,
        n_components: int = 256,
        *,
        sparsity: float = 1.0,
        prediction: float = 1.0,
        encoder: Encoder | str = "tanh",
        predict_in_inference: bool = True,
        remove_mean: bool = True,
        batch_size: int = 200,
        max_batches: int = 3000,
        max_epochs: int = 100,
        n_inference_steps: int = 20,
        decoder_rate: float = 0.2,
        encoder_rate: float = 1e-3,
        validation_fraction: float = 0.1,
        tolerance: float = 1e-3,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.sparsity = sparsity
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

    def to_state(self, *, training: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes the same estimator.

        With `training` also the moments of the optimizer, which learning needs to go on to the same bits; they double
        the size.
        """
        arrays, header = super().to_state()
        of_encoder, steps = self._training_state(training=training)
        arrays |= {"usage": self.usage_, "code_energy": self._code_energy, **of_encoder}
        header |= {
            "seed": self._seed,
            "n_batches": self.n_batches_,
            **steps,
            "history": [list(found) for found in self.history_],
        }
        if training and self._eigenvalue.vector is not None:
            arrays["eigenvector"] = self._eigenvalue.vector
        return arrays, header

    def _restore(self, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        self._seed = int(header["seed"])
        self.n_batches_ = int(header["n_batches"])
        self.history_ = [HeldOut(*found) for found in header["history"]]
        self.usage_ = np.array(arrays["usage"])
        self._code_energy = np.array(arrays["code_energy"])
        self._restore_training(arrays, header)
        self._eigenvalue = TrackedEigenvalue()
        if "eigenvector" in arrays:
            self._eigenvalue.vector = np.array(arrays["eigenvector"])

    @property
    def energy_history_(self) -> np.ndarray:
        """Energies of held-out patches, one per evaluation."""
        return np.array([found.energy for found in self.history_])

    @property
    def _n_units(self) -> int:
        """The number of units to learn."""
        return int(parameter(self, "n_components"))

    def diagnose(self) -> tuple[str, ...]:
        """Problems of the fitted model, and what to change, in words.

        It looks for codes that have collapsed onto the prediction or are empty, units that died, an encoder that lags
        behind, and an energy that still falls.

        Returns
        -------
        tuple of str
            One sentence per finding; empty for a healthy model.
        """
        check_is_fitted(self)
        return diagnose_psd(
            self.history_, self.usage_, energy_of_nothing=0.5 * min(self.n_features_in_, LONGEST),
            sparsity=parameter(self, "sparsity"), prediction=parameter(self, "prediction"), n_batches=self.n_batches_,
        )  # fmt: skip

    def _learn(self, batch: np.ndarray, course: Course) -> None:
        """The four steps of the talk, for one batch of scaled patches."""
        predicted = self._learning.predict(batch)
        self._check_learned(predicted, self.components_)
        codes = self._minimize_energy(batch, predicted)
        self._update_decoder(batch, codes)
        self._learning.step(batch, codes, self._slowing())

    def _minimize_energy(self, patches: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Step 2: the codes that minimize the energy, prediction term included."""
        gram = self.components_ @ self.components_.T
        codes, _ = fista_from_gram(
            patches @ self.components_.T, gram, parameter(self, "sparsity"),
            steps=parameter(self, "n_inference_steps"), start=predicted, target=predicted,
            prediction=parameter(self, "prediction") if parameter(self, "predict_in_inference") else 0.0,
            eigenvalue=self._eigenvalue.update(gram), correct=self._eigenvalue.correct,
        )  # fmt: skip
        return codes

    def _codes_near(self, patches: np.ndarray) -> np.ndarray:
        return self._minimize_energy(patches, self._learning.encode(patches))

    def _replace(self, units: np.ndarray, replacements: np.ndarray) -> None:
        super()._replace(units, replacements)
        self._learning.restart(units, self.components_)

    def _evaluate(self, held_out: np.ndarray) -> HeldOut:
        predicted = self._learning.encode(held_out)
        codes = self._minimize_energy(held_out, predicted)
        return HeldOut.measured(
            self.n_batches_, held_out, codes, predicted, self.components_, penalty=self._penalty(codes),
            active=float(self._is_active(codes).mean()), prediction=parameter(self, "prediction"),
        )  # fmt: skip

    def _penalty(self, codes: np.ndarray) -> float:
        """The mean over codes of what sparsity adds to the energy."""
        return float(parameter(self, "sparsity") * (float(np.abs(codes).sum()) / len(codes)))

    def _describe(self, found: HeldOut) -> str:
        return found.in_words()

    def _held_out_errors(self) -> list[float]:
        return [found.energy for found in self.history_]

    def _context(self) -> AbstractContextManager[None]:
        shape = parameter(self, "batch_size"), self.n_features_in_, self._n_units
        return silent_blas(single=threads_for_batch(*shape) == 1)

    def _begin(self, start: Start) -> None:
        X = start.samples
        self._set_scale(X)
        self._begin_dictionary(X, self._n_units, start.rng)
        self.predictor_ = self._new_encoder().start(self.components_, self._sparsity_of_encoder)
        self._begin_training()
        self._eigenvalue = TrackedEigenvalue()

    def _infer_scaled(self, patches: np.ndarray, tolerance: float | None) -> np.ndarray:
        prediction = parameter(self, "prediction")
        if not (prediction and parameter(self, "predict_in_inference")):
            return super()._infer_scaled(patches, tolerance)
        codes: np.ndarray = infer_with_prediction(
            patches, self.components_, parameter(self, "sparsity") or NO_SPARSITY, prediction=prediction,
            target=self.predictor_.astype(patches.dtype).encode(patches), tolerance=tolerance,
        )  # fmt: skip
        return codes
