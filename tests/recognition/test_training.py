"""A whole run: nothing is learned from what tests, and every figure is what a reader takes it for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy import extract_features, small_pixels
from striate.images import ImageCollection, as_images
from striate.progress import Progress
from striate.recognition import SoftmaxClassifier, Split, TrainingResult, split_images, train_and_evaluate, training
from tests.recognition.digits import digits, filters_of, quick, write_folder

CLASSES = (0, 1, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 digits of each of three classes, 6 without a label, and one of each kind that is damaged."""
    images, labels = digits(CLASSES, 22)
    names = [str(label) if index % 22 < 20 else "" for index, label in enumerate(labels)]
    path = write_folder(tmp_path_factory.mktemp("digits") / "x", [*images], names)
    for name in ("0/broken.png", "loose.png"):
        (path / name).write_bytes(b"no image")
    return path


@pytest.fixture(scope="module")
def images(folder: Path) -> ImageCollection:
    return as_images(folder)


@pytest.fixture(scope="module")
def split(images: ImageCollection) -> Split:
    """With the damaged image of class 0 among the training images."""
    broken = images.names.index("0/broken.png")
    return next(
        found for seed in range(100) if broken in (found := split_images(images, random_state=seed)).train.tolist()
    )


@pytest.fixture(scope="module")
def result(images: ImageCollection, split: Split) -> TrainingResult:
    return train_and_evaluate(
        quick(unknown=0.25), images, split, unlabeled=as_images(digits([7], 4)[0]), label_counts=[3, 9, 1000], n_draws=2
    )


# The split.


@pytest.mark.parametrize(
    ("options", "n_train", "n_test"),
    [
        ({}, [16, 8, 4], [4, 2, 1]),
        ({"train_per_class": 3}, [3, 3, 3], [17, 7, 2]),
        ({"labels_per_class": 2}, [2, 2, 2], [4, 2, 1]),
        ({"labels_per_class": 1}, [1, 1, 1], [4, 2, 1]),
        ({"train_per_class": 4, "labels_per_class": 2}, [2, 2, 2], [16, 6, 1]),
        ({"test": False}, [20, 10, 5], [0, 0, 0]),
        ({"test": False, "labels_per_class": 5}, [5, 5, 5], [0, 0, 0]),
    ],
)
def test_a_split_is_disjoint_and_complete(options: dict[str, Any], n_train: list[int], n_test: list[int]) -> None:
    labels = np.array(["a"] * 20 + ["b"] * 10 + ["c"] * 5 + [""] * 4)
    labels = np.random.default_rng(0).permutation(labels)
    images = as_images(np.zeros((39, 2, 2)), labels)
    split = split_images(images, random_state=1, **options)
    parts = [split.train, split.test, split.unlabeled]
    assert sorted(np.concatenate(parts).tolist()) == list(range(39))
    for part in parts:
        assert (np.diff(part) > 0).all()
    assert [(labels[split.train] == name).sum() for name in "abc"] == n_train
    assert [(labels[split.test] == name).sum() for name in "abc"] == n_test
    assert set(np.flatnonzero(labels == "")) <= set(split.unlabeled)
    again, other = (split_images(images, random_state=seed, **options) for seed in (1, 2))
    np.testing.assert_array_equal(again.train, split.train)
    assert options == {"test": False} or not np.array_equal(other.train, split.train)


def test_the_images_that_test_do_not_depend_on_how_many_labels_train() -> None:
    images = as_images(np.zeros((30, 2, 2)), ["a", "b", "c"] * 10)
    whole, part = (split_images(images, labels_per_class=n, random_state=0) for n in (None, 2))
    np.testing.assert_array_equal(whole.test, part.test)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (None, {}, "no labels"),
        (["a"] * 6, {}, "one class"),
        (list("aaaaab"), {}, "'b' has one"),
        (list("aaaabb"), {"train_per_class": 2}, "too few"),
        (list("aaaabb"), {"labels_per_class": 4}, "too few"),
        (list("aaaabb"), {"labels_per_class": 0}, "at least 1"),
    ],
)
def test_splits_that_are_impossible(labels: list[str] | None, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split_images(as_images(np.zeros((6, 2, 2)), labels), random_state=0, **options)


# The run.


def test_the_classifier_is_the_one_of_the_training_images(
    result: TrainingResult, images: ImageCollection, split: Split
) -> None:
    mine = np.sort(np.concatenate([split.train, split.unlabeled]))
    labels = [(images.labels or [])[index] if index in split.train else "" for index in mine]
    alone = quick(unknown=0.25).fit(images.subset(mine), labels, unlabeled=digits([7], 4)[0])
    held_out = images.subset(split.test)
    np.testing.assert_array_equal(alone.predict_proba(held_out), result.classifier.predict_proba(held_out))
    assert result.test.accuracy == alone.score(held_out)
    assert result.test.unknown_rate == alone.is_unknown(held_out).mean()
    assert result.test.images.labels == held_out.labels


def test_images_are_counted_and_unreadable_ones_listed(result: TrainingResult, split: Split) -> None:
    assert result.n_train == len(split.train) - 1
    assert result.test.n_test == len(split.test)
    assert result.n_unlabeled == 7 + 4
    assert sorted(one.name for one in result.skipped) == ["0/broken.png", "loose.png"]
    assert result.classifier.record_.skipped == result.skipped
    assert result.classifier.record_.facts == {
        "n_train": result.n_train,
        "n_test": result.test.n_test,
        "n_unlabeled": result.n_unlabeled,
        "accuracy": result.test.accuracy,
        "mean_class_accuracy": result.test.mean_class_accuracy,
    }


def test_the_curve_ends_in_the_classifier_itself(result: TrainingResult) -> None:
    assert [point.n_labels for point in result.curve] == [3, 9, result.n_train]  # 1,000 there are not
    assert [len(point.accuracies) for point in result.curve] == [2, 2, 1]
    assert result.curve[-1].mean == result.test.accuracy
    assert result.curve[-1].standard_error_is_of == "test"


def test_the_pixel_curve_is_of_the_same_images(result: TrainingResult, images: ImageCollection, split: Split) -> None:
    assert [point.n_labels for point in result.pixel_curve] == [point.n_labels for point in result.curve]

    def pixels(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = extract_features(images, result.classifier.preprocessing_, small_pixels, indices=indices)
        return found.rows, np.asarray(images.labels)[indices[found.positions]]

    baseline = SoftmaxClassifier(random_state=0).fit(*pixels(split.train))
    rows, labels = pixels(split.test)
    assert result.pixel_curve[-1].mean == (baseline.predict(rows) == labels).mean()


def test_no_curve_when_none_is_asked_for(images: ImageCollection, split: Split) -> None:
    result = train_and_evaluate(quick(), images, split, label_counts=())
    assert result.curve == result.pixel_curve == []
    assert result.test.unknown_rate is None


def test_curves_of_many_images_are_of_some_of_them(
    images: ImageCollection, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "MAX_CURVE_TRAIN", 20)
    monkeypatch.setattr(training, "MAX_CURVE_TEST", 6)
    result = train_and_evaluate(quick(), images, split, n_draws=2)
    assert [point.n_labels for point in result.curve] == [3, 9, 20, result.n_train]
    assert result.curve[-1].mean == result.test.accuracy
    assert [point.n_labels for point in result.pixel_curve] == [3, 9, 20]
    assert all((6 * accuracy) % 1 == pytest.approx(0) for accuracy in result.curve[0].accuracies)


def test_test_images_from_elsewhere(images: ImageCollection) -> None:
    elsewhere, labels = digits([0, 1, 2, 9], 5, first=100)
    names = [*map(str, labels[:-1]), ""]
    split = split_images(images, test=False, random_state=0)
    result = train_and_evaluate(
        quick(), images, split, test_images=as_images(elsewhere, names), label_counts=[6], n_draws=1
    )
    assert result.n_train == 60
    assert result.test.n_test == 19
    assert result.test.foreign_classes == ["9"]
    assert result.test.accuracy == result.classifier.score(elsewhere[:-1], labels[:-1])
    assert result.test.confusion.sum() == 15


def test_one_label_a_class(images: ImageCollection) -> None:
    split = split_images(images, labels_per_class=1, random_state=0)
    result = train_and_evaluate(quick(unknown=0.1), images, split)
    assert result.n_train == 3
    assert result.n_unlabeled == len(split.unlabeled) > 40
    assert [point.n_labels for point in result.curve] == [3]
    assert result.curve[0].mean == result.test.accuracy
    assert result.test.unknown_rate == 0


def test_hidden_labels_change_no_filter(images: ImageCollection) -> None:
    few, all_of_them = (
        train_and_evaluate(
            quick(), images, split_images(images, labels_per_class=n, random_state=0), label_counts=()
        ).classifier
        for n in (2, None)
    )
    np.testing.assert_array_equal(filters_of(few), filters_of(all_of_them))


def test_a_run_goes_on_from_its_checkpoint_to_the_same_figures(
    images: ImageCollection, split: Split, tmp_path: Path
) -> None:
    def run(checkpoint: Checkpoint | None) -> TrainingResult:
        return train_and_evaluate(quick(), images, split, label_counts=[6], n_draws=1, checkpoint=checkpoint)

    alone = run(None)
    for _ in range(2):
        resumed = run(Checkpoint(tmp_path / "checkpoint", {}))
        assert resumed.test.predictions == alone.test.predictions
        assert (resumed.curve, resumed.pixel_curve) == (alone.curve, alone.pixel_curve)
        assert resumed.skipped == alone.skipped


def test_large_features_go_to_a_folder(images: ImageCollection, split: Split, tmp_path: Path) -> None:
    result = train_and_evaluate(quick(), images, split, label_counts=(), folder=tmp_path)
    assert result.test.n_test == len(split.test)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npy", ".npy"]


@pytest.mark.parametrize(
    ("test", "options", "message"),
    [
        (False, {}, "no labeled images to test on"),
        (True, {"test_images": as_images(np.zeros((3, 28, 28)))}, "no labeled images to test on"),
        (True, {"label_counts": [2, 9]}, "at least 3"),
    ],
)
def test_what_cannot_be_measured_fails_before_any_work(
    images: ImageCollection, test: bool, options: dict[str, Any], message: str
) -> None:
    progress = Progress()
    split = split_images(images, test=test, random_state=0)
    with pytest.raises(UsageError, match=message):
        train_and_evaluate(quick(), images, split, progress=progress, **options)
    assert progress.records == []
