"""DrLIM: dimensionality reduction by learning an invariant mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from striate.errors import UsageError
from striate.learning._pair_loss import contrastive_loss
from striate.learning._pairs import Known, Related
from striate.learning._rows import Rows, chunks
from striate.learning._scale import at_scale, deviation_of
from striate.learning._unrolled import ACTIVATIONS
from striate.learning.adam import Adam
from striate.learning.network import Layer, Network, StagesRule, layers_of
from striate.learning.online import VERBOSE, Course, OnlineLearner, Start
from striate.parameters import Choice, Integer, IntegerTuple, Real, Rule, Seed, check_parameters, parameter
from striate.randomness import RandomState
from striate.samples import all_finite, estimator_samples, writable

__all__ = ["DrLIM"]

_WARM_UP = 100  # batches until Adam's moments are reliable
_NOTHING = Known()
_PER_ENTRY = 100  # batches whose mean loss is an entry of `history_`


class DrLIM(OnlineLearner, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A mapping under which similar samples lie close together, and others at least a margin apart.

    A network `g` is learned by the contrastive loss of pairs, with D the distance of `g(x)` and `g(x')`::

        L = mean over similar pairs of ½D² + repulsion · mean over dissimilar pairs of ½max(0, margin − D)²

    What is similar is up to you: nearest neighbors, samples of one label, given pairs, or versions of the same thing,
    such as shifted images, to which the mapping then becomes invariant. Unlike methods that only place the samples they
    were given, it is a function: `transform` maps new ones. Where pairs are given, no distance in the space of the
    inputs is needed.

    A batch consists of samples and, for each, one that is similar, drawn anew in each epoch; all pairs in the batch
    that are not similar count as dissimilar. Numbers lose their mean (images that of their channels) and are divided by
    one number, the standard deviation of all of them.

    Parameters
    ----------
    n_components : int, default 2
        The number of dimensions of the embedding.
    hidden : sequence of int, default (500, 200)
        Units of the layers before the last, which is linear. With ``()`` and no stages the mapping is linear.
    stages : sequence of (n_filters, height, width, pool height, pool width), default ()
        Convolutions with max pooling before these layers, for images. ``((15, 6, 6, 3, 3), (30, 7, 7, 1, 1))`` with
        ``hidden=()`` is like the paper's network for digits: filters of 6×6 pixels, the maximum over 3×3, and filters
        that see all that is left.
    image_shape : (channels, height, width), optional
        The shape of the image that a row holds; needed with `stages`.
    activation : {"tanh", "relu", "elu", "logistic"}, default "tanh"
        Of all layers but the last. The paper's is "tanh".
    similar : {"neighbors", "labels"}, default "neighbors"
        Which samples are similar if no pairs are given: the nearest neighbors in the space of the inputs, or all that
        have the same label, `y`.
    n_neighbors : int, default 5
        Neighbors per sample, as in the paper.
    margin : float, default 1.0
        The distance beyond which dissimilar samples do not repel each other. It sets the unit of the embedding.
    repulsion : float, default 1.0
        Weight of the dissimilar pairs.
    n_epochs : int, default 20
    batch_size : int, default 128
        Samples per step; with their partners, twice as many go through the network.
    learning_rate : float, default 1e-3
        The step of Adam; in `fit` it falls to 0 along half a cosine.
    weight_decay : float, default 0.0
        Fraction by which each weight shrinks per step, relative to the rate (decoupled, as in AdamW).
    verbose : bool or int, default 0
        Show the progress of `fit` in the terminal.
    random_state : int, Generator, RandomState or None
        Seed of the first weights, the order of the samples and their partners.

    Attributes
    ----------
    weights_ : list of ndarray (n_outputs, n_inputs)
        Of all layers in the order of the pass; rows of stages are filters (height, width, channels), flattened.
    biases_ : list of ndarray (n_outputs,)
    mean_ : ndarray (n_features,)
    scale_ : float
        What samples lose, and what they are divided by.
    history_ : list of float
        The mean loss of every 100 batches.
    n_batches_ : int
    n_features_in_ : int

    References
    ----------
    Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.learning import DrLIM
    >>> rng = np.random.default_rng(0)
    >>> angles = rng.uniform(0, 2 * np.pi, 200)
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ rng.standard_normal((2, 20))
    >>> DrLIM(2, hidden=(20,), n_epochs=3, random_state=0).fit(circle).transform(circle).shape
    (200, 2)
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_components": Integer(low=1), "hidden": IntegerTuple(low=1, empty=True), "stages": StagesRule(),
        "image_shape": IntegerTuple(3, low=1) | None, "activation": Choice(*ACTIVATIONS),
        "similar": Choice("neighbors", "labels"), "n_neighbors": Integer(low=1), "margin": Real(above=0),
        "repulsion": Real(low=0), "n_epochs": Integer(low=1), "batch_size": Integer(low=1),
        "learning_rate": Real(low=0), "weight_decay": Real(low=0), "verbose": VERBOSE, "random_state": Seed(),
    }  # fmt: skip

    _learned = ("mean_",)
    _checkpoint_name = "drlim"
    _phase_name = "learning a mapping"

    network_: Network
    history_: list[float]

    def __init__(
        self,
        n_components: int = 2,
        *,
        hidden: Sequence[int] = (500, 200),
        stages: Sequence[Sequence[int]] = (),
        image_shape: tuple[int, int, int] | None = None,
        activation: Literal["tanh", "relu", "elu", "logistic"] = "tanh",
        similar: Literal["neighbors", "labels"] = "neighbors",
        n_neighbors: int = 5,
        margin: float = 1.0,
        repulsion: float = 1.0,
        n_epochs: int = 20,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.stages = stages
        self.image_shape = image_shape
        self.activation = activation
        self.similar = similar
        self.n_neighbors = n_neighbors
        self.margin = margin
        self.repulsion = repulsion
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.verbose = verbose
        self.random_state = random_state

    @property
    def weights_(self) -> list[NDArray[Any]]:
        """The weights of all layers."""
        return [self.network_.parameters[f"weights.{number}"] for number in range(len(self.network_.layers))]

    @property
    def biases_(self) -> list[NDArray[Any]]:
        """The biases of all layers."""
        return [self.network_.parameters[f"biases.{number}"] for number in range(len(self.network_.layers))]

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        pairs: ArrayLike | None = None,
        dissimilar: ArrayLike | None = None,
        versions: ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Learn from samples, and from what is known about their similarity.

        Parameters
        ----------
        X : ndarray (n_samples, n_features), float32 or float64
            An array or a memory map, at least two samples. float32 is faster. Where neighbors are searched for, all
            samples are in memory.
        y : array (n_samples,), optional
            Labels, only used with ``similar="labels"``.
        pairs : int (n_pairs, 2), optional
            Row numbers of similar samples, instead of neighbors or labels.
        dissimilar : int (n_pairs, 2), optional
            Row numbers of dissimilar samples. Without them, all pairs that are not similar are dissimilar.
        versions : array (n_samples,), optional
            The same value for rows that are versions of the same thing, such as shifted images. They are similar to
            each other, and to all versions of what the first of them is similar to.
        **options
            `checkpoint`, `checkpoint_name`, `progress`, `phase_name` and `callback`, as for `OnlineLearner.fit`.

        Returns
        -------
        Self
            The learner itself.

        Raises
        ------
        UsageError
            For parameters, samples or pairs that cannot be used, or weights that grow without bound.
        """
        known = Known(y, pairs, dissimilar, versions)
        return super().fit(X, known=known, **options)

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        *,
        pairs: ArrayLike | None = None,
        dissimilar: ArrayLike | None = None,
        versions: ArrayLike | None = None,
    ) -> Self:
        """Continue learning from more samples, each once and in their order, `batch_size` at a time.

        Pairs are within the samples of one call, which should therefore be some hundreds; the arguments are those of
        `fit`.
        """
        return self._go_on(X, parameter(self, "batch_size"), known=Known(y, pairs, dissimilar, versions))

    def transform(self, X: Any) -> NDArray[Any]:
        """The embeddings of samples, (n_samples, n_components), in the type of `X`."""
        check_is_fitted(self)
        samples = self._rows(X, reset=False)
        found = np.empty((len(samples), parameter(self, "n_components")), samples.dtype)
        for rows in chunks(len(samples)):
            with np.errstate(over="ignore", invalid="ignore"):
                found[rows] = self.network_.outputs(self._scaled(samples[rows]))
            if not all_finite(found[rows]):
                raise UsageError(
                    "DrLIM: samples are too large for embeddings: bring them to the scale of those that it has "
                    "learned from"
                )
        return found

    def to_state(self, *, training: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and a JSON header; with `training` also Adam's moments, which triple the size."""
        arrays, header = super().to_state()
        arrays |= self.network_.parameters
        if training:
            arrays |= self._learning.to_arrays()
        header |= {"scale": self.scale_, "recent": self._recent, "n_steps": self._learning.n_steps if training else 0}
        return arrays, header

    def _restore(self, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> None:
        super()._restore(arrays, header)
        self.n_features_in_ = len(self.mean_)
        layers = self._layers()
        names = [f"{kind}.{number}" for number in range(len(layers)) for kind in ("weights", "biases")]
        self._set(Network(layers, parameter(self, "activation"), {name: np.array(arrays[name]) for name in names}))
        self.scale_, self._recent = float(header["scale"]), float(header["recent"])
        if "first.weights.0" in arrays:
            self._learning.restore(arrays, int(header["n_steps"]))

    def _begin(self, start: Start) -> None:
        rows = start.samples.rows
        layers = self._layers()

        def parts() -> Iterator[NDArray[Any]]:
            return (rows[some] for some in chunks(len(rows)))

        with np.errstate(over="ignore"):
            mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts()) / len(rows)
        if parameter(self, "stages"):  # a mean of each pixel would not move along with a shifted image
            channels = np.reshape(mean, (layers[0].n_inputs, -1))
            mean = np.repeat(channels.mean(axis=1), channels.shape[1])
        self.mean_ = np.asarray(mean).astype(rows.dtype)
        self.scale_ = deviation_of(parts, self._centered)
        self._set(Network.random(layers, parameter(self, "activation"), rows.dtype, start.rng))
        self._recent = 0.0

    def _layers(self) -> tuple[Layer, ...]:
        stages, shape = parameter(self, "stages"), parameter(self, "image_shape")
        if stages and shape is None:
            raise UsageError("DrLIM: stages need images: give image_shape, as (channels, height, width)")
        n = self.n_features_in_
        if shape is not None and np.prod(shape) != n:
            raise UsageError(f"DrLIM: image_shape is {shape}, {np.prod(shape)} numbers, but n_features = {n}")
        dense = (*parameter(self, "hidden"), parameter(self, "n_components"))
        return layers_of(shape if stages else (n, 1, 1), stages, dense)

    def _set(self, network: Network) -> None:
        self.network_ = network
        self._learning = Adam(network.parameters, dict.fromkeys(network.parameters, 1.0))

    def _batch(self, samples: Related, rows: NDArray[np.int64]) -> _Batch:
        relation = samples.relation(parameter(self, "similar"), parameter(self, "n_neighbors"), self._scaled)
        drawn = relation.drawn(rows, np.random.default_rng([self._seed, self.n_batches_]))
        similar = np.stack([np.arange(len(rows)), np.arange(len(rows), 2 * len(rows))], axis=1)
        # A sample that is its own partner, since it has no other, would only appear twice in the means.
        similar = similar[drawn[: len(rows)] != drawn[len(rows) : 2 * len(rows)]]
        return _Batch(samples.rows[drawn], similar, relation.apart(drawn))

    def _learn(self, batch: _Batch, course: Course) -> None:
        """One step of Adam against the contrastive loss of a batch."""
        share = 1.0
        if course.n_batches is not None and course.per_epoch is not None:
            warm = min(1.0, (self.n_batches_ + 1) / min(_WARM_UP, course.per_epoch))
            share = warm * 0.5 * (1 + np.cos(np.pi * self.n_batches_ / course.n_batches))
        names = ("margin", "repulsion", "learning_rate", "weight_decay")
        margin, repulsion, rate, decay = (parameter(self, name) for name in names)
        dtype = self.mean_.dtype
        with np.errstate(over="ignore", invalid="ignore"):  # reported in one sentence below
            given = self.network_.forward(self._scaled(batch.rows.astype(dtype, copy=False)))
            points = given[-1].output.reshape(-1, len(batch.rows)).T
            loss, flow = contrastive_loss(
                points.astype(np.float64), batch.similar, batch.apart, margin=margin, repulsion=repulsion
            )
            found = self.network_.gradients(given, flow.astype(dtype))
            if decay:
                for weights in self.weights_:
                    weights *= dtype.type(1 - share * rate * decay)
            self._learning.step(found, share * rate)
        self._check_learned(points)
        self._recent += loss
        if (self.n_batches_ + 1) % _PER_ENTRY == 0:
            self.history_.append(self._recent / _PER_ENTRY)
            self._recent = 0.0

    def _scaled(self, rows: NDArray[Any]) -> NDArray[Any]:
        return at_scale(rows, self.scale_, self._centered)

    def _centered(self, rows: NDArray[Any]) -> NDArray[Any]:
        return rows - self.mean_.astype(rows.dtype, copy=False)

    def _check_learned(self, *arrays: NDArray[Any]) -> None:
        """Raise an error if weights have grown without bound."""
        if not all(all_finite(array) for array in arrays or self.network_.parameters.values()):
            decay = parameter(self, "weight_decay")
            raise UsageError(
                f"DrLIM: learning has diverged after {self.n_batches_} batches, and the weights are no longer finite: "
                f"lower learning_rate (now {parameter(self, 'learning_rate'):g})"
                + (f" or weight_decay (now {decay:g})" if decay else "")
            )

    def _conclude(self) -> None:
        self._check_learned()

    def _own_arrays(self) -> None:
        """Make arrays that learning changes in place writable: a model may have been loaded as a memory map."""
        super()._own_arrays()
        learned, own = self._learning.parameters, self.network_.parameters
        if all(learned[name] is array and array is writable(array) for name, array in own.items()):
            return
        moments, n_steps = self._learning.to_arrays(), self._learning.n_steps
        parameters = {name: writable(array) for name, array in own.items()}
        self._set(Network(self.network_.layers, self.network_.activation, parameters))
        self._learning.restore(moments, n_steps)

    def _samples(self, X: Any, *, reset: bool, known: Known = _NOTHING) -> Related:
        rows = self._rows(X, reset=reset)
        if len(rows) < 2:
            raise UsageError("DrLIM: n_samples = 1, and it learns from pairs: give at least 2 samples")
        return Related(rows, known)

    def _rows(self, X: Any, *, reset: bool) -> Rows:
        check_parameters(self, self._rules)
        return Rows(estimator_samples(self, X, reset=reset, finite=False), unread="DrLIM: the samples")

    @property
    def _n_features_out(self) -> int:
        return int(self.network_.layers[-1].n_outputs)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.similar == "labels"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class _Batch(NamedTuple):
    rows: NDArray[Any]
    similar: NDArray[np.int64]  # places in the batch
    apart: NDArray[np.bool_]
