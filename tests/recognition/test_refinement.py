"""Networks refined end to end: what they learn, what they become, how they go on after a kill, and what they refuse."""

from __future__ import annotations

import dataclasses
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import threads
from striate.errors import StriateError, UsageError
from striate.hierarchy import Hierarchy, Paths
from striate.images import Preprocessing, as_images
from striate.images.collection import View
from striate.progress import Progress
from striate.recognition import Refined, RefinementOptions, SoftmaxClassifier, refine
from striate.recognition.linear_head import LinearHead
from striate.recognition.training_images import TrainingImages, moved
from tests.killing import learn_through_kills
from tests.recognition.digits import digits, quick

pytest.importorskip("torch")

SMALL = "4F5x5 - Rabs - N5x5 - PA8x8/4"
OPTIONS = RefinementOptions(n_epochs=3, batch_size=8, learning_rate=0.02, all_labels="never", patience=None)


class Given:
    """A fitted system, and what `refine` takes of it."""

    def __init__(self, architecture: str = SMALL, n: int = 20, **options: Any) -> None:
        self.images, self.labels = digits([3, 5, 8], n)
        system = quick(architecture=architecture, **options).fit(self.images, self.labels)
        self.system, self.hierarchy, self.classifier = system, system.hierarchy_, system.classifier_
        self.arguments: Any = (
            self.hierarchy,
            self.classifier,
            self.images,
            self.labels,
            system.preprocessing_,
        )

    def refine(self, options: RefinementOptions | None = None, **more: Any) -> Refined:
        found: Refined = refine(*self.arguments, **{"options": options, **more})
        return found

    def prepared(self, images: np.ndarray | None = None) -> np.ndarray:
        source = as_images(self.images if images is None else images)
        return np.stack([source.prepared(index, self.system.preprocessing_) for index in range(len(source))])


@pytest.fixture(scope="module")
def given() -> Given:
    return Given()


def logits_of(hierarchy: Hierarchy, classifier: SoftmaxClassifier, prepared: np.ndarray) -> np.ndarray:
    features = hierarchy.transform(prepared)
    return classifier.logits(features.reshape(len(features), -1))


# The classifier as a head of the network.


@pytest.mark.parametrize(
    "options", [{}, {"split": True}, {"standardize": "together"}, {"standardize": False}, {"loss": "squares"}]
)
def test_the_head_gives_the_calibrated_logits(options: dict[str, Any], rng: np.random.Generator) -> None:
    features = rng.standard_normal((60, 12), dtype=np.float32) * np.arange(1, 13, dtype=np.float32) + 5
    features[:, 3] = 2.0  # constant
    labels = np.array(["a", "b", "c"])[features[:, :3].argmax(axis=1)]
    classifier = SoftmaxClassifier(random_state=0, **options).fit(features, labels)
    head = LinearHead.of(classifier, features)
    standardized = (features - head.mean) / head.scale
    columns = np.hstack([standardized.clip(0), (-standardized).clip(0)]) if head.split else standardized
    made = columns @ head.weights.T + head.intercept
    calibrated = classifier.logits(features) / classifier.temperature_
    np.testing.assert_allclose(made, calibrated, atol=2e-4 * np.abs(calibrated).max())
    again = head.to_classifier(classifier, temperature=2.0, n_steps=7)
    np.testing.assert_allclose(again.logits(features), calibrated, atol=2e-4 * np.abs(calibrated).max())
    assert (again.temperature_, again.n_iter_) == (2.0, 7)
    np.testing.assert_array_equal(again.classes_, classifier.classes_)
    restored = SoftmaxClassifier.from_state(*again.to_state())
    np.testing.assert_array_equal(restored.logits(features), again.logits(features))


def test_a_gaussian_kernel_is_no_head(rng: np.random.Generator) -> None:
    features, labels = rng.random((20, 3)), np.arange(20) % 2
    classifier = SoftmaxClassifier(kernel="gaussian", random_state=0).fit(features, labels)
    with pytest.raises(UsageError, match="Gaussian kernel cannot be refined"):
        LinearHead.of(classifier, features)


# Training.


@pytest.mark.parametrize("loss", ["cross-entropy", "squares"])
@pytest.mark.parametrize("kernel", ["linear", "gaussian"])
def test_begins_with_a_classifier_that_leaves_slopes(kernel: Any, loss: Any, given: Given) -> None:
    """The one for fixed features is sure of nearly all training images."""
    features = given.system.transform(given.images)
    classifier = SoftmaxClassifier(kernel=kernel, loss=loss, random_state=0).fit(features, given.labels)
    images, labels, preprocessing = given.arguments[2:]
    losses = []
    for decay in (1e-8, 3e-4, 1.0):
        options = dataclasses.replace(
            OPTIONS, n_epochs=1, batch_size=len(given.images), validation_fraction=0.0, start_decay=decay,
            learning_rate=1e-9,
        )  # fmt: skip
        found: Refined = refine(given.hierarchy, classifier, images, labels, preprocessing, options)
        assert found.classifier.kernel_ == "linear"
        (record,) = [one for one in found.history if one.step]
        assert record.loss is not None
        losses.append(record.loss)
    assert losses[0] < 0.02
    assert losses[0] < losses[1] < losses[2] < np.log(3) + 1e-3


def test_learns_and_becomes_an_ordinary_system_that_equals_the_network(given: Given) -> None:
    import torch

    from striate.recognition._torch import Network

    found = given.refine(OPTIONS)
    assert [one.step for one in found.history] == [0, 6, 12, 18]
    last = dataclasses.replace(OPTIONS, validation_fraction=0.0)
    found = given.refine(last)
    losses = [one.loss for one in found.history]
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < losses[0]
    assert found.n_steps == 24
    assert str(found.hierarchy) == str(given.hierarchy)
    changes = [np.abs(new - given.hierarchy.weights()[name]).max() for name, new in found.hierarchy.weights().items()]
    assert min(changes) > 1e-3
    prepared = given.prepared()
    features = given.hierarchy.transform(prepared).reshape(len(prepared), -1)
    network = Network(found.hierarchy, LinearHead.of(found.classifier, features))
    with torch.no_grad():
        logits = network(torch.from_numpy(prepared)).numpy()
    np.testing.assert_allclose(logits_of(found.hierarchy, found.classifier, prepared), logits, atol=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_parts_of_a_batch_give_the_step_of_the_whole(
    given: Given, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from striate.recognition import _torch

    # One step, since differences of rounding grow from step to step, and a long one, beside which rounding is small.
    options = dataclasses.replace(
        OPTIONS, n_epochs=1, batch_size=len(given.images), warm_up=0.0, optimizer="sgd", learning_rate=1e-2,
        dropout=dropout, label_smoothing=0.1, validation_fraction=0.0,
    )  # fmt: skip
    whole = given.refine(options)
    monkeypatch.setattr(_torch, "_NUMBERS_AT_ONCE", 3 * 4 * 24 * 24)  # three images at once
    parts = given.refine(options)
    assert parts.history[-1].accuracy == whole.history[-1].accuracy
    losses = parts.history[-1].loss, whole.history[-1].loss
    assert losses[0] is not None
    assert losses[1] is not None
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for name, weights in whole.hierarchy.weights().items():
        moved_by = weights - given.hierarchy.weights()[name]
        assert moved_by.any(), name
        np.testing.assert_allclose(
            parts.hierarchy.weights()[name], weights, atol=1e-3 * np.abs(moved_by).max(), err_msg=name
        )
    np.testing.assert_allclose(parts.classifier.coef_, whole.classifier.coef_, atol=1e-5)


def test_the_first_step_goes_down_the_gradient_of_the_cross_entropy(given: Given) -> None:
    # Plain gradient descent by finite differences in the kernels, for the gains.
    options = dataclasses.replace(
        OPTIONS, optimizer="sgd", momentum=0.0, weight_decay=0.0, warm_up=0.0, validation_fraction=0.0, n_steps=1,
        batch_size=len(given.images), learning_rate=1e-2, start_decay=0.0,
    )  # fmt: skip
    found = given.refine(options)
    prepared = given.prepared()
    start = LinearHead.of(given.classifier, given.hierarchy.transform(prepared).reshape(len(prepared), -1))
    classifier = start.to_classifier(given.classifier, temperature=1.0, n_steps=1)
    codes = np.searchsorted(given.classifier.classes_, given.labels)
    gains = given.hierarchy.weights()["0_gain"]

    def loss(change: np.ndarray) -> float:
        changed = given.hierarchy.with_weights({**given.hierarchy.weights(), "0_gain": gains + change})
        values = logits_of(changed, classifier, prepared).astype(np.float64)
        return float(np.mean(np.log(np.exp(values).sum(axis=1)) - values[np.arange(len(codes)), codes]))

    step = 2e-3
    slopes = [(loss(step * row) - loss(-step * row)) / (2 * step) for row in np.eye(len(gains), dtype=np.float32)]
    unit = np.mean(np.square(gains.astype(np.float64)))
    expected = gains - 1e-2 * unit * np.array(slopes)
    moved_by = found.hierarchy.weights()["0_gain"] - gains
    np.testing.assert_allclose(moved_by, expected - gains, rtol=0.05, atol=1e-2 * np.abs(moved_by).max())


def test_weight_decay_alone_shrinks_filters_and_leaves_biases(given: Given) -> None:
    from striate.recognition._torch import Network

    prepared = given.prepared()
    head = LinearHead.of(given.classifier, given.hierarchy.transform(prepared).reshape(len(prepared), -1))
    network = Network(given.hierarchy, head)
    for optimizer in ("adamw", "sgd"):
        options = dataclasses.replace(OPTIONS, optimizer=optimizer, weight_decay=0.5, learning_rate=0.1)
        shrinking = {
            name: group["lr"] * group["weight_decay"]
            for (name, _), group in zip(network.named_parameters(), network.groups(options), strict=True)
        }
        assert {name for name, share in shrinking.items() if share} == {"layers.0.filters", "weights"}
        np.testing.assert_allclose([share for share in shrinking.values() if share], 0.05)


def test_is_the_same_again_and_depends_on_the_seed(given: Given) -> None:
    options = dataclasses.replace(
        OPTIONS, shift=1, mirror=True, elastic=1.0, dropout=0.3, label_smoothing=0.1, n_epochs=2
    )
    first, second = given.refine(options), given.refine(options)
    other = given.refine(dataclasses.replace(options, random_state=1))
    assert first.history == second.history
    assert first.history != other.history
    assert first.history != given.refine(dataclasses.replace(options, elastic=0.0)).history
    for name, values in first.hierarchy.weights().items():
        np.testing.assert_array_equal(values, second.hierarchy.weights()[name])
    np.testing.assert_array_equal(first.classifier.coef_, second.classifier.coef_)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_goes_on_after_kills_with_the_same_bits(given: Given, tmp_path: Path, optimizer: Any) -> None:
    options = dataclasses.replace(
        OPTIONS, optimizer=optimizer, shift=1, elastic=1.0, dropout=0.2, n_epochs=2, batch_size=16, learning_rate=0.3
    )
    rng = np.random.default_rng(0)

    def learn(checkpoint: Any) -> Any:
        return given.refine(options, checkpoint=checkpoint)

    found, kills = learn_through_kills(learn, tmp_path / "run", lambda: int(rng.integers(1, 5)))
    assert kills > 1
    whole = given.refine(options)
    assert found.history == whole.history
    assert (found.n_steps, found.reason) == (whole.n_steps, whole.reason)
    np.testing.assert_array_equal(found.classifier.coef_, whole.classifier.coef_)
    for name, values in whole.hierarchy.weights().items():
        np.testing.assert_array_equal(found.hierarchy.weights()[name], values)


def test_trains_again_with_all_labels_for_as_many_steps(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    of = LinearHead.of

    def blank(*arguments: Any) -> LinearHead:  # so that there is something to improve
        head = of(*arguments)
        return dataclasses.replace(head, weights=0 * head.weights)

    monkeypatch.setattr("striate.recognition.refinement.LinearHead.of", blank)
    options = dataclasses.replace(OPTIONS, all_labels="always", n_epochs=2)
    progress = Progress()
    found = given.refine(options, held_out=range(0, 60, 4), progress=progress)
    assert found.n_held_out == 15
    assert found.n_steps > 0
    phases = {record.name: record.items for record in progress.records}
    assert phases["refinement with all labels"] == found.n_steps
    # The same schedule as that of the 45 images for training: 6 batches in each of 2 epochs, against 8.
    options = dataclasses.replace(options, validation_fraction=0.0, n_steps=found.n_steps)
    other = given.refine(options)
    assert np.abs(other.classifier.coef_ - found.classifier.coef_).max() > 0
    assert found.classifier.temperature_ != 1


def test_training_ends_when_patience_does(given: Given) -> None:
    options = dataclasses.replace(OPTIONS, n_epochs=50, patience=2, learning_rate=1e-6)
    found = given.refine(options)
    assert len(found.history) < 10


def test_keeps_the_best_when_it_diverges(given: Given) -> None:
    wild = dataclasses.replace(OPTIONS, optimizer="sgd", learning_rate=1e30, warm_up=0.0)
    found = given.refine(wild)
    assert not found.is_better
    assert all(np.isfinite(values).all() for values in found.hierarchy.weights().values())
    with pytest.raises(StriateError, match="diverged"):
        given.refine(dataclasses.replace(wild, validation_fraction=0.0))


def test_paths_with_and_without_a_twin() -> None:
    given = Given("{4F5x5 - Rabs - GA2 | MIRROR{6WP6x6 - GA2} - Z | HOG8}", n=12)
    found = given.refine(dataclasses.replace(OPTIONS, n_epochs=1))
    assert isinstance(found.hierarchy.layers[0], Paths)
    assert found.n_held_out > 0


# Images in batches.


def test_images_are_moved_by_whole_pixels(rng: np.random.Generator) -> None:
    images = rng.random((50, 2, 6, 7), dtype=np.float32)
    made = moved(images, shift=2, mirror=True, rng=rng)
    padded = np.pad(images, [(0, 0), (0, 0), (2, 2), (2, 2)], mode="edge")
    seen = set()
    for number in range(50):
        places = [
            (top, left, turned)
            for top in range(5)
            for left in range(5)
            for turned in (False, True)
            if np.array_equal(
                made[number], padded[number, :, top : top + 6, left : left + 7][..., :: -1 if turned else 1]
            )
        ]
        assert len(places) == 1
        seen |= set(places)
    assert len(seen) > 20
    assert moved(images, shift=0, mirror=False, rng=rng) is images


def test_batches_go_on_where_they_were() -> None:
    images, labels = digits([0, 1], 10)
    data = TrainingImages(as_images(images), labels.astype(np.int64), Preprocessing((28, 28), contrast="none"))
    rows = np.random.default_rng(0).permutation(20)
    batches = list(data.batches(rows, 6))
    assert [len(codes) for _, codes in batches] == [6, 6, 6, 2]
    np.testing.assert_array_equal(np.concatenate([codes for _, codes in batches]), labels[rows])
    for (prepared, codes), (again, same) in zip(batches[2:], data.batches(rows, 6, start=2), strict=True):
        np.testing.assert_array_equal(prepared, again)
        np.testing.assert_array_equal(codes, same)


def test_images_are_read_again_in_every_epoch_and_not_kept(given: Given) -> None:
    class Counting(View):
        n_reads = 0

        def prepared(self, index: int, prepare: Any) -> np.ndarray:
            self.n_reads += 1
            return super().prepared(index, prepare)

    hierarchy, classifier, images, labels, preprocessing = given.arguments
    source = Counting(as_images(images), range(len(images)))
    features = hierarchy.transform(given.prepared()).reshape(len(images), -1)
    refine(hierarchy, classifier, source, labels, preprocessing, OPTIONS, features=features)
    n_held_out = 12
    assert source.n_reads == 3 * (60 - n_held_out) + (1 + 3 + 1) * n_held_out  # at first, after each epoch, at last


# What it says.


def test_says_what_cannot_be_refined(given: Given) -> None:
    _, classifier, *others = given.arguments
    rest: Any = others
    for notation, words in {
        "SIFT16x16/8 - 6SC - PM1+2+4": "SIFT16x16/8 has no twin",
        "Rabs - PA4x4/4": "it has no filters or units",
        "{HOG8}": "has no twin",
    }.items():
        with pytest.raises(UsageError, match=words):
            refine(Hierarchy(notation), classifier, *rest)


def test_says_which_arguments_do_not_fit(given: Given) -> None:
    hierarchy, classifier, images, _, preprocessing = given.arguments
    with pytest.raises(UsageError, match="no class"):
        refine(hierarchy, classifier, images, ["new"] * len(images), preprocessing)
    with pytest.raises(UsageError, match="rows of features"):
        given.refine(features=np.zeros((3, 4), np.float32))
    with pytest.raises(UsageError, match="held_out names images beyond the 60"):
        given.refine(held_out=[60])
    with pytest.raises(UsageError, match="leave at least one of each"):
        given.refine(held_out=range(20))
    for wrong in ({"dropout": 1.0}, {"optimizer": "adam"}, {"n_epochs": 0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            RefinementOptions(**wrong)


def test_says_what_to_install(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "striate.recognition._torch", raising=False)
    with pytest.raises(UsageError, match=r"refining a network needs torch.*pip install striate\[torch\]"):
        given.refine()


def test_the_schedule_rises_and_falls() -> None:
    options = RefinementOptions(warm_up=0.1)
    shares = [options.share(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == pytest.approx(1.0)
    assert np.argmax(shares) in (9, 10)
    assert all(before >= after for before, after in pairwise(shares[10:]))
    assert shares[-1] < 1e-3


def test_settings_of_torch_stay_as_they_were(given: Given) -> None:
    import torch

    def settings() -> tuple[object, ...]:
        filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
        return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), filled

    before = settings()
    with threads.limit(1):
        given.refine(dataclasses.replace(OPTIONS, n_epochs=1))
    assert settings() == before
