"""A layer that this file alone knows: parsed, run, stored, printed, drawn, reported, and with a twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from striate.errors import UsageError
from striate.figures import draw_architecture, to_svg
from striate.hierarchy import (
    FilterBank,
    Hierarchy,
    Layer,
    LearnedStage,
    Operations,
    Pooling,
    Source,
    learn_filters,
    parse_notation,
    register_layer,
)
from striate.images import as_images
from striate.learning import RandomFilters
from striate.progress import Progress
from striate.recognition import ImageClassifier, split_images, train_and_evaluate
from striate.report import write_training_report
from tests.recognition.digits import digits, quick


@register_layer
@dataclass(frozen=True)
class Clip(Layer):
    """``min(max(maps, −percent/100), percent/100)``, then every other column."""

    percent: int = 50

    kind: ClassVar[str] = "clip"
    grammar: ClassVar[str] = "CLIP(?P<percent>[0-9]+)?"
    examples: ClassVar[str] = "CLIP or CLIP20"

    @property
    def notation(self) -> str:
        return "CLIP" if self.percent == 50 else f"CLIP{self.percent}"

    @property
    def words(self) -> str:
        return f"cut at {self.percent} %"

    def output_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        return shape

    def apply(self, maps: np.ndarray) -> np.ndarray:
        assert maps.flags.c_contiguous
        return np.clip(maps, -self.percent / 100, self.percent / 100)

    def twin(self, maps: Any, weights: Mapping[str, Any], operations: Operations) -> Any:
        return maps - operations.soft_threshold(maps, maps.new_tensor(self.percent / 100))


@register_layer
@dataclass(frozen=True)
class Center(Layer):
    """Subtracts a mean that is learned: a learnable layer, known to this file alone."""

    mean: float | None = None

    kind: ClassVar[str] = "center"
    grammar: ClassVar[str] = "CENTER"
    examples: ClassVar[str] = "CENTER"
    notation: ClassVar[str] = "CENTER"

    @property
    def is_learned(self) -> bool:
        return self.mean is not None

    def output_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        return shape

    def check_learnable(self, shape: tuple[int, int, int]) -> None:
        if shape[0] > 9:
            raise UsageError("is for few maps")

    def learn(self, source: Source) -> LearnedStage:
        patches = source.draw(2, source.n_patches, 0.0)
        assert patches.shape[1] == 4 * source.n_maps
        return LearnedStage(Center(float(patches.mean())), [], patches[:9])

    def apply(self, maps: np.ndarray) -> np.ndarray:
        assert self.mean is not None
        return maps - np.float32(self.mean)


NOTATION = "6F5x5 - CLIP20 - Rabs - N5x5 - PA4x4/3"


def filled(rng: np.random.Generator) -> Hierarchy:
    bank, *others = Hierarchy(NOTATION)
    assert isinstance(bank, FilterBank)
    return Hierarchy([bank.with_filters(rng.standard_normal((6, 1, 5, 5), dtype=np.float32)), *others])


def test_it_is_written_as_it_says() -> None:
    assert parse_notation("CLIP") == [Clip()]
    assert Hierarchy(NOTATION).layers[1] == Clip(20)
    assert str(Hierarchy(NOTATION)) == NOTATION
    assert repr(Clip(20)) == "Clip(percent=20)"
    with pytest.raises(UsageError, match=r"'CLIPx' is not a layer of a hierarchy: .*, CLIP or CLIP20"):
        Hierarchy("CLIPx")


def test_it_runs_between_the_layers_of_a_stage(rng: np.random.Generator) -> None:
    images = rng.standard_normal((3, 1, 16, 16), dtype=np.float32)
    hierarchy = filled(rng)
    filtered = np.clip(Hierarchy(hierarchy.layers[:1]).transform(images), -0.2, 0.2)
    expected = Hierarchy(hierarchy.layers[2:]).transform(filtered)
    np.testing.assert_array_equal(hierarchy.transform(images), expected)
    assert hierarchy.output_shape((1, 16, 16)) == expected.shape[1:]


def test_a_layer_that_learns_has_its_place_among_the_stages(rng: np.random.Generator) -> None:
    images = rng.random((20, 1, 12, 12), dtype=np.float32)
    architecture = Hierarchy("CENTER - 4F5x5 - CENTER")
    hierarchy, stages = learn_filters(architecture, images, learners=RandomFilters(), random_state=0)
    assert [type(stage.bank) for stage in stages] == [Center, FilterBank, Center]
    assert abs(hierarchy.transform(images).mean()) < 0.02
    loaded = Hierarchy.from_state(*hierarchy.to_state())
    np.testing.assert_array_equal(loaded.transform(images), hierarchy.transform(images))
    with pytest.raises(UsageError, match="'CENTER', layer 2 of 2, is for few maps"):
        learn_filters(Hierarchy("12F5x5 - CENTER"), images, learners=RandomFilters())


def test_a_file_holds_it(tmp_path: Path, rng: np.random.Generator) -> None:
    hierarchy = filled(rng)
    arrays, header = hierarchy.to_state()
    assert header["layers"][1] == {"kind": "clip", "percent": 20}
    again = Hierarchy.from_state(arrays, header)
    images = rng.standard_normal((2, 1, 16, 16), dtype=np.float32)
    np.testing.assert_array_equal(again.transform(images), hierarchy.transform(images))


def test_its_twin_agrees_and_passes_gradients(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    images = rng.standard_normal((2, 1, 16, 16), dtype=np.float32)
    hierarchy = filled(rng)
    twin = hierarchy.to_torch()
    features = twin(torch.from_numpy(images))
    np.testing.assert_allclose(hierarchy.transform(images), features.detach().numpy(), atol=1e-4)
    features.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in twin.parameters())


def test_a_model_with_it_is_trained_saved_and_reported(tmp_path: Path) -> None:
    images, labels = digits((3, 8), 20)
    collection = as_images(images, labels)
    progress = Progress()
    split = split_images(collection, random_state=0)
    result = train_and_evaluate(quick(architecture=NOTATION), collection, split, progress=progress)
    model, report = tmp_path / "model.safetensors", tmp_path / "report.html"
    result.classifier.save(model)
    again = ImageClassifier.load(model)
    assert str(again.hierarchy_) == NOTATION
    np.testing.assert_array_equal(again.predict_proba(images), result.classifier.predict_proba(images))
    write_training_report(
        report, result, title="digits", command="striate train", model=model, progress=progress, seconds=1.0
    )
    assert "cut at 20 %" in report.read_text(encoding="utf-8")


def test_it_is_drawn_in_its_words() -> None:
    row = {"kind": Clip.drawn_as, "label": Clip(20).words, "shape": (6, 12, 12)}
    assert ">cut at 20 %<" in to_svg(draw_architecture([row]), alt="layers")


def test_a_layer_without_a_twin_says_so() -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="SIFT16x16/8 has no twin in torch"):
        Hierarchy("SIFT16x16/8").to_torch()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "pooling"}, "Other has the kind 'pooling'.* of which Pooling has one already"),
        ({"grammar": Pooling.grammar}, "of which Pooling has one already"),
        ({"examples": None}, "Other has no examples"),
        ({"kind": None}, "Other has no kind"),
    ],
)
def test_a_name_that_is_taken_or_missing_is_refused(changed: dict[str, Any], message: str) -> None:
    stated = {"kind": "other", "grammar": "OTHER", "examples": "OTHER", **changed}
    with pytest.raises(UsageError, match=message):
        register_layer(type("Other", (Clip,), stated))


def test_a_subclass_is_no_kind_of_its_own_until_it_is_registered() -> None:
    class Harder(Clip):
        pass

    with pytest.raises(UsageError, match="layer 1, CLIP20, is a Harder, which a model file cannot hold"):
        Hierarchy([Harder(20)]).to_state()
    with pytest.raises(UsageError, match="Harder has the kind 'clip'"):
        register_layer(Harder)


def test_a_class_that_is_defined_again_replaces_itself() -> None:
    again = register_layer(type("Clip", (Clip,), {"__module__": __name__, "__qualname__": "Clip"}))
    try:
        assert type(Hierarchy("CLIP").layers[0]) is again
    finally:
        register_layer(Clip)
