"""The temporal product network: what is in a sequence of frames, and where it is in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.learning._dictionary_update import normalize_rows, worst_reconstructed
from striate.learning._gradient_decoder import LONGEST, MEMORY, slowing
from striate.learning._product_encoder import ProductEncoder
from striate.learning._product_energy import HeldOutSequences, ProductCodes, ProductEnergy, simple_cells
from striate.learning._rows import chunks
from striate.learning._scale import deviation_of
from striate.learning._sequences import SequencesOfFrames
from striate.learning.adam import Adam
from striate.learning.online import VERBOSE, Course, OnlineLearner, Start, silent_blas
from striate.parameters import Boolean, Integer, Real, Rule, Seed, parameter
from striate.randomness import RandomState
from striate.samples import all_finite, as_array

__all__ = ["HeldOutSequences", "ProductCodes", "TemporalProduct"]

_WARM_UP = 300  # batches over which the prediction term rises: from the start, codes would collapse onto it
_FULL_RATE = 400  # batches, after which steps fall as 1/t and so average the noise out
_DEAD = 1e-3  # a simple cell that fewer frames use is replaced
_START = 0.1  # the least content that inference starts from: from 0, a group that is silent would remain so
_RESPONSE = 0.5  # norm of the encoder's first filters


class TemporalProduct(
    SequencesOfFrames, OnlineLearner, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Temporal product network: a content that stays the same over the frames, times a location that moves.

    Simple cells z reconstruct every frame x_t of a sequence. They are in groups, and each is the product of its group's
    *content* c, which all T frames share, and its own *location* l_t, which is free in each frame, but sparse::

        E = 1/T Σ_t [½‖x_t − z_t·D‖² + sparsity·Σ l_t + ½·prediction·‖l_t − l̂_t‖²]
            + sparsity·Σ c + ½·prediction·‖c − ĉ‖²,   z_tk = c_i·l_tk for the cell k of group i,   c, l ≥ 0

    ĉ and l̂ are the codes that a feed-forward encoder predicts: rectified filters, roots of their sums over a group and
    over the frames, and a division by these roots. It is learned along with the dictionary D.

    For given products, the two sparsity terms together are least at 2·sparsity·Σ_i √(mean over t of Σ_k z_tk): a group
    that one frame uses is cheap for the others. So what follows each other in time becomes one group: simple cells of
    one orientation and frequency, at successive phases or places. Codes are not negative, because a sign could not be
    shared out between the factors; opposite phases are cells of their own.

    Groups are fixed, do not overlap, and each simple cell has its own location cell: weights of the two expansions that
    are learned as well can be exchanged against the dictionary's order, and a location that several groups share would
    have to mean one phase of all of them, although a shift changes the phases of different frequencies differently.

    Inference decreases the energy in every step. It ends at a stationary point, which need not be the least: the energy
    is convex in the content and in the location, not in both. Frames lose their means and are divided by one number;
    frames of more than 144 values by a larger one, so that parameters mean the same for them.

    Parameters
    ----------
    n_content : int, default 32
        The number of content cells, and of groups.
    group_size : int, default 4
        Simple cells per group. Four hold the phases of one Gabor function, since codes are not negative.
    n_frames : int, default 3
        Frames of a sequence that are learned from; rows of a table hold them one after the other.
    sparsity : float, default 0.3
        Weight of the sum of content and of that of the location.
    prediction : float, default 0.3
        Weight of the encoder's prediction; it rises over the first 300 batches.
    remove_mean : bool, default True
        Whether each frame loses its mean.
    batch_size : int, default 40
        Sequences per step of learning.
    max_batches, max_epochs : int, default 3000 and 100
        The budget: learning ends after `max_batches`, or when the data have been seen `max_epochs` times.
    n_inference_steps : int, default 8
        Steps for the codes of a batch, from the encoder's prediction.
    decoder_rate : float, default 1.0
        Step of the dictionary, relative to the curvature that the codes give each unit; after 400 batches it falls as
        1/t.
    encoder_rate : float, default 2e-3
        Step of Adam for the encoder; it falls in the same way.
    validation_fraction : float, default 0.1
        Fraction of the sequences, at most 1,000, that is held out for `history_`; none with fewer than 50.
    tolerance : float, default 1e-3
        Learning stops when the held-out energy has not fallen by this fraction in 1,000 batches.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None
        Seed of the first dictionary, the held-out sequences and the order of the others.

    Attributes
    ----------
    components_ : ndarray (n_content · group_size, n_features)
        The dictionary, rows of unit norm; `group_size` rows after each other are a group.
    encoder_ : ndarray (n_content · group_size, n_features)
    encoder_bias_, location_gain_ : ndarray (n_content · group_size,)
    content_gain_ : ndarray (n_content,)
        The encoder's filters, their bias, and the gains of its predictions.
    scale_ : float
        The number that frames are divided by.
    usage_ : ndarray (n_content · group_size,)
        Share of the frames of the last hundred batches or so that used each simple cell.
    history_ : list of HeldOutSequences
        Every 100 batches.

    References
    ----------
    Gregor, LeCun, "Emergence of complex-like cells in a temporal product network with local receptive fields",
    arXiv:1006.0448, 2010. It fixes neither the penalties nor the encoder's form; those above are ours.

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.random.default_rng(0).standard_normal((60, 3, 25), dtype=np.float32)
    >>> learner = TemporalProduct(8, max_batches=10, random_state=0).fit(frames)
    >>> learner.transform(frames).shape, learner.transform(frames, location=True).shape
    ((60, 8), (60, 3, 32))
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_content": Integer(low=1), "group_size": Integer(low=1), "n_frames": Integer(low=1),
        "sparsity": Real(low=0), "prediction": Real(low=0), "remove_mean": Boolean(), "batch_size": Integer(low=1),
        "max_batches": Integer(low=1), "max_epochs": Integer(low=1), "n_inference_steps": Integer(low=1),
        "decoder_rate": Real(low=0), "encoder_rate": Real(low=0), "validation_fraction": Real(low=0, below=1),
        "tolerance": Real(low=0), "verbose": VERBOSE, "random_state": Seed(),
    }  # fmt: skip

    _of_encoder = ("encoder_", "encoder_bias_", "location_gain_", "content_gain_")  # in the order of ProductEncoder
    _learned = ("components_", *_of_encoder, "usage_", "_cell_energy")
    _checkpoint_name = "temporal-product"
    _phase_name = "learning content and location"
    _check_every = 100
    _patience = 10

    history_: list[HeldOutSequences]

    def __init__(
        self,
        n_content: int = 32,
        *,
        group_size: int = 4,
        n_frames: int = 3,
        sparsity: float = 0.3,
        prediction: float = 0.3,
        remove_mean: bool = True,
        batch_size: int = 40,
        max_batches: int = 3000,
        max_epochs: int = 100,
        n_inference_steps: int = 8,
        decoder_rate: float = 1.0,
        encoder_rate: float = 2e-3,
        validation_fraction: float = 0.1,
        tolerance: float = 1e-3,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_content = n_content
        self.group_size = group_size
        self.n_frames = n_frames
        self.sparsity = sparsity
        self.prediction = prediction
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

    def transform(self, X: Any, *, location: bool = False) -> NDArray[Any]:
        """The codes that the encoder predicts.

        Parameters
        ----------
        X : ndarray (n_sequences, n_frames · n_features) or (n_sequences, any number of frames, n_features)
            Raw frames. Sequences of one frame give the content of each frame by itself.
        location : bool, default False
            The location in each frame, instead of the content.

        Returns
        -------
        ndarray (n_sequences, n_content), or (n_sequences, number of frames, n_content · group_size)
            In the type of `X`.

        Raises
        ------
        UsageError
            For frames of another size than those that were learned from, NaN and infinity.
        """
        frames = self._checked(X)
        encoder = self._encoder.astype(frames.dtype)
        found = [encoder.encode(self.scaled(frames[rows]))[int(location)] for rows in chunks(len(frames))]
        return np.concatenate(found)

    def infer(self, X: Any, *, tolerance: float = 1e-4, max_steps: int = 500) -> ProductCodes:
        """Codes at a stationary point of the energy that the model was fitted with, from the encoder's prediction.

        Parameters
        ----------
        X : ndarray, as in `transform`
        tolerance : float, default 1e-4
            Ends when 10 steps have lowered the energy of all sequences together by less than this fraction.
        max_steps : int, default 500

        Returns
        -------
        ProductCodes
            `content` and `location`.
        """
        frames = self._checked(X)
        parts = [self._inferred(self.scaled(frames[rows]), tolerance, max_steps) for rows in chunks(len(frames))]
        return ProductCodes(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def decode(self, content: ArrayLike, location: ArrayLike) -> NDArray[Any]:
        """The frames that a content shows at given locations, which may be of another sequence.

        Parameters
        ----------
        content : float (n_sequences, n_content)
        location : float (n_sequences, any number of frames, n_content · group_size)

        Returns
        -------
        ndarray (n_sequences, number of frames, n_features)
            In the scale of the raw frames; with `remove_mean`, without the means of frames.
        """
        check_is_fitted(self)
        what = as_array(content, name="contents", axes=("n_sequences", len(self.content_gain_)))
        where = as_array(location, name="locations", axes=(len(what), "n_frames", len(self.components_)))
        return np.asarray(self.scale_ * simple_cells(ProductCodes(what, where)) @ self.components_)

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also Adam's moments, which learning needs for the same bits."""
        arrays, header = super().to_state(training=training)
        if training:
            arrays |= self._adam.to_arrays()
        return arrays, header | {"scale": self.scale_, "n_steps": self._adam.n_steps if training else 0}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        self.n_features_in_ = self.components_.shape[1] * parameter(self, "n_frames")
        self.history_ = [HeldOutSequences(*found) for found in self.history_]
        self.scale_ = float(header["scale"])
        self._start_training()
        if "first.encoder_" in arrays:
            self._adam.restore(arrays, int(header["n_steps"]))

    def _begin(self, start: Start) -> None:
        rows = start.samples
        n_content, n_frames = parameter(self, "n_content"), parameter(self, "n_frames")
        n_features, units = rows.shape[1] // n_frames, n_content * parameter(self, "group_size")
        self.scale_ = deviation_of(
            lambda: (rows[some].reshape(-1, n_features) for some in chunks(len(rows))), self._center
        )
        self.scale_ *= float(np.sqrt(max(1.0, n_features / LONGEST)))
        self.components_ = start.rng.standard_normal((units, n_features)).astype(rows.dtype)
        if parameter(self, "remove_mean"):
            self.components_ -= self.components_.mean(axis=1, keepdims=True)
        normalize_rows(self.components_)
        self.encoder_ = (_RESPONSE * self.components_).astype(rows.dtype)
        self.encoder_bias_ = np.zeros(units, rows.dtype)
        self.location_gain_, self.content_gain_ = np.ones(units, rows.dtype), np.ones(n_content, rows.dtype)
        self.usage_, self._cell_energy = np.zeros(units), np.zeros(units)
        self._start_training()

    def _start_training(self) -> None:
        self._adam = Adam({name: getattr(self, name) for name in self._of_encoder}, dict.fromkeys(self._of_encoder, 1))

    @property
    def _encoder(self) -> ProductEncoder:
        return ProductEncoder(*(getattr(self, name) for name in self._of_encoder))

    def _learn(self, batch: NDArray[Any], course: Course) -> None:
        """Predict the codes, lower the energy, and take a step of the dictionary and of the encoder towards them."""
        codes = self._near(batch)
        slower = slowing(self.n_batches_, _FULL_RATE)
        self._update_decoder(batch, simple_cells(codes), slower)
        found = self._encoder.gradients(batch, codes)
        named = dict(zip(self._of_encoder, (found[name] for name in ProductEncoder._fields), strict=True))
        self._adam.step(named, slower * parameter(self, "encoder_rate"))
        for gain in (self.location_gain_, self.content_gain_):
            np.maximum(gain, 0, out=gain)  # codes are not negative
        self._check_learned()

    def _update_decoder(self, frames: NDArray[Any], cells: NDArray[Any], slower: float) -> None:
        """A gradient step on the reconstruction error, relative to its curvature, then rows back to unit norm."""
        frames, cells = frames.reshape(-1, frames.shape[-1]), cells.reshape(-1, cells.shape[-1])
        memory = MEMORY if self.n_batches_ else 0.0
        self.usage_ += (1 - memory) * ((cells > 0).mean(axis=0) - self.usage_)
        self._cell_energy += (1 - memory) * (np.square(cells).mean(axis=0) - self._cell_energy)
        curvature = np.maximum(self._cell_energy + self._cell_energy.mean(), 1e-12)
        step = cells.T @ (frames - cells @ self.components_)
        rates = slower * parameter(self, "decoder_rate") / len(frames) / curvature
        self.components_ += step * rates[:, np.newaxis].astype(step.dtype)
        normalize_rows(self.components_)

    def _replace_dead_units(self, batch: NDArray[Any]) -> None:
        """Replace simple cells that are hardly used, by what is missing in the worst reconstructed frames."""
        dead = np.flatnonzero(self.usage_ < _DEAD)
        if not dead.size:
            return
        frames = batch.reshape(-1, batch.shape[-1])
        made = simple_cells(self._near(batch)).reshape(len(frames), -1) @ self.components_
        worst = worst_reconstructed(frames, made, dead.size)
        dead = dead[: worst.size]
        missing = frames[worst] - made[worst]
        normalize_rows(missing)
        self.components_[dead] = missing
        self.encoder_[dead] = _RESPONSE * self.components_[dead]
        self.encoder_bias_[dead] = 0
        self.location_gain_[dead] = self.location_gain_.mean()
        self.usage_[dead], self._cell_energy[dead] = self.usage_.mean(), self._cell_energy.mean()
        for moments in (self._adam.first, self._adam.second):
            for name in ("encoder_", "encoder_bias_", "location_gain_"):
                moments[name][dead] = 0

    def _energy(self, dtype: np.dtype[Any], share: float = 1.0) -> ProductEnergy:
        components = self.components_.astype(dtype, copy=False)
        return ProductEnergy(components, parameter(self, "sparsity"), share * parameter(self, "prediction"))

    def _predicted(self, frames: NDArray[Any]) -> tuple[ProductCodes, ProductCodes]:
        """The prediction, and where inference starts."""
        predicted = self._encoder.astype(frames.dtype).encode(frames)
        return predicted, predicted._replace(content=np.maximum(predicted.content, frames.dtype.type(_START)))

    def _near(self, frames: NDArray[Any]) -> ProductCodes:
        """Codes after the steps of learning."""
        predicted, start = self._predicted(frames)
        energy = self._energy(frames.dtype, min(1.0, self.n_batches_ / _WARM_UP))
        return energy.descend(frames, start, predicted, parameter(self, "n_inference_steps"))

    def _inferred(self, frames: NDArray[Any], tolerance: float, max_steps: int) -> ProductCodes:
        predicted, codes = self._predicted(frames)
        energy, every, last = self._energy(frames.dtype), 10, np.inf
        for _ in range(-(-max_steps // every)):
            codes = energy.descend(frames, codes, predicted, every)
            now = float(energy.of(frames, codes, predicted).sum())
            if last - now <= tolerance * abs(now):
                break
            last = now
        return codes

    def _evaluate(self, held_out: NDArray[Any]) -> HeldOutSequences:
        codes, (predicted, _) = self._near(held_out), self._predicted(held_out)

        def error(codes: ProductCodes) -> float:
            return float(np.square(held_out - simple_cells(codes) @ self.components_).sum(axis=2).mean())

        energy = float(self._energy(held_out.dtype).of(held_out, codes, predicted).mean())
        content, location = (float((code > 0).mean()) for code in codes)
        return HeldOutSequences(self.n_batches_, energy, content, location, error(codes), error(predicted))

    def _describe(self, found: HeldOutSequences) -> str:
        return f"energy {found.energy:.4g}, error {found.error:.4g}, predicted {found.predicted_error:.4g}"

    def _held_out_errors(self) -> list[float]:
        return [found.energy for found in self.history_ if found.n_batches > _WARM_UP]

    def _check_learned(self) -> None:
        if not all(all_finite(getattr(self, name)) for name in ("components_", *self._of_encoder)):
            rates = ", ".join(f"{name} (now {parameter(self, name):g})" for name in ("decoder_rate", "encoder_rate"))
            raise UsageError(
                f"TemporalProduct: learning has diverged after {self.n_batches_} batches, and the weights are no "
                f"longer finite: lower {rates}"
            )

    def _conclude(self) -> None:
        self._check_learned()

    def _own_arrays(self) -> None:
        before = [getattr(self, name) for name in self._of_encoder]
        moments, n_steps = self._adam.to_arrays(), self._adam.n_steps
        super()._own_arrays()
        if any(getattr(self, name) is not array for name, array in zip(self._of_encoder, before, strict=True)):
            self._start_training()
            self._adam.restore(moments, n_steps)

    def _context(self) -> AbstractContextManager[None]:
        return silent_blas()

    @property
    def _n_features_out(self) -> int:
        return len(self.content_gain_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
