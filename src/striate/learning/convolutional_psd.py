"""Convolutional predictive sparse decomposition: filters of whole images, and an encoder that predicts their maps.

The file has more than 400 lines because half of them document the estimator for users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from striate.coding import PreparedFilters, infer_convolutional, infer_convolutional_with_prediction
from striate.coding.convolutional.batches import infer_batch
from striate.coding.convolutional.windows import coverage, windows_as_rows
from striate.encoders import Encoder
from striate.encoders.kinds import EncoderRule
from striate.errors import UsageError
from striate.figures.drawn import Shown
from striate.learning._coded_crops import CodedCrops, HeldOutMaps
from striate.learning._encoder_training import EncoderTraining
from striate.learning._filter_update import first_filters, unit_filters, worst_windows
from striate.learning._gradient_decoder import MEMORY
from striate.learning._image_learner import ImageLearner
from striate.learning._images import ImageBatch, Images
from striate.learning._patch_learner import ConvolutionFilters
from striate.learning._scaled_patches import NO_SPARSITY
from striate.learning.online import VERBOSE, Course, Start, silent_blas
from striate.parameters import Boolean, Integer, IntegerTuple, Real, Rule, Seed, parameter
from striate.randomness import RandomState
from striate.stored import array, field

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.coding import Inference

__all__ = ["ConvolutionalPSD", "HeldOutMaps"]

_LONGEST = 144  # numbers of a filter, as in 12×12; for longer ones, images are scaled down as PSD scales patches
_DEAD = 0.02  # a filter that is used this much less than filters are on average is replaced
_FIRST_CROPS = 256  # from which mean and scale are computed
_FLAT = 1e-6  # deviation of images that count as constant, relative to their largest value
_BLOCK = 1 << 22  # numbers of windows that are encoded at a time: 16 MB


class ConvolutionalPSD(EncoderTraining, ImageLearner):
    """Predictive sparse decomposition of whole images.

    Filters `D` (`components_`), code maps `z` of images `x` and an encoder `f` with the filters `W` (`encoder_`) are
    learned together::

        E = ½‖w ⊙ (x − Σₖ Dₖ * zₖ)‖² + sparsity·Σ|z| + ½·prediction·Σₖ‖zₖ − f(Wₖ ⋆ x)‖²

    Patches are coded one by one, so that filters of patches repeat each other at other places; here a filter explains
    its pixels at every position of the image, and the filters become more varied. After learning, one convolution
    predicts the maps: as with `PSD`, `transform` predicts and `infer` minimizes.

    A filter has a coefficient for every position at which it lies inside the image (`D * z` is full, `W ⋆ x` valid).
    Pixels near the border are covered by fewer positions: `w`, their number divided by its maximum, multiplies the
    error of each pixel, so that its square has the weight w². Without these weights, filters drift off center to reach
    the border.

    Images lose the mean of each channel over all training images, and are divided by one number, the standard deviation
    of all of them; for filters of more than 144 weights by a larger one, as in `PSD`. Give high-passed images, from
    `local_contrast_normalization` or `high_pass`: otherwise filters for slow changes take over.

    Parameters
    ----------
    n_components : int, default 64
        The number of filters.
    kernel_size : int or (int, int), default 9
        Height and width of the filters, in pixels.
    sparsity : float, default 2.0
        Weight of the L1 term. Since a filter has a coefficient at every position, it is higher than for patches: 2, a
        quarter of the largest correlation with photographs, leaves a quarter of a coefficient per pixel active, and 1
        three times as many.
    prediction : float, default 1.0
        Weight of the prediction term.
    encoder : Encoder or str, default "tanh"
        As in `PSD`; it sees all windows of an image. "tanh" is ``gain·tanh(W ⋆ x + bias)``; "smooth shrinkage" has a
        bias and a smoothness per map, and is nearly 0 where codes are 0. Its predictions begin near 0 and need more
        batches. Both need no torch. A filter bank of a hierarchy sets the encoder of its nonlinearity.
    predict_in_inference : bool, default True
        Whether the prediction term takes part in inference. With False it only trains the encoder.
    remove_mean : bool, default True
        Whether the mean of each channel is removed.
    crop : int, optional
        Side of the random squares of images that a batch consists of, in pixels; by default three times the filters'
        side less 2, 25 for 9×9, as in the authors' code. Smaller images are taken whole.
    batch_size : int, default 16
        Crops per step of learning; of fewer images, several of each.
    max_batches, max_epochs : int, default 1000 and 1000
        The budget: learning ends after `max_batches`, or when the images have been seen `max_epochs` times.
    n_inference_steps : int, default 5
        Rounds of coordinate descent for the maps of a batch, each of which passes over all coefficients once. Five
        lead to within a thousandth of the least energy.
    decoder_rate : float, default 0.2
        Step of the filters, relative to the curvature that the codes give each filter; after 300 batches it falls as
        1/t.
    encoder_rate : float, default 2e-3
        Step of Adam for the encoder, as in `PSD`; after 300 batches it falls as 1/t too.
    validation_fraction : float, default 0.1
        Fraction of the images, at most 100, of which a crop each is held out to decide when to stop; none with fewer
        than 20 images.
    tolerance : float, default 1e-3
        Learning stops when the held-out energy has not fallen by this fraction in 1,000 batches.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None
        Seed of the first filters, the held-out images and the crops.

    Attributes
    ----------
    components_ : ndarray (n_components, channels, height, width)
        The filters (decoder), of unit norm, in the type of the images (float32 or float64).
    predictor_ : Encoder
        The encoder that was learned, for windows of scaled images.
    encoder_ : ndarray (n_components, channels, height, width)
        The encoder's filters.
    encoder_bias_, gain_, smoothness_ : ndarray (n_components,)
        Its bias, its gain if it is a `TanhEncoder`, and its β if it is a smooth shrinkage.
    mean_ : ndarray (channels,)
    scale_ : float
        What images lose, and the number that they are divided by.
    n_batches_ : int
        Batches learned from.
    usage_ : ndarray (n_components,)
        Active coefficients of each filter per position, in the last hundred batches or so.
    history_ : list of HeldOutMaps
        Every 100 batches: energy, active coefficients per position, both reconstruction errors.
    energy_history_ : ndarray (n_checks,), float64
        The energies of `history_`.

    References
    ----------
    Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu, LeCun, "Learning convolutional feature hierarchies for visual
    recognition", NIPS 2010, equations 3 to 7.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.learning import ConvolutionalPSD
    >>> images = np.random.default_rng(0).standard_normal((4, 1, 24, 30), dtype=np.float32)
    >>> learner = ConvolutionalPSD(6, kernel_size=5, max_batches=5, random_state=0).fit(images)
    >>> learner.components_.shape, learner.transform(images).shape
    ((6, 1, 5, 5), (4, 6, 20, 26))
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_components": Integer(low=1), "kernel_size": Integer(low=1) | IntegerTuple(2, low=1),
        "sparsity": Real(low=0), "prediction": Real(low=0), "encoder": EncoderRule(),
        "predict_in_inference": Boolean(), "remove_mean": Boolean(), "crop": Integer(low=1) | None,
        "batch_size": Integer(low=1), "max_batches": Integer(low=1), "max_epochs": Integer(low=1),
        "n_inference_steps": Integer(low=1), "decoder_rate": Real(low=0), "encoder_rate": Real(low=0),
        "validation_fraction": Real(low=0, below=1), "tolerance": Real(low=0), "verbose": VERBOSE,
        "random_state": Seed(),
    }  # fmt: skip
    _learned = ("components_", "usage_", "mean_", "_code_energy")
    _apart = ("encoder",)
    _checkpoint_name = "convolutional-psd"
    _phase_name = "learning filters"
    _check_every = 100
    _patience = 10
    _most_held_out, _fewest = 100, 20

    history_: list[HeldOutMaps]
    usage_: NDArray[Any]
    mean_: NDArray[Any]
    scale_: float

    def __init__(
        self,
        n_components: int = 64,
        kernel_size: int | tuple[int, int] = 9,
        *,
        sparsity: float = 2.0,
        prediction: float = 1.0,
        encoder: Encoder | str = "tanh",
        predict_in_inference: bool = True,
        remove_mean: bool = True,
        crop: int | None = None,
        batch_size: int = 16,
        max_batches: int = 1000,
        max_epochs: int = 1000,
        n_inference_steps: int = 5,
        decoder_rate: float = 0.2,
        encoder_rate: float = 2e-3,
        validation_fraction: float = 0.1,
        tolerance: float = 1e-3,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.kernel_size = kernel_size
        self.sparsity = sparsity
        self.prediction = prediction
        self.encoder = encoder
        self.predict_in_inference = predict_in_inference
        self.remove_mean = remove_mean
        self.crop = crop
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
    def encoder_(self) -> NDArray[Any]:
        """The encoder's filters."""
        return self.predictor_.filters.reshape(self.components_.shape)

    @property
    def encoder_bias_(self) -> NDArray[Any]:
        """The bias of an encoder that has one."""
        return self._of_encoder("bias")

    @property
    def gain_(self) -> NDArray[Any]:
        """The gain of an encoder that has one."""
        return self._of_encoder("gain")

    @property
    def smoothness_(self) -> NDArray[Any]:
        """β of a smooth shrinkage: how sharp its kink is."""
        return self._of_encoder("beta")

    @property
    def energy_history_(self) -> NDArray[np.float64]:
        """Energies of held-out crops, one per evaluation."""
        return np.array([found.energy for found in self.history_])

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
            For parameters or images that cannot be used, such as images that are smaller than the filters, or constant.
        """
        return super().fit(X, y, **options)

    def transform(self, X: Any) -> Any:
        """The maps that the encoder predicts.

        Parameters
        ----------
        X : images
            As in `fit`, of any size that holds a filter: mean and scale are part of the model.

        Returns
        -------
        ndarray (n_images, n_components, n_rows, n_columns) for an array, or a list of (n_components, n_rows, n_columns)
            One number per filter for each of its positions inside the image, in the type of the images.
        """
        return self._each(X, self._predicted)

    def infer(self, X: Any, *, tolerance: float | None = None) -> Any:
        """The optimal maps, which minimize the energy that the model was fitted with.

        Parameters
        ----------
        X : images
            As in `fit`.
        tolerance : float, optional
            Tolerance of the duality gap, as in `striate.coding.infer_convolutional`.

        Returns
        -------
        ndarray (n_images, n_components, n_rows, n_columns) for an array, or a list of (n_components, n_rows, n_columns)
            Inactive coefficients are exactly 0.
        """
        return self._each(X, lambda image: np.asarray(self._optimum(image, tolerance).codes))

    def score(self, X: Any, y: object = None) -> float:
        """Minus the mean energy of images, with optimal maps: larger is better, as in scikit-learn."""
        images = self._known(X)
        return -float(np.mean([self._optimum(images[index][0], None).objective for index in range(len(images))]))

    def inverse_transform(self, X: Any) -> Any:
        """The images that maps represent, in the scale of the images that the model was fitted to.

        Parameters
        ----------
        X : float (n_images, n_components, n_rows, n_columns), (n_components, n_rows, n_columns), SparseMaps, or a list
            Maps, predicted or optimal.

        Returns
        -------
        ndarray (n_images, channels, height, width), (channels, height, width), or a list
        """
        check_is_fitted(self)

        def unscaled(image: NDArray[Any]) -> NDArray[Any]:
            real = image.dtype.type
            return np.asarray(real(self.scale_) * image + self.mean_.astype(image.dtype)[:, np.newaxis, np.newaxis])

        found = PreparedFilters(self.components_).reconstruct(X)
        return [unscaled(image) for image in found] if isinstance(found, list) else unscaled(found)

    def convolution_filters(self) -> ConvolutionFilters:
        """The encoder for raw images, in the form that a convolution needs.

        The mean is a constant and the scale a factor, so that both fold into filters and bias::

            transform(image) = gain · f(filters ⋆ image + bias)

        Returns
        -------
        ConvolutionFilters
            `filters` (n_components, channels·height·width), and (n_components,) `bias`, `gain` and what f needs.

        Raises
        ------
        UsageError
            For an encoder of another form.
        """
        check_is_fitted(self)
        arrays = {name: array.copy() for name, array in self.predictor_.convolution().items()}
        filters = arrays["filters"] / arrays["filters"].dtype.type(self.scale_)
        sums = filters.reshape(self.components_.shape).sum(axis=(2, 3))
        bias = arrays["bias"] - sums @ self.mean_.astype(filters.dtype)
        return ConvolutionFilters(**arrays | {"filters": filters, "bias": bias})

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also all that learning needs to continue with the same bits."""
        arrays, header = super().to_state(training=training)
        of_encoder, steps = self._training_state(training=training)
        arrays |= {f"encoder.{name}": values for name, values in self.predictor_.arrays().items()} | of_encoder
        return arrays, {**header, "parameters": self._plain(), **steps, "scale": self.scale_}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        array(arrays, "components", (None, None, None, None))
        super()._restore(arrays, header)
        encoder = self._new_encoder()
        self.predictor_ = encoder.set_arrays(**{name: np.array(arrays[f"encoder.{name}"]) for name in encoder.names})
        self.scale_ = field(header, "scale", Real(above=0))
        self.history_ = [HeldOutMaps(*found) for found in self.history_]
        self._restore_training(arrays, header)

    def plot_filters(self, *, columns: int | None = None) -> Figure:
        """Draw the encoder's filters, as `plot_components` does those of the decoder."""
        check_is_fitted(self)
        return Shown(self.encoder_, self._caption()).draw(columns)

    def _of_encoder(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = getattr(self.predictor_, name)
        return found

    # Images

    @property
    def crop_side(self) -> int:
        """The side of crops that is used, in pixels."""
        return int(parameter(self, "crop") or 3 * max(self._kernel) - 2)

    def _samples(self, X: Any, *, reset: bool) -> Images:
        if self.crop_side < max(self._kernel):
            raise UsageError(
                f"ConvolutionalPSD: crop is {self.crop_side}, and filters of {self._kernel[0]}×{self._kernel[1]} do "
                "not fit into it: raise crop, or leave it out"
            )
        return self._learned_from(X, reset=reset)

    def _batch(self, samples: Images, rows: NDArray[np.int64]) -> ImageBatch:
        # As many crops as a batch has, also of fewer images.
        each = np.resize(np.sort(rows), parameter(self, "batch_size"))
        return samples.batch(each, crop=self.crop_side, rng=np.random.default_rng([self._seed, 2, self.n_batches_]))

    def _held_out(self, samples: Images, rows: NDArray[np.int64]) -> ImageBatch:
        return samples.batch(np.sort(rows), crop=self.crop_side, rng=np.random.default_rng([self._seed, 3]))

    def _each(self, X: Any, function: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
        """The maps of each image, in an array or a list."""
        images = self._known(X)
        found = [function(images[index][0]) for index in range(len(images))]
        return np.stack(found) if images.is_array else found

    def _optimum(self, image: NDArray[Any], tolerance: float | None) -> Inference:
        """The optimal maps of an image, and their energy."""
        scaled, sparsity = self._scaled(image), parameter(self, "sparsity") or NO_SPARSITY
        options: dict[str, Any] = {
            "mask": coverage(image.shape[1], image.shape[2], *self._kernel), "tolerance": tolerance, "info": True,
        }  # fmt: skip
        weight = parameter(self, "prediction")
        if not (weight and parameter(self, "predict_in_inference")):
            plain: Inference = infer_convolutional(scaled, self.components_, sparsity, **options)
            return plain
        found: Inference = infer_convolutional_with_prediction(
            scaled, self.components_, sparsity, prediction=weight, target=self._predicted(image), **options
        )
        return found

    def _scaled(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images (…, channels, height, width) in the form that encoder and filters use."""
        scaled = images - self.mean_.astype(images.dtype)[:, np.newaxis, np.newaxis]
        scaled /= images.dtype.type(self.scale_)
        return np.asarray(scaled)

    def _predicted(self, image: NDArray[Any]) -> NDArray[Any]:
        """The predicted maps of an image, some rows at a time."""
        (height, width), encoder = self._kernel, self.predictor_.astype(image.dtype)
        n_rows, n_columns = image.shape[1] - height + 1, image.shape[2] - width + 1
        scaled = self._scaled(image)[np.newaxis]
        maps = np.empty((len(self.components_), n_rows, n_columns), image.dtype)
        step = max(1, _BLOCK // (n_columns * encoder.n_features))
        for first in range(0, n_rows, step):
            last = min(first + step, n_rows)
            codes = encoder.encode(windows_as_rows(scaled[:, :, first : last + height - 1], height, width))
            maps[:, first:last] = codes.reshape(last - first, n_columns, -1).transpose(2, 0, 1)
        return maps

    # Learning

    def _begin(self, start: Start) -> None:
        images, rng = start.samples, np.random.default_rng([self._seed, 1])
        crops = images.batch(np.resize(np.sort(start.rows[:_FIRST_CROPS]), _FIRST_CROPS), crop=self.crop_side, rng=rng)
        self._set_scale(crops.images)
        n_components = parameter(self, "n_components")
        shape = n_components, images.n_channels, *self._kernel
        self.components_ = first_filters(shape, images.dtype, start=None, rng=rng)
        self.predictor_ = self._new_encoder().start(self._as_units(), self._sparsity_of_encoder)
        self.usage_ = np.zeros(n_components)
        self._code_energy = np.zeros(n_components, images.dtype)
        self._begin_training()

    def _set_scale(self, images: list[NDArray[Any]]) -> None:
        """Set the mean of each channel, and the scale: the deviation of all channels together."""
        n_pixels = sum(image[0].size for image in images)
        mean = np.zeros(len(images[0]))
        if parameter(self, "remove_mean"):
            mean = np.sum([image.sum(axis=(1, 2), dtype=np.float64) for image in images], axis=0) / n_pixels
        square = sum(float(np.square(image - mean[:, np.newaxis, np.newaxis]).sum()) for image in images)
        deviation = float(np.sqrt(square / (n_pixels * len(mean))))
        limits = np.finfo(images[0].dtype)
        if not deviation > _FLAT * max(float(np.abs(image).max()) for image in images):
            raise UsageError("ConvolutionalPSD: the images are constant, so that there is nothing to learn from")
        if not float(limits.tiny) < deviation < float(limits.max) ** 0.25:
            raise UsageError(f"ConvolutionalPSD: the images' deviation is {deviation:.3g}: bring them to a scale of 1")
        n_features = len(mean) * self._kernel[0] * self._kernel[1]
        self.mean_ = mean.astype(images[0].dtype)
        self.scale_ = deviation * float(np.sqrt(max(1.0, n_features / _LONGEST)))

    def _learn(self, batch: ImageBatch, course: Course) -> None:
        """The four steps of PSD, for one batch of crops: predict, infer, update the decoder, update the encoder."""
        images = self._of_one_size(batch)
        rows = np.concatenate([windows_as_rows(some, *self._kernel) for some in images])
        predicted = self._learning.predict(rows)
        self._check_learned(predicted, self.components_)
        found = self._minimize_energy(images, predicted)
        self._update_decoder(found)
        # Few of the codes to predict are not 0: at a constant rate, the noise of single batches stays in the filters.
        self._learning.step(rows, np.concatenate([crops.rows for crops in found]), self._slowing(), slows=True)

    def _of_one_size(self, batch: ImageBatch) -> list[NDArray[Any]]:
        """Scaled images, those of each size in one array."""
        sizes: dict[tuple[int, ...], list[NDArray[Any]]] = {}
        for image in batch.images:
            sizes.setdefault(image.shape, []).append(image)
        return [self._scaled(np.stack(images)) for images in sizes.values()]

    def _minimize_energy(self, images: list[NDArray[Any]], predicted: NDArray[Any]) -> list[CodedCrops]:
        """Step 2: maps near the minimum of the energy, from codes that are predicted for all windows."""
        found, first, filters = [], 0, PreparedFilters(self.components_)
        for some in images:
            n_rows, n_columns = some.shape[2] - self._kernel[0] + 1, some.shape[3] - self._kernel[1] + 1
            codes = predicted[first : first + len(some) * n_rows * n_columns]
            first += len(codes)
            target = codes.reshape(len(some), n_rows, n_columns, -1).transpose(0, 3, 1, 2)
            target = np.ascontiguousarray(target)
            weights = np.square(coverage(some.shape[2], some.shape[3], *self._kernel)).astype(some.dtype)
            maps = infer_batch(
                some, filters, parameter(self, "sparsity"), rounds=parameter(self, "n_inference_steps"), target=target,
                prediction=parameter(self, "prediction") if parameter(self, "predict_in_inference") else 0.0,
                weights=weights,
            )  # fmt: skip
            found.append(CodedCrops(some, weights, target, maps))
        return found

    def _update_decoder(self, found: list[CodedCrops]) -> None:
        """Step 3: a gradient step of the filters on the weighted error, then back to unit norm."""
        n = sum(crops.n_positions for crops in found)
        used = np.sum([np.count_nonzero(crops.optimal, axis=(0, 2, 3)) for crops in found], axis=0) / n
        energy = np.sum([np.einsum("nkij,nkij->k", crops.optimal, crops.optimal) for crops in found], axis=0) / n
        memory = MEMORY if self.n_batches_ else 0.0
        self.usage_ += (1 - memory) * (used - self.usage_)
        self._code_energy += self._code_energy.dtype.type(1 - memory) * (energy - self._code_energy)
        # As in PSD: the mean square of a filter's codes is about the curvature of its error.
        curvature = np.maximum(self._code_energy + self._code_energy.mean(), 1e-12)
        step = np.sum([crops.descent(self.components_) for crops in found], axis=0)
        step *= (parameter(self, "decoder_rate") * self._slowing() / n / curvature)[:, None, None, None]
        self.components_ = unit_filters(self.components_ + step)

    def _replace_dead_units(self, batch: ImageBatch) -> None:
        """Replace filters that are hardly used, by windows with large errors."""
        dead = np.flatnonzero(self.usage_ < _DEAD * self.usage_.mean())
        if not dead.size:
            return
        residuals = [one for crops in self._coded(batch) for one in crops.weighted_residual(self.components_)]
        fresh = worst_windows(residuals, dead.size, self._kernel)
        dead = dead[: len(fresh)]
        self.components_[dead] = fresh
        self._learning.restart(dead, self._as_units())
        self._code_energy[dead] = self._code_energy.mean()
        self.usage_[dead] = self.usage_.mean()  # not dead again for about a hundred batches

    def _coded(self, batch: ImageBatch) -> list[CodedCrops]:
        """Predicted and optimal maps of images that are not learned from."""
        images = self._of_one_size(batch)
        rows = np.concatenate([windows_as_rows(some, *self._kernel) for some in images])
        return self._minimize_energy(images, self._learning.encode(rows))

    def _as_units(self) -> NDArray[Any]:
        return self.components_.reshape(len(self.components_), -1)

    def _evaluate(self, held_out: ImageBatch) -> HeldOutMaps:
        weights = {name: parameter(self, name) for name in ("sparsity", "prediction")}
        return HeldOutMaps.measured(self.n_batches_, self._coded(held_out), self.components_, **weights)

    def _describe(self, found: HeldOutMaps) -> str:
        return found.in_words()

    def _held_out_errors(self) -> list[float]:
        return [found.energy for found in self.history_]

    def _context(self) -> AbstractContextManager[None]:
        return silent_blas()
