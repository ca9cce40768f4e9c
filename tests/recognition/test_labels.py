"""Labels of every type come back as they were given; those that name no class are refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from striate.errors import UsageError
from striate.images import as_images
from striate.recognition import (
    ImageClassifier,
    KernelSVM,
    PyramidMatchSVM,
    SoftmaxClassifier,
    accuracy,
    evaluate_classifier,
    learning_curve,
)
from striate.recognition.labels import label_array
from tests.recognition.digits import digits, quick, write_folder

IMAGES, NUMBERS = digits([0, 1], 16)
NEW, TRUTH = digits([0, 1], 10, first=300)


class Column:
    """As much of a data frame's column as scikit-learn uses: a length, and an array of objects."""

    def __init__(self, values: Any) -> None:
        self._values = values
        self.dtype = "category"

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Any:
        return iter(self._values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self._values, object if dtype is None else dtype)


KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "int64": lambda numbers: numbers * 7 - 3,
    "uint8": lambda numbers: (numbers * 7).astype(np.uint8),
    "int8, big numbers": lambda numbers: (numbers * 100 - 50).astype(np.int8),
    "bool": lambda numbers: numbers == 1,
    "float": lambda numbers: numbers.astype(float),
    "str": lambda numbers: np.array(["owl", "a longer name"])[numbers],
    "object": lambda numbers: np.array(["owl", "a longer name"], object)[numbers],
    "list of int": lambda numbers: numbers.tolist(),
    "list of str": lambda numbers: [["owl", "ape"][number] for number in numbers],
    "column of int": lambda numbers: Column(numbers.tolist()),
    "column of str": lambda numbers: Column([["owl", "ape"][number] for number in numbers]),
}


def classifiers() -> dict[str, tuple[Any, Callable[[np.ndarray], Any]]]:
    """Each classifier, and what it takes of images."""

    def rows(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32) / 255

    def maps(images: np.ndarray) -> np.ndarray:
        blocks = images.reshape(len(images), 7, 4, 7, 4).transpose(0, 2, 4, 1, 3)
        return blocks.reshape(len(images), 16, 7, 7).astype(np.float32)

    return {
        "ImageClassifier": (quick(), lambda images: images),
        "SoftmaxClassifier": (SoftmaxClassifier(random_state=0), rows),
        "KernelSVM": (KernelSVM(), lambda images: rows(images) @ rows(IMAGES).T),
        "PyramidMatchSVM": (PyramidMatchSVM(8, random_state=0), maps),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", classifiers())
def test_labels_come_back_as_given(name: str, kind: str) -> None:
    classifier, taken = classifiers()[name]
    given, truth = KINDS[kind](NUMBERS), KINDS[kind](TRUTH)
    classifier.fit(taken(IMAGES), given)
    found = classifier.predict(taken(NEW))
    wanted = label_array(given)
    assert classifier.classes_.dtype.kind == found.dtype.kind == wanted.dtype.kind
    if wanted.dtype.kind != "U":
        assert found.dtype == wanted.dtype
    assert sorted(classifier.classes_) == sorted(set(wanted.tolist()))
    assert accuracy_score(label_array(truth), found) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_file_keeps_the_type(kind: str, tmp_path: Path) -> None:
    classifier = quick().fit(IMAGES, KINDS[kind](NUMBERS))
    classifier.save(tmp_path / "model.safetensors")
    again = ImageClassifier.load(tmp_path / "model.safetensors")
    assert again.classes_.dtype == classifier.classes_.dtype
    assert again.classes_.tolist() == classifier.classes_.tolist()
    np.testing.assert_array_equal(again.predict(NEW), classifier.predict(NEW))
    assert again.score(NEW, KINDS[kind](TRUTH)) == classifier.score(NEW, KINDS[kind](TRUTH)) > 0.9


@pytest.mark.parametrize("kind", ["int64", "bool", "object", "str"])
def test_scikit_learn_judges_with_labels_as_given(kind: str) -> None:
    given = KINDS[kind](NUMBERS)
    assert cross_val_score(quick(), IMAGES, given, cv=2).mean() > 0.8
    assert cross_val_score(quick(), IMAGES, given, cv=2, scoring="accuracy").mean() > 0.8
    search = GridSearchCV(quick(), {"weight_decay": [np.float32(1e-2), np.float64(1e4)]}, cv=2, scoring="accuracy")
    assert search.fit(IMAGES, given).best_params_ == {"weight_decay": np.float32(1e-2)}
    if kind == "int64":
        assert cross_val_score(quick(), IMAGES, NUMBERS, cv=2, scoring="roc_auc").mean() > 0.9


def test_a_kernel_is_cut_on_both_sides_in_cross_validation() -> None:
    rows = IMAGES.reshape(len(IMAGES), -1).astype(float)
    assert cross_val_score(KernelSVM(), rows @ rows.T, NUMBERS, cv=4).mean() > 0.9


def test_integers_are_in_their_own_order(tmp_path: Path) -> None:
    images, numbers = digits([0, 1, 2], 8)
    classifier = quick().fit(images, np.array([10, 9, 1])[numbers])
    assert classifier.classes_.tolist() == [1, 9, 10]
    named = [str(label) for label in np.array([10, 9, 1])[numbers]]
    found = evaluate_classifier(classifier, as_images(images, named))
    assert found.accuracy == classifier.score(images, named) > 0.9
    assert found.confusion.trace() == round(found.accuracy * len(images))
    assert found.foreign_classes == []


def test_labels_that_are_missing_leave_images_without_one() -> None:
    for missing in (None, float("nan"), ""):
        some = [missing, *NUMBERS[1:-1].tolist(), missing]
        classifier = quick().fit(IMAGES, some)
        assert classifier.classes_.tolist() == [0, 1]
        assert classifier.classes_.dtype.kind == "i"
    assert quick().fit(IMAGES, ["", *map(str, NUMBERS[1:])]).classes_.tolist() == ["0", "1"]


def test_accents_composed_and_apart_are_one_class(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "né") for form in ("NFC", "NFD"))
    assert composed != apart
    mixed = [[composed, "b"][number] if k % 2 else [apart, "b"][number] for k, number in enumerate(NUMBERS)]
    assert quick().fit(IMAGES, mixed).classes_.tolist() == ["b", composed]
    all_apart = [[apart, "b"][number] for number in NUMBERS]
    classifier = quick().fit(IMAGES, all_apart)
    assert accuracy_score(all_apart, classifier.predict(IMAGES)) > 0.9  # as given
    truth = [[composed, "b"][number] for number in TRUTH]
    assert classifier.score(NEW, truth) > 0.9
    found = evaluate_classifier(classifier, as_images(write_folder(tmp_path, NEW, truth)))
    assert (found.foreign_classes, found.accuracy) == ([], classifier.score(NEW, truth))
    assert found.per_class.keys() == {composed, "b"}
    assert {said.label for said in classifier.classify(NEW)} == {composed, "b"}


WRONG: list[tuple[Any, str]] = [
    (None, "y should be a 1d array"),
    ("ab" * 16, "y should be a 1d array"),
    (3, "y should be a 1d array"),
    (np.zeros((32, 2)), r"y should be a 1d array.*not of shape \(32, 2\)"),
    (NUMBERS[:-1], "there are 32 (samples|images) and 31 labels of them; give one label for each"),
    ([None, *NUMBERS[1:]], "label 0 is None: Input y contains NaN"),
    ([*NUMBERS[:-1], float("nan")], "label 31 is nan: Input y contains NaN"),
    (np.where(NUMBERS == 1, np.nan, 0.0), "label 16 is nan"),
    (np.where(NUMBERS == 1, np.inf, 0.0), "label 16 is inf"),
    (np.array(["a", None] * 16, object), "label 1 is None"),
    (["a", 1] * 16, "of several kinds, such as 'a' and 1"),
    ([True, 2] * 16, "of several kinds, such as True and 2"),
    (NUMBERS + 0.5 * (np.arange(32) % 3), "Unknown label type: continuous"),
    (NUMBERS + 1j, "labels y are of type complex128"),
    (np.zeros(32, "M8[s]"), "labels y are of type datetime64"),
    (np.array([b"a", b"b"] * 16), "labels y are of type |S1"),
    ([object()] * 32, "Unknown label type"),
    (np.zeros(32, int), "one class"),
    (np.ma.array(NUMBERS, mask=NUMBERS == 0), "masked"),
    ([], "labels"),
]


@pytest.mark.parametrize(("labels", "message"), WRONG)
@pytest.mark.parametrize("name", list(classifiers())[1:])
def test_labels_that_name_no_class_are_refused(name: str, labels: Any, message: str) -> None:
    classifier, taken = classifiers()[name]
    with pytest.raises(UsageError, match=message) as caught:
        classifier.fit(taken(IMAGES), labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (NUMBERS[:-1], "31 labels for 32"),
        (NUMBERS + 0.5, "neither text nor a whole number"),
        (np.zeros((32, 2), int), "label"),
        ([], "0 labels for 32"),
        ([0] * 32, r"all 32 labeled images belong to one class \(0\).*shuffle"),
    ],
)
def test_labels_of_images_that_are_wrong_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        quick().fit(IMAGES, labels)


def test_learning_curves_and_figures_take_labels_of_any_kind() -> None:
    rows, new = (images.reshape(len(images), -1).astype(np.float32) for images in (IMAGES, NEW))
    curves = []
    for kind in ("int64", "bool", "str", "object", "list of str", "column of int"):
        given, truth = KINDS[kind](NUMBERS), KINDS[kind](TRUTH)
        curves.append(learning_curve(rows, given, new, truth, n_labels=[8], random_state=0)[0].accuracies)
        assert accuracy(given, given) == 1
    assert len(set(curves[:2])) == 1  # of those whose classes have one order
    for wrong in ([None] * 32, NUMBERS[:-1], np.where(NUMBERS == 1, np.nan, 0.0)):
        with pytest.raises(UsageError):
            learning_curve(rows, wrong, new, TRUTH)
    with pytest.raises(UsageError, match="compared with predictions such as '1'"):
        accuracy([1, 0], ["1", "0"])


def test_a_class_named_unknown_is_refused_beside_unknown() -> None:
    for name in ("unknown", "Unknown"):
        named = [["a", name][number] for number in NUMBERS]
        assert quick().fit(IMAGES, named).classes_.tolist() == sorted(["a", name])
        with pytest.raises(UsageError, match=f"a class is named '{name}'.*rename the class"):
            quick(unknown=0.1).fit(IMAGES, named)


@pytest.mark.parametrize("name", classifiers())
def test_what_is_not_fitted_says_so(name: str) -> None:
    classifier, taken = classifiers()[name]
    for use in ("predict", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(classifier, use)(taken(NEW))
