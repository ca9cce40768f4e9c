"""The talk's seven feature extractors: how the features of a window are learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.learning import PSD, ConvolutionalPSD, DrLIM
from striate.learning.adam import Adam
from striate.learning.network import Network
from striate.parameters import Choice, Integer, checked
from striate.progress import Progress
from striate.randomness import RandomState, generator_from
from striate.recognition.softmax import softmax
from striate.robot.features import STAGES, BandFeatures, CenterFeatures, NetworkFeatures, as_windows, network_layers
from striate.samples import evenly_spread

__all__ = ["EXTRACTORS", "learn_features"]

_BATCH, _RATE = 128, 1e-3
_MOST = 20_000  # windows that are learned from, evenly spread over those given
_EMBEDDED = 16  # dimensions in which DrLIM compares windows; the features are what they are computed from


class _Task(NamedTuple):
    windows: NDArray[np.float32]  # at unit variance
    labels: NDArray[np.int64] | None  # −1 without one
    versions: NDArray[Any] | None
    n_epochs: int
    seed: int
    progress: Progress

    def labeled(self, who: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        known = np.empty(0, np.int64) if self.labels is None else np.flatnonzero(self.labels >= 0)
        if not known.size:
            raise UsageError(f"{who} features need labels, and no window has one: give labels, or another extractor")
        assert self.labels is not None
        labels = self.labels[known]
        if len(np.unique(labels)) < 2:
            raise UsageError(f"{who} features need windows of two classes, and all labels are {labels[0]}")
        return self.windows[known], labels


def learn_features(
    kind: str,
    windows: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    versions: ArrayLike | None = None,
    n_epochs: int = 10,
    progress: Progress | None = None,
    random_state: RandomState = None,
) -> BandFeatures:
    """Learn 100 features of windows.

    Parameters
    ----------
    kind : str
        One of `EXTRACTORS`:

        - "random": filters that are not learned.
        - "rbf": radial basis functions around 100 centers that K-means finds.
        - "autoencoder": each stage learns to reconstruct its input, the first by `ConvolutionalPSD`, the second by
          `PSD` from what the first has pooled.
        - "supervised": both stages together, by the cross-entropy of labels; batches have as many windows of each
          class.
        - "autoencoder + supervised": the same, beginning with the filters of the autoencoder.
        - "drlim": windows of the same label, or the same thing, lie close together (`DrLIM`), and their mirror images
          count as the same. The distance is that of 16 linear combinations of the features, which are then dropped.
        - "drlim + supervised": the same, then as "supervised".
    windows : float (n_windows, channels, 12, 25)
        At most 20,000 are used, evenly spread.
    labels : int (n_windows,), optional
        −1 for windows without one. Supervised features need two classes; "drlim" without labels uses nearest neighbors.
    versions : array (n_windows,), optional
        The same value for windows that show the same thing, such as one place seen in several frames; for "drlim"
        without labels.
    n_epochs : int, default 10
        Of each kind of learning; an autoencoder's stages end after 500 and 1,000 batches.
    progress : Progress, optional
    random_state : int, Generator, RandomState or None

    Returns
    -------
    BandFeatures
        It needs nothing but NumPy and our kernels, and has mean 0 and variance 1 over the windows.

    Raises
    ------
    UsageError
        For windows or labels that cannot be used.
    """
    kind = checked("kind", kind, Choice(*EXTRACTORS))
    given = as_windows(windows)
    if len(given) < 2:
        raise UsageError(f"features are learned from two windows or more, not {len(given)}")
    chosen = evenly_spread(len(given), _MOST)
    known = None
    if labels is not None:
        known = np.asarray(labels)
        if known.shape != (len(given),) or known.dtype.kind not in "iu":
            raise UsageError(f"labels are {len(given)} integers, one per window, not {known.dtype} of {known.shape}")
        known = known.astype(np.int64)[chosen]
    same = None if versions is None else np.asarray(versions)[chosen]
    used = given[chosen]
    scale = np.float32(used.std()) or np.float32(1)
    seed = int(generator_from(random_state).integers(2**31))
    task = _Task(used / scale, known, same, checked("n_epochs", n_epochs, Integer(low=1)), seed, progress or Progress())
    return _LEARNERS[kind](task, scale).standardized(used)


def _random(task: _Task, scale: Any) -> BandFeatures:
    return _features(_begun(task), scale)


def _rbf(task: _Task, scale: Any) -> BandFeatures:
    from sklearn.cluster import KMeans

    n = min(STAGES[1][0], len(task.windows))
    rows = task.windows.reshape(len(task.windows), -1)
    found = KMeans(n, n_init=1, max_iter=30, random_state=task.seed).fit(rows)
    # Functions overlap where their width is the distance of a typical window from its center.
    width = float(np.sqrt(found.inertia_ / len(rows))) or 1.0
    return CenterFeatures(found.cluster_centers_.reshape(n, *task.windows.shape[1:]) * scale, width * float(scale))


def _autoencoder(task: _Task, scale: Any) -> BandFeatures:
    return _features(_reconstructing(task), scale)


def _supervised(task: _Task, scale: Any) -> BandFeatures:
    return _features(_classifying(task, _begun(task)), scale)


def _autoencoder_supervised(task: _Task, scale: Any) -> BandFeatures:
    task.labeled("autoencoder + supervised")
    return _features(_classifying(task, _reconstructing(task)), scale)


def _drlim(task: _Task, scale: Any) -> BandFeatures:
    return _features(_comparing(task), scale)


def _drlim_supervised(task: _Task, scale: Any) -> BandFeatures:
    task.labeled("drlim + supervised")
    return _features(_classifying(task, _comparing(task)), scale)


_LEARNERS: dict[str, Callable[[_Task, Any], BandFeatures]] = {
    "rbf": _rbf,
    "supervised": _supervised,
    "autoencoder": _autoencoder,
    "autoencoder + supervised": _autoencoder_supervised,
    "drlim": _drlim,
    "drlim + supervised": _drlim_supervised,
    "random": _random,
}

EXTRACTORS = tuple(_LEARNERS)
"""Names of the extractors, in the order of the talk's chart."""


def _begun(task: _Task) -> Network:
    """The network with random filters."""
    layers = network_layers(task.windows.shape[1])
    return Network.random(layers, "tanh", np.float32, np.random.default_rng(task.seed))


def _reconstructing(task: _Task) -> Network:
    """Filters of both stages from PSD, the second learned from what the first has pooled."""
    network = _begun(task)
    (n_maps, height, width, *_), (n_features, *_) = STAGES
    first = ConvolutionalPSD(n_maps, (height, width), max_batches=500, max_epochs=task.n_epochs, random_state=task.seed)
    first.fit(task.windows, progress=task.progress, phase_name="filters of stage 1")
    filters, bias, gain, *_ = first.convolution_filters()  # of a tanh encoder
    # A map with a negative gain is turned, so that its maximum is that of the unit's output.
    sign = np.where(gain < 0, -1, 1).astype(np.float32)
    network.set_filters(0, (sign[:, np.newaxis] * filters).reshape(network.filters(0).shape), sign * bias)
    pooled = _pooled(network, task.windows) * np.abs(gain)[:, np.newaxis, np.newaxis]
    second = PSD(n_features, max_batches=1000, max_epochs=task.n_epochs, random_state=task.seed)
    second.fit(pooled.reshape(len(pooled), -1), progress=task.progress, phase_name="filters of stage 2")
    filters, bias, *_ = second.convolution_filters()
    filters = filters.reshape(network.filters(1).shape) * np.abs(gain)[:, np.newaxis, np.newaxis]
    network.set_filters(1, filters, bias)
    return network


def _pooled(network: Network, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The maps between both stages, (n_windows, 20, 6, 5)."""
    rows = windows.reshape(len(windows), -1)
    parts = [network.forward(rows[first : first + 1024])[0].output for first in range(0, len(rows), 1024)]
    return np.concatenate([part.swapaxes(0, 1) for part in parts])


def _classifying(task: _Task, begun: Network) -> Network:
    """Both stages, learned together with a layer of one unit per class, which is dropped."""
    windows, labels = task.labeled("supervised")
    rows = windows.reshape(len(windows), -1)
    classes, labels = np.unique(labels, return_inverse=True)
    members = [np.flatnonzero(labels == number) for number in range(len(classes))]
    rng = np.random.default_rng([task.seed, 1])
    whole = Network.random(network_layers(windows.shape[1], (len(classes),)), "tanh", np.float32, rng)
    for number in range(2):
        whole.set_filters(number, begun.filters(number), begun.parameters[f"biases.{number}"])
    adam = Adam(whole.parameters, dict.fromkeys(whole.parameters, 1.0))
    n_batches = task.n_epochs * -(-len(rows) // _BATCH)
    per_class = -(-_BATCH // len(classes))
    with task.progress.phase("supervised learning", total=n_batches, unit="batches") as phase:
        for batch in range(n_batches):
            drawn = np.concatenate([rng.choice(rows_of, per_class) for rows_of in members])
            given = whole.forward(rows[drawn])
            slopes = softmax(given[-1].output.reshape(len(classes), -1).T)
            slopes[np.arange(len(drawn)), labels[drawn]] -= 1
            slopes /= len(drawn)
            share = 0.5 * (1 + np.cos(np.pi * batch / n_batches))
            adam.step(whole.gradients(given, slopes), share * _RATE)
            phase.advance()
    return whole


def _comparing(task: _Task) -> Network:
    """Both stages, learned by DrLIM together with a linear layer, which is dropped."""
    learner = DrLIM(
        _EMBEDDED, stages=STAGES, hidden=(), image_shape=(task.windows.shape[1], *task.windows.shape[2:]),
        batch_size=_BATCH // 2, n_epochs=task.n_epochs, learning_rate=_RATE, random_state=task.seed,
    )  # fmt: skip
    if task.labels is not None:
        windows, labels = task.labeled("drlim")
        versions = None
        learner.set_params(similar="labels")
    else:
        windows, labels = task.windows, None
        versions = np.arange(len(windows)) if task.versions is None else task.versions
    rows = np.concatenate([windows, windows[..., ::-1]]).reshape(2 * len(windows), -1)  # and their mirror images
    twice = [None if each is None else np.tile(each, 2) for each in (labels, versions)]
    learner.fit(rows, twice[0], versions=twice[1], progress=task.progress, phase_name="comparing windows")
    network = learner.network_
    # The mean and scale of DrLIM's inputs go into the first filters.
    filters = network.filters(0) / np.float32(learner.scale_)
    means = learner.mean_.reshape(task.windows.shape[1:])[:, 0, 0]
    network.set_filters(0, filters, network.parameters["biases.0"] - np.einsum("kchw,c->k", filters, means))
    return network


def _features(network: Network, scale: Any) -> NetworkFeatures:
    filters = [network.filters(0) / scale, network.filters(1)]
    return NetworkFeatures(filters, [network.parameters[f"biases.{number}"] for number in range(2)])
