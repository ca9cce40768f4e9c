"""Greedy learning: every bank is filled from the features of those below, and a killed run ends with the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.checkpoint import Checkpoint
from striate.encoders import SmoothShrinkageEncoder
from striate.errors import UsageError
from striate.hierarchy import FilterBank, Hierarchy, learn_filters
from striate.images import load_mnist_digits
from striate.learning import PSD, ConvolutionalPSD, RandomFilters
from striate.progress import Progress
from tests.killing import learn_through_kills

NOTATION = "8F5x5 - Rabs - N5x5 - PA4x4/2 - 12F3x3 - Rabs - N5x5 - PA2x2/2"


@pytest.fixture
def images() -> np.ndarray:
    return load_mnist_digits()[0][::50]


def quick(**options: object) -> PSD:
    return PSD(max_batches=30, batch_size=50, **options)  # type: ignore[arg-type]


def filters_of(hierarchy: Hierarchy) -> list[np.ndarray]:
    return [bank.filters for bank in hierarchy.filter_banks if bank.filters is not None]


def test_every_bank_is_filled_in_its_place(images: np.ndarray) -> None:
    progress = Progress()
    hierarchy, stages = learn_filters(
        Hierarchy(NOTATION), images, learners=quick(), n_patches=2000, random_state=0, progress=progress
    )
    assert str(hierarchy) == NOTATION
    assert [part.shape for part in filters_of(hierarchy)] == [(8, 1, 5, 5), (12, 8, 3, 3)]
    assert hierarchy.transform(images).shape == (100, 12, 4, 4)
    assert [record.name for record in progress.records] == [
        "stage 1: PSD filters",
        "stage 2: patches of features",
        "stage 2: PSD filters",
    ]
    assert stages[1].learners[0].n_features_in_ == 8 * 9


def test_a_bank_on_an_image_is_the_learner_on_its_patches(images: np.ndarray) -> None:
    hierarchy, (stage,) = learn_filters(Hierarchy("8F5x5"), images, learners=quick(), n_patches=2000, random_state=0)
    maps = hierarchy.transform(images[:3])
    patch = images[:3, :, 7:12, 9:14].reshape(3, -1)
    np.testing.assert_allclose(maps[:, :, 7, 9], stage.learners[0].transform(patch), atol=1e-5)


def test_sparse_tables_are_learned_set_by_set(images: np.ndarray) -> None:
    notation = "8F5x5 - Rabs - N5x5 - PA4x4/2 - 20F3x3:3 - Rabs"
    hierarchy, stages = learn_filters(Hierarchy(notation), images, learners=quick(), n_patches=1500, random_state=0)
    bank = hierarchy.filter_banks[1]
    assert bank.table is not None
    assert bank.filters is not None
    assert bank.filters.shape == (20, 3, 3, 3)
    assert len(stages[1].learners) == len(np.unique(bank.table, axis=0)) == 8
    # Each map is what the learner of its set says of the patch of its maps.
    below = Hierarchy(hierarchy.layers[:4]).transform(images[:1])
    maps = Hierarchy(hierarchy.layers[4:5]).transform(below)
    first = 0
    for learner in stages[1].learners:
        patch = below[0, bank.table[first], 2:5, 4:7].reshape(1, -1)
        n = len(learner.components_)
        np.testing.assert_allclose(maps[0, first : first + n, 2, 4], learner.transform(patch)[0], atol=1e-5)
        first += n
    assert first == 20


@pytest.mark.parametrize("learner", [quick(), RandomFilters()])
def test_the_seed_decides(images: np.ndarray, learner: PSD | RandomFilters) -> None:
    def learn(seed: int) -> list[np.ndarray]:
        found, _ = learn_filters(Hierarchy(NOTATION), images, learners=learner, n_patches=500, random_state=seed)
        return filters_of(found)

    first, again, other = learn(3), learn(3), learn(4)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not any((a == b).all() for a, b in zip(first, other, strict=True))


def test_a_stopped_run_goes_on_to_the_same_bits(images: np.ndarray, tmp_path: Path) -> None:
    def learn(checkpoint: Checkpoint | None) -> list[np.ndarray]:
        found, _ = learn_filters(
            Hierarchy(NOTATION), images, learners=quick(), n_patches=500, random_state=1, checkpoint=checkpoint
        )
        return filters_of(found)

    whole = learn(None)
    resumed, stops = learn_through_kills(learn, tmp_path / "checkpoint", lambda: 13)
    assert stops >= 3
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_architecture_that_does_not_fit_fails_before_any_work(images: np.ndarray) -> None:
    progress = Progress()
    with pytest.raises(UsageError, match="needs maps of at least"):
        learn_filters(Hierarchy(NOTATION + " - 4F9x9"), images, learners=quick(), progress=progress)
    assert not progress.records


def test_given_filters_are_learned_anew(images: np.ndarray) -> None:
    bank = FilterBank(8, (5, 5)).with_filters(np.zeros((8, 1, 5, 5), np.float32))
    hierarchy, _ = learn_filters(Hierarchy([bank]), images, learners=quick(), n_patches=500, random_state=0)
    assert filters_of(hierarchy)[0].any()


def convolutional(**options: object) -> ConvolutionalPSD:
    return ConvolutionalPSD(max_batches=10, batch_size=6, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("mark", ["", "SS"])
def test_banks_are_learned_from_whole_images(images: np.ndarray, mark: str) -> None:
    progress = Progress()
    notation = f"8F5x5{mark} - Rabs - N5x5 - PA4x4/2 - 12F3x3:3{mark} - Rabs"
    hierarchy, stages = learn_filters(
        Hierarchy(notation), images, learners=convolutional(), n_patches=1500, random_state=0, progress=progress
    )
    assert progress.records[0].name == "stage 1: ConvolutionalPSD filters"
    first, second = hierarchy.filter_banks
    (learner,) = stages[0].learners
    alone = Hierarchy([first]).transform(images[:3])
    np.testing.assert_allclose(alone, learner.transform(images[:3]), atol=1e-5)
    assert stages[0].patches.shape[1] == 25
    # Six sets of three maps each, and two maps of a set.
    assert second.table is not None
    below = Hierarchy(hierarchy.layers[:4]).transform(images[:3])
    for number, one in enumerate(stages[1].learners):
        rows = slice(2 * number, 2 * number + 2)
        seen = second.table[2 * number]
        maps = Hierarchy(hierarchy.layers[:5]).transform(images[:3])[:, rows]
        np.testing.assert_allclose(maps, one.transform(below[:, seen]), atol=1e-5)
    again = Hierarchy.from_state(*hierarchy.to_state())
    np.testing.assert_array_equal(again.transform(images), hierarchy.transform(images))


@pytest.mark.parametrize("kind", ["shrinkage", "smooth shrinkage"])
def test_patches_teach_the_nonlinearity_of_a_bank(images: np.ndarray, kind: str) -> None:
    if kind == "shrinkage":
        pytest.importorskip("torch")
    bank = FilterBank(8, (5, 5), nonlinearity="shrink" if kind == "shrinkage" else "smooth shrink")
    hierarchy, (stage,) = learn_filters(Hierarchy([bank]), images, learners=quick(), n_patches=500, random_state=0)
    (learner,) = stage.learners
    assert learner.predictor_.kind == kind
    windows = np.lib.stride_tricks.sliding_window_view(images[:3, 0], (5, 5), axis=(1, 2))
    expected = learner.transform(np.ascontiguousarray(windows.reshape(-1, 25)))
    found = hierarchy.transform(images[:3])
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1).reshape(-1, 8), expected, atol=1e-5)
    assert not np.allclose(found, 0)


def test_learners_of_another_nonlinearity_are_refused(images: np.ndarray) -> None:
    for notation, learner, advice in (
        ("8F5x5", quick(encoder="smooth shrinkage"), "has the nonlinearity tanh, and PSD .* write 8F5x5SS"),
        ("8F5x5S", quick(encoder=SmoothShrinkageEncoder(3.0)), "write 8F5x5SS"),
        ("8F5x5SS", quick(encoder="lista"), 'give the learner encoder="smooth shrinkage"'),
        ("8F5x5SS", RandomFilters(), "RandomFilters has filters for tanh: write 8F5x5$"),
    ):
        with pytest.raises(UsageError, match=advice):
            learn_filters(Hierarchy(notation), images, learners=learner, n_patches=100)
    sharper = quick(encoder=SmoothShrinkageEncoder(3.0), sparsity=2.0)
    _, (stage,) = learn_filters(Hierarchy("8F5x5SS"), images, learners=sharper, n_patches=100)
    assert stage.learners[0].encoder.sharpness == 3
    assert stage.learners[0].sparsity == 2


@pytest.mark.parametrize(("given", "used"), [(2.0, 0.5), (0.2, 0.2)])
def test_shrinkage_is_learned_at_a_low_sparsity(images: np.ndarray, given: float, used: float) -> None:
    _, stages = learn_filters(
        Hierarchy("4F5x5SS - Rabs - PA4x4/4 - 4F3x3"), images, learners=quick(sparsity=given), n_patches=100
    )
    assert [stage.learners[0].sparsity for stage in stages] == [used, given]


def test_stopped_convolutional_learning_goes_on_to_the_same_bits(images: np.ndarray, tmp_path: Path) -> None:
    def learn(checkpoint: Checkpoint | None) -> list[np.ndarray]:
        found, _ = learn_filters(
            Hierarchy("6F5x5 - Rabs - PA4x4/4 - 4F3x3:2"), images, learners=convolutional(), n_patches=500,
            random_state=3, checkpoint=checkpoint,
        )  # fmt: skip
        return filters_of(found)

    whole = learn(None)
    resumed, stops = learn_through_kills(learn, tmp_path / "checkpoint", lambda: 9)
    assert stops >= 2
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)
