"""Convolutional sparse coding: filters whose convolutions with sparse maps rebuild whole images, learned online."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from striate.coding import PreparedFilters, SparseMaps, infer_convolutional
from striate.errors import StriateError
from striate.learning._automatic_sparsity import corrected_sparsity
from striate.learning._filter_update import first_filters, update_filters, worst_windows
from striate.learning._image_learner import ImageLearner
from striate.learning._images import HeldOutImages, ImageBatch, Images
from striate.learning._map_statistics import active_per_position, add_statistics, completed, n_positions
from striate.learning._objective import HeldOutObjective, comparable
from striate.learning.online import VERBOSE, Course, Start
from striate.parameters import (
    Anything,
    Boolean,
    Choice,
    Integer,
    IntegerTuple,
    Real,
    Rule,
    Seed,
    parameter,
)
from striate.randomness import RandomState

__all__ = ["ConvolutionalSparseCoding"]

_DEAD = 0.01  # a filter that is used this much less than filters are on average is replaced
_USAGE_MEMORY = 0.9  # decay of the running usage over batches
_SETTLED = 0.5  # fraction of the budget after which an automatic sparsity is fixed
_IN_LEARNING, _IN_EVALUATION = 1e-2, 1e-3  # relative duality gaps
_FIRST_IMAGES = 16  # from which the first sparsity comes
_SMALL = 8  # sides of a filter: of each of them, a corner of this side is enough for the first sparsity
_STEP, _MOST_STEPS = 0.75, 30  # by which it falls from the least sparsity of empty codes


class ConvolutionalSparseCoding(ImageLearner):
    """Filters dₖ, of unit norm, whose convolutions with sparse code maps zₖ add up to whole images.

    It minimizes ½‖mask ⊙ (x − Σₖ dₖ * zₖ)‖² + sparsity·Σₖ ‖zₖ‖₁ over images x, as `infer_convolutional` does for given
    filters. Where codes of patches repeat each other's work, so that many units are copies of one at another place, a
    filter here serves all places.

    Images are used as they are given. A constant image is the sum of a constant filter at every position, so that
    images with a mean spend a filter and many coefficients on it, and their filters become blurred: learn from images
    behind `local_contrast_normalization` or `high_pass`.

    Parameters
    ----------
    n_components : int, default 64
    kernel_size : int or (int, int), default 9
        Height and width of the filters, in pixels.
    sparsity : float or "auto", default "auto"
        Weight of the L1 term, in the scale of the images; "auto" finds the one that leaves `active_per_position`
        coefficients active. This is stable, where a fraction of the largest correlation (λ_max) would depend on one
        window of one image, and on filters that are not yet learned.
    active_per_position : float, default 0.1
        With "auto", coefficients that are not 0 per position of the filters in the image, over all maps. It does not
        depend on the number of filters, each of which could rebuild almost any image alone. Lower values are faster,
        and show what single filters stand for; higher ones rebuild images better.
    positive : bool, default False
        Codes must not be negative.
    crop : int, optional
        Learn from one random square of this side, in pixels, of each image of a batch, instead of the whole image;
        held-out images are cropped too, always at the same place. Small squares give more of their coefficients to
        borders.
    batch_size : int, default 8
        Images per batch.
    max_batches, max_epochs : int, default 300 and 100
        The budget: learning ends after `max_batches`, or when the images have been seen `max_epochs` times.
    forgetting : float, default 3.0
        How fast statistics of old codes fade: those of n images are multiplied by (n / (n + m))^forgetting when m more
        have been seen, as in `SparseCoding`.
    start : float (n_components, channels, height, width), optional
        The first filters; noise by default.
    validation_fraction : float, default 0.1
        Fraction of the images, at most 50, held out to decide when to stop; none with fewer than 10 images.
    tolerance : float, default 1e-4
        Learning stops when the held-out objective has not fallen by this fraction in 100 batches.
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    components_ : ndarray (n_components, channels, height, width)
        Filters of unit norm, in the type of the images (float32 or float64).
    sparsity_ : float
        The sparsity that is used.
    usage_ : ndarray (n_components,)
        Active coefficients of each filter per position, in recent images.
    n_batches_, n_replaced_ : int
        Batches learned from; how many times a filter that was hardly used was replaced.
    history_ : list of HeldOutObjective
        Evaluations every 20 batches; `objective` is the mean over images, `active` counts coefficients per position.

    Notes
    -----
    Each batch is coded to a relative duality gap of 1%. Its code maps add to sufficient statistics, from which the
    error of any filters follows exactly, border included: see `_filter_update`, which then lowers it filter by filter.
    They take n_components²·(2h − 1)·(2w − 1) numbers: 9 MB for 64 filters of 9×9, and 150 MB for 256.

    With masks, exact statistics would differ from pixel to pixel. There, hidden pixels take their values from the
    reconstruction, and a weight below the image's largest a share of it. This bounds the masked error from above and
    touches it at the present filters, so that lowering the bound lowers the error (EM, or majorization-minimization),
    and needs no step size; progress is slower by the share of pixels that are hidden.

    References
    ----------
    Mairal, Bach, Ponce, Sapiro, JMLR 11, 2010. Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu, LeCun, NIPS 2010.
    Moreau, Gramfort, "DICODILE: distributed convolutional dictionary learning", 2019 (arXiv 1901.09235). Liu,
    Garcia-Cardona, Wohlberg, Yin, "First and second order methods for online convolutional dictionary learning", SIAM
    J. Imaging Sciences 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.learning import ConvolutionalSparseCoding
    >>> images = np.random.default_rng(0).standard_normal((4, 1, 24, 30))
    >>> learner = ConvolutionalSparseCoding(6, kernel_size=5, max_batches=5, random_state=0).fit(images)
    >>> learner.components_.shape, learner.transform(images).shape
    ((6, 1, 5, 5), (4, 6, 20, 26))
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_components": Integer(low=1), "kernel_size": Integer(low=1) | IntegerTuple(2, low=1),
        "sparsity": Real(above=0) | Choice("auto"), "active_per_position": Real(above=0), "positive": Boolean(),
        "crop": Integer(low=1) | None, "batch_size": Integer(low=1), "max_batches": Integer(low=1),
        "max_epochs": Integer(low=1), "forgetting": Real(low=0), "start": Anything(),
        "validation_fraction": Real(low=0, below=1), "tolerance": Real(low=0), "verbose": VERBOSE,
        "random_state": Seed(),
    }  # fmt: skip
    _learned = ("components_", "usage_")
    _statistics = ("_code_products", "_image_products")
    _apart = ("start", "kernel_size")
    _checkpoint_name = "convolutional-sparse-coding"
    _phase_name = "learning filters"
    _check_every = 20
    _patience = 5
    _most_held_out, _fewest = 50, 10  # an image has thousands of windows

    history_: list[HeldOutObjective]

    def __init__(
        self,
        n_components: int = 64,
        kernel_size: int | tuple[int, int] = 9,
        *,
        sparsity: float | Literal["auto"] = "auto",
        active_per_position: float = 0.1,
        positive: bool = False,
        crop: int | None = None,
        batch_size: int = 8,
        max_batches: int = 300,
        max_epochs: int = 100,
        forgetting: float = 3.0,
        start: ArrayLike | None = None,
        validation_fraction: float = 0.1,
        tolerance: float = 1e-4,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.kernel_size = kernel_size
        self.sparsity = sparsity
        self.active_per_position = active_per_position
        self.positive = positive
        self.crop = crop
        self.batch_size = batch_size
        self.max_batches = max_batches
        self.max_epochs = max_epochs
        self.forgetting = forgetting
        self.start = start
        self.validation_fraction = validation_fraction
        self.tolerance = tolerance
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: object = None, *, masks: Any = None, **options: Any) -> Self:
        """Learn from images, read one batch at a time in random order.

        Parameters
        ----------
        X : float (n_images, channels, height, width), list, `ImageFolder`, path, or another sequence of images
            Images of a list or sequence, (height, width) or (channels, height, width), may have different sizes. A
            sequence, such as a folder, has a length and gives an image for a number; only a batch of it is in memory.
            An iterator of such arrays or lists is learned from batch by batch, as it gives them.
        y : ignored
        masks : sequence of (height, width) or (channels, height, width), optional
            The weight of each pixel's error, at least 0, one mask for each image. Where it is 0, images may be NaN.
        **options
            `checkpoint`, `checkpoint_name`, `progress`, `phase_name` and `callback`, as for `OnlineLearner.fit`.

        Raises
        ------
        UsageError
            For parameters or images that cannot be used, such as images that are smaller than the filters.
        """
        return super().fit(X, y, **options, **({} if masks is None else {"masks": masks}))

    def partial_fit(self, X: Any, y: object = None, *, masks: Any = None) -> Self:
        """Continue learning from more images, each once and in their order, `batch_size` at a time.

        Parameters
        ----------
        X, masks : as in `fit`
            The first images decide about channels, type and, with "auto", the first sparsity.
        y : ignored
        """
        return self._go_on(X, parameter(self, "batch_size"), masks=masks)

    def transform(self, X: Any, *, masks: Any = None) -> Any:
        """Optimal code maps.

        Parameters
        ----------
        X, masks : as in `fit`

        Returns
        -------
        ndarray (n_images, n_components, n_rows, n_columns) for an array, else a list of SparseMaps
            In the type of the images.
        """
        images = self._known(X, masks)
        if images.is_array:
            return np.stack(self._codes(images.batch(range(len(images))), None, sparse_output=False))
        return [codes for one in images for codes in self._codes(one, None)]

    def inverse_transform(self, X: Any) -> Any:
        """The images that code maps stand for: an array for an array of codes, a list for a list."""
        check_is_fitted(self)
        return PreparedFilters(self.components_).reconstruct(X)

    def score(self, X: Any, y: object = None, *, masks: Any = None) -> float:
        """Minus the mean objective of images, with optimal codes: larger is better, as in scikit-learn."""
        return -self._objective(self._known(X, masks), None)[0]

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also the statistics that learning goes on from."""
        arrays, header = super().to_state(training=training)
        size = parameter(self, "kernel_size")
        header["parameters"]["kernel_size"] = size if isinstance(size, int) else list(size)
        if self.start is not None:
            arrays["start"] = np.asarray(self.start, self.components_.dtype)
        header |= {"sparsity": self.sparsity_, "n_seen": self._n_seen, "n_replaced": self.n_replaced_}
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`."""
        start = {"start": np.array(arrays["start"])} if "start" in arrays else {}
        return super().from_state(arrays, {**header, "parameters": {**header["parameters"], **start}})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        self.history_ = [HeldOutObjective(*found) for found in self.history_]
        if "code_products" not in arrays:
            self._set_no_statistics()
        self.sparsity_, self._n_seen = float(header["sparsity"]), int(header["n_seen"])
        self.n_replaced_ = int(header["n_replaced"])

    def _samples(self, X: Any, *, reset: bool, masks: Any = None) -> Images:
        return self._learned_from(X, masks, reset=reset)

    def _batch(self, samples: Images, rows: NDArray[np.int64]) -> ImageBatch:
        rng = np.random.default_rng([self._seed, 2, self.n_batches_])
        return samples.batch(np.sort(rows), crop=parameter(self, "crop"), rng=rng)

    def _held_out(self, samples: Images, rows: NDArray[np.int64]) -> HeldOutImages:
        return HeldOutImages(samples, rows, crop=parameter(self, "crop"), seed=self._seed)

    def _begin(self, start: Start) -> None:
        """Initialize the filters, empty statistics and, with "auto", the sparsity."""
        n_components, samples = parameter(self, "n_components"), start.samples
        shape = n_components, samples.n_channels, *self._kernel
        rng = np.random.default_rng([self._seed, 1, 0])
        self.components_ = first_filters(shape, samples.dtype, start=self.start, rng=rng)
        self._set_no_statistics()
        self._n_seen, self.n_replaced_ = 0, 0
        self.usage_ = np.zeros(n_components)
        if self.sparsity == "auto":
            rows = np.sort(start.rows[:_FIRST_IMAGES])
            self.sparsity_ = self._first_sparsity(samples.batch(rows, crop=parameter(self, "crop"), rng=rng))
        else:
            self.sparsity_ = parameter(self, "sparsity")

    def _set_no_statistics(self) -> None:
        shape = self.components_.shape
        shifts = 2 * shape[2] - 1, 2 * shape[3] - 1
        self._code_products = np.zeros((shape[0], shape[0], *shifts))
        self._image_products = np.zeros(shape)

    def _first_sparsity(self, batch: ImageBatch) -> float:
        """From the least sparsity of empty codes down, until enough of the first filters' coefficients are active."""
        small = batch.corner(_SMALL * max(self._kernel))
        correlations = PreparedFilters(self.components_).correlate(small.images)
        self.sparsity_ = max(float(np.abs(of_image).max()) for of_image in correlations)
        if not self.sparsity_ > 0:
            return 1.0
        for _ in range(_MOST_STEPS):
            if active_per_position(self._codes(small, _IN_LEARNING)) >= parameter(self, "active_per_position"):
                break
            self.sparsity_ *= _STEP
        return self.sparsity_

    def _learn(self, batch: ImageBatch, course: Course) -> None:
        """One batch: codes, statistics, and a sweep over the filters."""
        codes = self._codes(batch, _IN_LEARNING)
        self._add(batch, codes)
        used = np.concatenate([of_image.coordinates[:, 0] for of_image in codes])
        usage = np.bincount(used, minlength=len(self.usage_)) / n_positions(codes)
        memory = _USAGE_MEMORY if self.n_batches_ else 0.0
        self.usage_ += (1 - memory) * (usage - self.usage_)
        self.components_ = update_filters(self.components_, self._code_products, self._image_products)
        if not np.isfinite(self.components_.sum()):
            raise StriateError(
                f"{type(self).__name__}: the filters are not finite after batch {self.n_batches_ + 1}; give images of "
                "fewer orders of magnitude"
            )
        settled = self.n_batches_ + 1 > _SETTLED * (course.n_batches or parameter(self, "max_batches"))
        if self.sparsity == "auto" and not settled:
            wanted = parameter(self, "active_per_position")
            self.sparsity_ = corrected_sparsity(self.sparsity_, active_per_position(codes), wanted)

    def _add(self, batch: ImageBatch, codes: list[SparseMaps]) -> None:
        """Let the statistics fade, and add those of a batch."""
        n_seen = self._n_seen + len(batch)
        keep = (self._n_seen / n_seen) ** parameter(self, "forgetting")
        self._n_seen = n_seen
        self._code_products *= keep
        self._image_products *= keep
        filters = PreparedFilters(self.components_)
        for i, of_image in enumerate(codes):
            image, weight = batch.images[i], 1.0
            if batch.masks is not None:
                image, weight = completed(image, batch.masks[i], filters.reconstruct(of_image))
            add_statistics(of_image, image, self._code_products, self._image_products, weight=weight)

    def _replace_dead_units(self, batch: ImageBatch) -> None:
        """Replace filters that are hardly used by windows of the batch with the largest errors."""
        unused = np.flatnonzero(self.usage_ < _DEAD * self.usage_.mean())
        if not unused.size:
            return
        reconstructed = PreparedFilters(self.components_).reconstruct(self._codes(batch, _IN_LEARNING))
        residuals = [image - r for image, r in zip(batch.images, reconstructed, strict=True)]
        if batch.masks is not None:
            residuals = [mask * residual for mask, residual in zip(batch.masks, residuals, strict=True)]
        new = worst_windows(residuals, len(unused), self._kernel)
        unused = unused[: len(new)]
        self.components_[unused] = new
        self._code_products[unused] = 0
        self._code_products[:, unused] = 0
        self._image_products[unused] = 0
        self.usage_[unused] = self.usage_.mean()  # not unused again for some batches
        self.n_replaced_ += len(unused)

    def _objective(self, batches: Iterable[ImageBatch], tolerance: float | None) -> tuple[float, float]:
        """Mean objective of images, and active coefficients per position."""
        objectives: list[float] = []
        codes: list[SparseMaps] = []
        for batch in batches:
            found = self._infer(batch, tolerance, sparse_output=True, info=True)
            objectives += list(found.objective)
            codes += found.codes
        return float(np.mean(objectives)), active_per_position(codes)

    def _codes(self, batch: ImageBatch, tolerance: float | None, *, sparse_output: bool = True) -> list[Any]:
        codes: list[Any] = self._infer(batch, tolerance, sparse_output=sparse_output)
        return codes

    def _infer(self, batch: ImageBatch, tolerance: float | None, **options: bool) -> Any:
        return infer_convolutional(
            batch.images, self.components_, self.sparsity_, positive=parameter(self, "positive"), mask=batch.masks,
            tolerance=tolerance, **options,  # type: ignore[arg-type]
        )  # fmt: skip

    def _evaluate(self, held_out: HeldOutImages) -> HeldOutObjective:
        return HeldOutObjective(self.n_batches_, *self._objective(held_out, _IN_EVALUATION), self.sparsity_)

    def _describe(self, found: HeldOutObjective) -> str:
        active = f"{found.active:.3g} active per position"
        return f"held-out objective {found.objective:.4g}, {active}, sparsity {found.sparsity:.3g}"

    def _held_out_errors(self) -> list[float]:
        return comparable(self.history_)
