"""Pooling over a sheet of maps: against its definition, behind filters and alone, in notation, files, and learning."""

from __future__ import annotations

import numpy as np
import pytest

from striate.coding import Sheet
from striate.errors import UsageError
from striate.hierarchy import FilterBank, Hierarchy, SheetPooling, learn_filters, protocol
from striate.hierarchy.presets import choose, on_sheet
from striate.images import load_mnist_digits
from striate.learning import PSD, TopographicPSD
from tests.hierarchy.test_torch import filled


@pytest.fixture
def images() -> np.ndarray:
    return load_mnist_digits()[0][::50]


@pytest.mark.parametrize("nonlinearity", ["", "S", "SS"])
def test_filters_and_pools_together_are_what_they_are_apart(nonlinearity: str, rng: np.random.Generator) -> None:
    hierarchy = filled(f"24F5x5{nonlinearity} - TORUS6x4:3x2/3x1 - PA4x4/4", 1, rng)
    bank, pools, _ = hierarchy
    images = rng.standard_normal((3, 1, 30, 41), dtype=np.float32)
    maps = Hierarchy([bank]).transform(images)
    assert isinstance(pools, SheetPooling)
    expected = np.sqrt(np.einsum("pk,nkhw->nphw", pools.sheet.matrix(), np.square(maps, dtype=np.float64)))
    np.testing.assert_allclose(Hierarchy([pools]).transform(maps), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(Hierarchy([bank, pools]).transform(images), expected, rtol=1e-4, atol=1e-5)
    assert len(hierarchy.steps()) == 2  # filters and pools in one
    assert hierarchy.transform(images).shape == (3, *hierarchy.output_shape((1, 30, 41)))


def test_the_twin_agrees(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    hierarchy = filled("24F5x5 - TORUS6x4:3x2/3x1B - Rabs - N5x5 - PA4x4/4", 2, rng)
    images = rng.standard_normal((2, 2, 25, 24), dtype=np.float32)
    with torch.no_grad():
        twin = hierarchy.to_torch()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(hierarchy.transform(images), twin, atol=1e-4)


@pytest.mark.parametrize(
    ("notation", "sheet"),
    [
        ("TORUS32x16:6x6/2", Sheet((32, 16), 6, 2)),
        ("SHEET9x7:5x3/2x1", Sheet((9, 7), (5, 3), (2, 1), torus=False)),
        ("TORUS8x8:4x4/4B", Sheet((8, 8), 4, 4, weights="box")),
        ("TORUS64:8/4", Sheet(64, 8, 4)),
    ],
)
def test_notation_and_files_hold_the_sheet(notation: str, sheet: Sheet) -> None:
    (layer,) = Hierarchy(notation)
    assert layer == SheetPooling(sheet)
    assert layer.notation == notation
    (again,) = Hierarchy.from_state(*Hierarchy(notation).to_state())
    assert again == layer


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        ("TORUS4x4:6x6/2", "a window of 6 units is larger than the side of the sheet"),
        ("TORUS9x9:6x6/2", "does not divide the side of the torus"),
        ("9F3x3 - TORUS4x4:2x2/1", "pools over 16 maps, but 9 come in"),
        ("TORUS4x4:2x2", "is not a layer"),
    ],
)
def test_sheets_that_do_not_fit(notation: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Hierarchy(notation).shapes((1, 20, 20))


def test_filters_are_learned_on_the_sheet_that_pools_them(images: np.ndarray) -> None:
    learner = TopographicPSD(max_batches=30, batch_size=50, sparsity=1.0)
    hierarchy, (stage,) = learn_filters(
        Hierarchy("24F5x5 - TORUS6x4:3x3/3x1B - PA4x4/2"), images, learners=learner, n_patches=1500, random_state=0
    )
    (fitted,) = stage.learners
    assert fitted.sheet_ == Sheet((6, 4), 3, (3, 1), weights="box")
    features = Hierarchy(hierarchy.layers[:2]).transform(images[:3])
    patch = images[:3, :, 7:12, 9:14].reshape(3, -1)
    np.testing.assert_allclose(features[:, :, 7, 9], fitted.transform(patch), atol=1e-5)
    assert learner.sheet is None
    # Without a layer that pools, filters lie on the sheet that suits their number.
    _, (stage,) = learn_filters(Hierarchy("24F5x5 - Rabs"), images, learners=learner, n_patches=500, random_state=0)
    assert stage.learners[0].sheet_.shape == (6, 4)


def test_a_sheet_sees_all_maps(images: np.ndarray) -> None:
    architecture = Hierarchy("8F5x5 - Rabs - PA4x4/2 - 16F3x3:4 - TORUS4x4:2x2/1")
    learners = [PSD(max_batches=3), TopographicPSD(max_batches=3)]
    with pytest.raises(UsageError, match="see all maps: write 16F3x3"):
        learn_filters(architecture, images, learners=learners, n_patches=200, random_state=0)


def test_a_protocol_learns_stages_of_pools(images: np.ndarray) -> None:
    learners = [learner.set_params(max_batches=5) for learner in protocol("II")]
    architecture = Hierarchy("16F5x5 - TORUS4x4:2x2/1 - PA4x4/2 - 16F3x3 - SHEET4x4:2x2/2 - PA2x2/2")
    hierarchy, stages = learn_filters(architecture, images, learners=learners, n_patches=500, random_state=0)
    assert hierarchy.transform(images).shape == (100, 4, 4, 4)
    assert [type(stage.learners[0]) for stage in stages] == [TopographicPSD] * 2


def test_the_preset_pools_into_as_many_maps() -> None:
    from striate.hierarchy import describe
    from striate.images import as_images

    choice = choose(describe(as_images(load_mnist_digits()[0][::50])), system="hierarchy")
    changed = on_sheet(choice)
    assert str(changed.hierarchy).startswith("256F9x9 - TORUS16x16:6x6/2 - N")
    shape = choice.preprocessing.shape
    assert changed.hierarchy.output_shape(shape) == choice.hierarchy.output_shape(shape)
    assert isinstance(changed.hierarchy.layers[0], FilterBank)
