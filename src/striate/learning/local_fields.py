"""Simple and complex cells over large images: a unit with a local field of its own at every position.

The file has more than 400 lines because half of them document the estimator for users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.kernels.tiles import TOGETHER
from striate.learning._filter_update import unit_filters
from striate.learning._gradient_decoder import MEMORY, slowing
from striate.learning._image_learner import ImageLearner
from striate.learning._images import ImageBatch, Images
from striate.learning._local_codes import LocalCodes, Penalty
from striate.learning._local_encoder import LocalEncoder, predicted
from striate.learning._local_learning import CodedBatch, HeldOutSheet, best_fields, code_energies
from striate.learning._local_sheet import LocalSheet, field_window, images_of
from striate.learning.online import VERBOSE, Course, Start, silent_blas
from striate.parameters import Boolean, Integer, IntegerTuple, Real, Rule, Seed, parameter
from striate.randomness import RandomState
from striate.samples import all_finite
from striate.stored import array, field

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["HeldOutSheet", "LocalFields"]

_FIRST_CROPS = 64  # from which mean and scale are computed
_FLAT = 1e-6  # deviation of images that count as constant, relative to their largest value
_FULL_RATE = 1000  # batches, after which steps fall as 1/t
_FIRST_SHARE = 0.2  # of the sparsity, in the first batch
_UNSETTLED, _MANY, _FEW = 30, 30, 2  # batches in which fields change a lot; power iterations in those, and in others
_RISE = 1.001  # of an energy over that of codes of 0, from which the bound of the eigenvalue was too low
_MOST_STEPS = 2000  # of `infer`
_ARRAYS = {"filters": "encoder_", "bias": "encoder_bias_", "gain": "gain_"}  # of the encoder


class LocalFields(ImageLearner):
    """Units with local fields over an image, and complex cells that pool them.

    At every position at which a field lies inside the image there is one unit u with a field wᵤ of its own, as in the
    visual cortex, where convolution would have all fields at all positions. Codes z of an image x minimize::

        E = ½‖m ⊙ (x − Σᵤ zᵤ wᵤ)‖² + sparsity·Σ_c √(Σᵤ g(u − c)·zᵤ² + epsilon)

    Complex cells c are the roots: Gaussian pools g, which overlap, over neighboring units. A pool that is active costs
    little more when its other units are active too, so that units which are active together, with similar fields,
    settle beside each other: orientation becomes a smooth map over the sheet, with pinwheels. With a `pool_sigma` of 0
    each pool is one unit, and this is plain sparse coding, without order.

    The sheet may be smaller than the image: then its fields repeat with its size as the period. A sheet of one unit is
    a convolution with one filter.

    Images lose the mean of each channel over all training images, and are divided by one number, the standard deviation
    of all of them. Give whitened images without their highest frequencies, and with their contrast normalized:
    ``local_contrast_normalization(whiten(image, cutoff=0.2))``. With all frequencies there are too few units for smooth
    maps; without the normalization, columns of fields for slow changes have no orientation.

    Parameters
    ----------
    period : int or (int, int), default 40
        Rows and columns of units with different fields.
    kernel_size : int or (int, int), default 15
        Height and width of the fields, in pixels.
    sparsity : float, default 0.9
        Weight of the pools, which must be large for maps to form: with 0.5, fields of photographs become spots without
        an orientation. In the first batches it rises from a fifth, over `warm_up` of them.
    pool_sigma : float, default 1.5
        Standard deviation of the pools' Gaussian, in units; it ends at three of them, and its sum is 1. With fields of
        15×15, 1.5 gives a map with columns 13 units apart in 1,200 batches; at 2 less order had formed after 900.
    pool_stride : int, default 1
        Distance between neighboring pools, in units.
    epsilon : float, default 1e-3
        Codes far below its root, in the scale of the images, are nearly free.
    plateau : float, default 0.7
        Fields are multiplied by a round window, so that they cannot drift away from their place: 1 up to this share of
        the radius, then a raised cosine that ends in 0. With 1 it has a sharp border.
    crop : int, optional
        Side of the random squares of images that a batch consists of, in pixels; by default as large as the sheet, so
        that each field is at one place. Images must not be smaller.
    remove_mean : bool, default True
        Whether the mean of each channel is removed.
    batch_size : int, default 32
        Crops per step of learning; of fewer images, several of each. Multiples of 32 are fastest.
    max_batches, max_epochs : int, default 2000 and 100,000
        The budget: learning ends after `max_batches`, or when the images have been seen `max_epochs` times.
    warm_up : int, default 500
        Batches over which the sparsity rises.
    n_inference_steps : int, default 10
        Steps for the codes of a batch, from the encoder's prediction.
    decoder_rate : float, default 0.2
        Share of the way to the best fields for a batch; after 1,000 batches it falls as 1/t.
    encoder_rate : float, default 1e-3
        Step of Adam for the encoder; after 1,000 batches it falls as 1/t too.
    validation_fraction : float, default 0.1
        Fraction of the images, at most 32, of which a crop each is held out for `history_`; none with fewer than 20
        images.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None
        Seed of the first fields, the held-out images and the crops.

    Attributes
    ----------
    components_ : ndarray (n_rows · n_columns, channels, height, width)
        The fields of the units, row by row of the sheet, of unit norm, in the type of the images (float32 or float64).
    encoder_ : ndarray, as `components_`
    encoder_bias_, gain_ : ndarray (n_rows · n_columns,)
        The encoder, ``gain · tanh(field ⋆ image + bias)``, with a field of its own for each unit.
    sheet_shape_ : (int, int)
        Rows and columns of the sheet.
    mean_ : ndarray (channels,)
    scale_ : float
        What images lose, and the number that they are divided by.
    n_batches_ : int
        Batches learned from.
    history_ : list of HeldOutSheet
        Every 100 batches: energy and both reconstruction errors.

    Notes
    -----
    Codes are found by majorization with momentum, with products of local fields only (`_local_codes`). Pixels near the
    border count less: m² is the number of positions that cover a pixel, divided by its maximum. With the square of
    that, as in `ConvolutionalPSD`, units near the border stay silent, and so do many of their neighbors.

    With 100×100 units of 20×20 pixels, a step for 32 images takes 9 ms of a core with AVX-512, and learning from a
    batch a quarter of a second. Memory is bounded by the batch: about ten copies of the fields, of 16 MB each, and ten
    of the codes of its images.

    References
    ----------
    Gregor, LeCun, "Emergence of complex-like cells in a temporal product network with local receptive fields",
    arXiv:1006.0448, 2010. Hyvärinen, Hoyer, "A two-layer sparse coding model learns simple and complex cell receptive
    fields and topography from natural images", Vision Research 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.learning import LocalFields
    >>> images = np.random.default_rng(0).standard_normal((4, 1, 24, 30), dtype=np.float32)
    >>> learner = LocalFields(12, kernel_size=5, max_batches=3, random_state=0).fit(images)
    >>> learner.components_.shape, learner.transform(images).shape
    ((144, 1, 5, 5), (4, 1, 20, 26))
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "period": Integer(low=1) | IntegerTuple(2, low=1), "kernel_size": Integer(low=1) | IntegerTuple(2, low=1),
        "sparsity": Real(low=0), "pool_sigma": Real(low=0), "pool_stride": Integer(low=1), "epsilon": Real(above=0),
        "plateau": Real(low=0, high=1), "crop": Integer(low=1) | None, "remove_mean": Boolean(),
        "batch_size": Integer(low=1), "max_batches": Integer(low=1), "max_epochs": Integer(low=1),
        "warm_up": Integer(low=0), "n_inference_steps": Integer(low=1), "decoder_rate": Real(low=0, high=1),
        "encoder_rate": Real(low=0), "validation_fraction": Real(low=0, below=1), "verbose": VERBOSE,
        "random_state": Seed(),
    }  # fmt: skip
    _learned = ("components_", *_ARRAYS.values(), "mean_")
    _statistics = ("_code_energy", "_vectors")
    _apart = ("period", "kernel_size")
    _checkpoint_name = "local-fields"
    _phase_name = "learning fields"
    _check_every = 100
    _most_held_out, _fewest = 32, 20

    history_: list[HeldOutSheet]
    encoder_: NDArray[Any]
    encoder_bias_: NDArray[Any]
    gain_: NDArray[Any]
    mean_: NDArray[Any]
    scale_: float
    _code_energy: NDArray[Any]
    _vectors: NDArray[Any]  # from which power iterations go on
    _encoder_lazily: LocalEncoder | None
    _moments: tuple[dict[str, NDArray[Any]], int] | None

    def __init__(
        self,
        period: int | tuple[int, int] = 40,
        kernel_size: int | tuple[int, int] = 15,
        *,
        sparsity: float = 0.9,
        pool_sigma: float = 1.5,
        pool_stride: int = 1,
        epsilon: float = 1e-3,
        plateau: float = 0.7,
        crop: int | None = None,
        remove_mean: bool = True,
        batch_size: int = 32,
        max_batches: int = 2000,
        max_epochs: int = 100_000,
        warm_up: int = 500,
        n_inference_steps: int = 10,
        decoder_rate: float = 0.2,
        encoder_rate: float = 1e-3,
        validation_fraction: float = 0.1,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.period = period
        self.kernel_size = kernel_size
        self.sparsity = sparsity
        self.pool_sigma = pool_sigma
        self.pool_stride = pool_stride
        self.epsilon = epsilon
        self.plateau = plateau
        self.crop = crop
        self.remove_mean = remove_mean
        self.batch_size = batch_size
        self.max_batches = max_batches
        self.max_epochs = max_epochs
        self.warm_up = warm_up
        self.n_inference_steps = n_inference_steps
        self.decoder_rate = decoder_rate
        self.encoder_rate = encoder_rate
        self.validation_fraction = validation_fraction
        self.verbose = verbose
        self.random_state = random_state

    @property
    def sheet_shape_(self) -> tuple[int, int]:
        """Rows and columns of the sheet."""
        check_is_fitted(self)
        return self._period

    @property
    def crop_side(self) -> int:
        """The side of crops that is used, in pixels."""
        return int(parameter(self, "crop") or max(self._least))

    def fit(self, X: Any, y: object = None, **options: Any) -> Self:
        """Learn from images, read one batch at a time in random order.

        Parameters
        ----------
        X : float (n_images, channels, height, width), list, `ImageFolder`, path, or another sequence of images
            As for `ConvolutionalSparseCoding`: images of a list or sequence may have different sizes.
        y : ignored
        **options
            `checkpoint`, `checkpoint_name`, `progress`, `phase_name` and `callback`, as for `OnlineLearner.fit`.

        Raises
        ------
        UsageError
            For parameters or images that cannot be used, such as images that are smaller than crops, or constant.
        """
        return super().fit(X, y, **options)

    def transform(self, X: Any, *, simple: bool = False) -> Any:
        """Maps of complex cells, or of simple cells, that the encoder predicts.

        Parameters
        ----------
        X : images
            As in `fit`, of any size that holds a field.
        simple : bool, default False
            Predict the codes of the units, instead of their pools √(Σ g·z² + epsilon).

        Returns
        -------
        ndarray (n_images, 1, n_rows, n_columns) for an array, or a list of (1, n_rows, n_columns)
            One number for each position of a field inside the image, or with a `pool_stride` for each of its pools, in
            the type of the images.
        """

        def codes(sheet: LocalCodes, images: NDArray[Any]) -> NDArray[Any]:
            return predicted(sheet, images, self._encoder_arrays)[0]

        return self._each(X, codes, simple=simple)

    def infer(self, X: Any, *, simple: bool = True, tolerance: float = 1e-4) -> Any:
        """The optimal codes, which minimize the energy, or their pools.

        Parameters
        ----------
        X : images
            As in `fit`.
        simple : bool, default True
        tolerance : float, default 1e-4
            The norm of the gradient at which the search ends, relative to that at codes of 0; at most 2,000 steps.

        Returns
        -------
        ndarray or list
            As `transform`.
        """
        check_is_fitted(self)
        return self._each(X, lambda sheet, images: self._optimum(sheet, images, tolerance), simple=simple)

    def inverse_transform(self, X: Any) -> Any:
        """The images that codes of units represent, in the scale of the images that the model was fitted to.

        Parameters
        ----------
        X : float (n_images, 1, n_rows, n_columns), (1, n_rows, n_columns), or a list of these
            Predicted or optimal codes.

        Returns
        -------
        ndarray (n_images, channels, height, width), (channels, height, width), or a list
        """
        check_is_fitted(self)
        if isinstance(X, list | tuple):
            return [self.inverse_transform(one) for one in X]
        maps = np.asarray(X)
        if maps.ndim not in (3, 4) or maps.shape[-3] != 1:
            raise UsageError(
                f"LocalFields: codes are (n_images, 1, n_rows, n_columns) or (1, n_rows, n_columns), not {maps.shape}"
            )
        if maps.ndim == 3:
            return self.inverse_transform(maps[np.newaxis])[0]
        height, width = (n + k - 1 for n, k in zip(maps.shape[2:], self._kernel, strict=True))
        sheet = self._sheet((len(maps), self.components_.shape[1], height, width))
        groups = sheet.sheet.groups_of(maps[:, 0].astype(self.components_.dtype))
        images = images_of(sheet.sums(groups, sheet.prepare(self.components_)), len(maps))[:, :, :height, :width]
        real = images.dtype.type
        return np.asarray(real(self.scale_) * images + self.mean_.astype(images.dtype)[:, np.newaxis, np.newaxis])

    def score(self, X: Any, y: object = None) -> float:
        """Minus the mean energy of images, with optimal codes: larger is better, as in scikit-learn."""
        energies = self._each(X, lambda sheet, images: sheet.energy(
            images, self._optimum(sheet, images, 1e-4), sheet.prepare(self.components_)
        ).reshape(len(images), 1, 1, -1), simple=None)  # fmt: skip
        return -float(np.mean([energy.item() for energy in energies]))

    def plot_components(self, *, columns: int | None = None) -> Figure:
        """Draw the fields as they lie on the sheet, each scaled to its own strongest weight.

        Parameters
        ----------
        columns : int, optional
            Fields per row; by default the sheet's columns.
        """
        check_is_fitted(self)
        return super().plot_components(columns=columns or self._period[1])

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also all that learning needs to continue with the same bits."""
        arrays, header = super().to_state(training=training)
        for name in ("period", "kernel_size"):
            size = parameter(self, name)
            header["parameters"][name] = size if isinstance(size, int) else list(size)
        moments, n_steps = self._encoder.state()
        return arrays | (moments if training else {}), {**header, "scale": self.scale_, "n_encoder_steps": n_steps}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        shape = array(arrays, "components", (None, None, *self._kernel)).shape
        if shape[0] != self._period[0] * self._period[1]:
            raise UsageError(f"LocalFields: the file has {shape[0]} fields, and a sheet of {self._period} needs others")
        super()._restore(arrays, header)
        self.scale_ = field(header, "scale", Real(above=0))
        self.history_ = [HeldOutSheet(*found) for found in self.history_]
        if "code_energy" not in arrays:
            self._set_no_statistics()
        moments = {name: np.array(values) for name, values in arrays.items() if name.startswith(("first.", "second."))}
        self._encoder_lazily = None
        self._moments = (moments, int(header["n_encoder_steps"])) if moments else None

    # Images

    @property
    def _period(self) -> tuple[int, int]:
        size: int | tuple[int, int] = parameter(self, "period")
        return (size, size) if isinstance(size, int) else size

    @property
    def _least(self) -> tuple[int, int]:
        """Height and width of the images in which each field has one place."""
        (rows, columns), (height, width) = self._period, self._kernel
        return rows + height - 1, columns + width - 1

    def _samples(self, X: Any, *, reset: bool) -> Images:
        if self.crop_side < max(self._least):
            raise UsageError(
                f"LocalFields: crop is {self.crop_side}, and {self._period[0]}×{self._period[1]} fields need "
                f"{self._least[0]}×{self._least[1]} pixels: raise crop, or leave it out"
            )
        known: dict[str, Any] = {}
        if not reset:
            known = {"n_channels": self.components_.shape[1], "dtype": self.components_.dtype}
        side = self.crop_side
        return Images(X, who=type(self).__name__, kernel=(side, side), holds="crops", **known)

    def _batch(self, samples: Images, rows: NDArray[np.int64]) -> ImageBatch:
        # As many crops as a batch has, also of fewer images.
        each = np.resize(np.sort(rows), parameter(self, "batch_size"))
        return samples.batch(each, crop=self.crop_side, rng=np.random.default_rng([self._seed, 2, self.n_batches_]))

    def _held_out(self, samples: Images, rows: NDArray[np.int64]) -> ImageBatch:
        return samples.batch(np.sort(rows), crop=self.crop_side, rng=np.random.default_rng([self._seed, 3]))

    def _sheet(self, shape: tuple[int, ...], share: float = 1.0) -> LocalCodes:
        """The sheet for images of a size, with a share of the sparsity."""
        sparsity, sigma = share * float(parameter(self, "sparsity")), float(parameter(self, "pool_sigma"))
        penalty = Penalty(sparsity, sigma, parameter(self, "pool_stride"), parameter(self, "epsilon"))
        return LocalCodes(LocalSheet.of(shape, self._period, self._kernel), penalty, self.components_.dtype)

    def _scaled(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (…, channels, height, width) in the form that fields use."""
        scaled = images.astype(self.components_.dtype) - self.mean_[:, np.newaxis, np.newaxis]
        scaled /= self.components_.dtype.type(self.scale_)
        return np.asarray(scaled)

    @property
    def _encoder_arrays(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, attribute) for name, attribute in _ARRAYS.items()}

    def _each(
        self, X: Any, function: Callable[[LocalCodes, NDArray[Any]], NDArray[Any]], *, simple: bool | None
    ) -> Any:
        """Maps of images, some at a time: codes, their pools, or (None) whatever the function returns."""
        images = self._known(X)
        found: list[NDArray[Any]] = []
        step = TOGETHER[self.components_.dtype] if images.is_array else 1
        for first in range(0, len(images), step):
            some = np.stack([images[i][0] for i in range(first, min(first + step, len(images)))])
            sheet = self._sheet(some.shape)
            maps = function(sheet, sheet.grouped(self._scaled(some)))
            if simple:
                maps = maps[:, : sheet.sheet.n_rows, : sheet.sheet.n_columns]
            elif simple is False:
                maps = sheet.pools(maps)
            found += list(images_of(maps[:, np.newaxis], len(some)).astype(images.dtype, copy=False))
        return np.stack(found) if images.is_array else found

    def _optimum(self, sheet: LocalCodes, images: NDArray[Any], tolerance: float) -> NDArray[Any]:
        packed = sheet.prepare(self.components_)
        start, _ = predicted(sheet, images, self._encoder_arrays)
        _, bound = sheet.bound(packed, sheet.first_vectors(np.random.default_rng(0)), 4 * _MANY)
        return sheet.minimize(images, packed, start, bound, _MOST_STEPS, tolerance)

    # Learning

    def _begin(self, start: Start) -> None:
        images, rng = start.samples, np.random.default_rng([self._seed, 1])
        rows = np.resize(np.sort(start.rows[:_FIRST_CROPS]), _FIRST_CROPS)
        self._set_scale(np.stack(images.batch(rows, crop=self.crop_side, rng=rng).images))
        n = self._period[0] * self._period[1]
        noise = rng.standard_normal((n, images.n_channels, *self._kernel))
        self.components_ = unit_filters(self._window * noise).astype(images.dtype)
        for name, values in LocalEncoder.first_arrays(self.components_).items():
            setattr(self, _ARRAYS[name], values)
        self._encoder_lazily = self._moments = None
        self._set_no_statistics()

    def _set_no_statistics(self) -> None:
        real = self.components_.dtype
        self._code_energy = np.zeros(len(self.components_), real)
        self._vectors = np.zeros((0, 0, 0), real)

    def _set_scale(self, crops: NDArray[Any]) -> None:
        """Set the mean of each channel, and the scale: the deviation of all channels together."""
        mean = np.zeros(crops.shape[1])
        if parameter(self, "remove_mean"):
            mean = crops.mean(axis=(0, 2, 3), dtype=np.float64)
        deviation = float(np.sqrt(np.square(crops - mean[:, np.newaxis, np.newaxis]).mean()))
        limits = np.finfo(crops.dtype)
        if not deviation > _FLAT * float(np.abs(crops).max()):
            raise UsageError("LocalFields: the images are constant, so that there is nothing to learn from")
        if not float(limits.tiny) < deviation < float(limits.max) ** 0.25:
            raise UsageError(f"LocalFields: the images' deviation is {deviation:.3g}: bring them to a scale of 1")
        self.mean_, self.scale_ = mean.astype(crops.dtype), deviation

    @property
    def _window(self) -> NDArray[Any]:
        return field_window(self._kernel, parameter(self, "plateau"))

    @property
    def _encoder(self) -> LocalEncoder:
        """The encoder in training, whose arrays are those of the model."""
        if self._encoder_lazily is None:
            self._encoder_lazily = LocalEncoder(self._encoder_arrays, parameter(self, "encoder_rate"))
            if self._moments is not None:
                self._encoder_lazily.adam.restore(*self._moments)
                self._moments = None
        return self._encoder_lazily

    def _own_arrays(self) -> None:
        super()._own_arrays()
        if self._encoder_lazily is not None:
            for name, attribute in _ARRAYS.items():
                setattr(self, attribute, self._encoder_lazily.arrays[name])

    def _slowing(self) -> float:
        """Factor of the step size: 1 for the first batches, then falling as 1/t."""
        return slowing(self.n_batches_, _FULL_RATE)

    def _learn(self, batch: ImageBatch, course: Course) -> None:
        """Predict, infer, update the fields, update the encoder."""
        warm_up = parameter(self, "warm_up")
        share = min(1.0, _FIRST_SHARE + (1 - _FIRST_SHARE) * self.n_batches_ / warm_up) if warm_up else 1.0
        coded = self._coded(batch, share, learns=True)
        memory = MEMORY if self._code_energy.any() else 0.0
        self._code_energy += self._code_energy.dtype.type(1 - memory) * (code_energies(coded) - self._code_energy)
        rate = parameter(self, "decoder_rate") * self._slowing()
        fields = best_fields(coded, self.components_, self._code_energy, self._window, rate)
        self._encoder.step(coded, self._slowing())
        self.components_ = fields

    def _coded(self, batch: ImageBatch, share: float, *, learns: bool) -> CodedBatch:
        """Codes of a batch, near the minimum."""
        given = self._scaled(np.stack(batch.images))
        sheet = self._sheet(given.shape, share)
        images, packed = sheet.grouped(given), sheet.prepare(self.components_)
        start, active = predicted(sheet, images, self._encoder_arrays)
        start *= sheet.there(len(batch), len(start))
        optimal = self._minimum(sheet, images, packed, start, learns=learns)
        return CodedBatch(sheet, len(batch), images, packed, start, active, optimal)

    def _minimum(
        self, sheet: LocalCodes, images: NDArray[Any], packed: NDArray[Any], start: NDArray[Any], *, learns: bool
    ) -> NDArray[Any]:
        """Codes near the minimum. Where the bound turns out too low, it is found again from noise."""
        rng = np.random.default_rng([self._seed, 4, self.n_batches_])
        n_steps, fresh = parameter(self, "n_inference_steps"), sheet.first_vectors(rng)
        vectors, rounds = self._vectors.copy(), _FEW if self.n_batches_ >= _UNSETTLED else _MANY
        if vectors.shape != fresh.shape:
            vectors, rounds = fresh, _MANY
        renewed = self.n_batches_ % vectors.shape[-1]
        vectors[..., renewed] = fresh[..., renewed]
        vectors, bound = sheet.bound(packed, vectors, rounds)
        found = sheet.minimize(images, packed, start, bound, n_steps)
        most = _RISE * sheet.energy(images, np.zeros_like(found), packed)
        if not (sheet.energy(images, found, packed) <= most).all():
            vectors, bound = sheet.bound(packed, fresh, 4 * _MANY)
            found = sheet.minimize(images, packed, start, bound, n_steps)
        if learns:
            self._vectors = vectors
        return found

    def _evaluate(self, held_out: ImageBatch) -> HeldOutSheet:
        return HeldOutSheet.measured(self.n_batches_, self._coded(held_out, 1.0, learns=False))

    def _describe(self, found: HeldOutSheet) -> str:
        return found.in_words()

    def _held_out_errors(self) -> list[float]:
        return [found.energy for found in self.history_]

    def _conclude(self) -> None:
        """Raise an error if numbers are no longer finite."""
        if not all(all_finite(values) for values in (self.components_, *self._encoder_arrays.values())):
            rates = ", ".join(f"{name} (now {parameter(self, name):g})" for name in ("encoder_rate", "decoder_rate"))
            raise UsageError(
                f"LocalFields: learning has diverged after {self.n_batches_} batches, and the weights are no longer "
                f"finite: lower {rates}"
            )

    def _context(self) -> AbstractContextManager[None]:
        return silent_blas()
