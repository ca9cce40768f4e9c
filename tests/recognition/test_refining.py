"""A whole system that is refined, or not, and says why; it predicts without torch."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy import FilterBank
from striate.images import as_images
from striate.progress import Progress
from striate.recognition import ImageClassifier, RefinementOptions, refining, split_images, train_and_evaluate
from striate.report import training_report
from tests.killing import learn_through_kills
from tests.recognition.digits import digits, quick

pytest.importorskip("torch")

DATA = Path(__file__).parents[1] / "data"
# Predicts where torch cannot be had, and prints what it needs of it.
ALONE = """
import sys
class NoTorch:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, NoTorch())
import numpy as np
from striate import ImageClassifier
model, images, out = sys.argv[1:]
np.save(out, ImageClassifier.load(model).predict_proba(np.load(images)))
"""


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    few = functools.partial(RefinementOptions, n_epochs=2, batch_size=16)
    monkeypatch.setattr(refining, "RefinementOptions", few)


@pytest.fixture
def always(few_steps: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found counts as better, and a step was taken."""
    from striate.recognition import refine

    def found(*arguments: Any, **options: Any) -> Any:
        made = refine(*arguments, **options)
        made.is_better = True
        return made

    monkeypatch.setattr(refining, "refine", found)


@pytest.mark.usefixtures("always")
def test_a_refined_model_predicts_without_torch(tmp_path: Path) -> None:
    images, labels = digits([1, 4, 9], 25)
    classifier = quick(refine=True, unknown=0.25).fit(images, labels)
    assert any("held-out images right" in reason for reason in classifier.record_.reasons)
    facts = classifier.record_.facts["refinement"]
    assert facts["is_used"]
    assert facts["n_held_out"] == 12
    assert len(facts["history"]) == 3
    (bank,) = classifier.hierarchy_.filter_banks
    (stage,) = classifier.record_.stages
    assert classifier.record_.refined == {"stage 1": bank}
    assert isinstance(stage.bank, FilterBank)
    assert stage.bank.filters is not None
    assert bank.filters is not None
    assert classifier.rejection_ is not None
    assert classifier.rejection_.n_held_out_ == 15
    held_out = classifier.decision_function(images)
    assert np.isfinite(held_out).all()

    classifier.save(tmp_path / "model.safetensors")
    again = ImageClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict_proba(images), classifier.predict_proba(images))
    assert again.get_params() == classifier.get_params()
    np.save(tmp_path / "images.npy", images)
    arguments = [tmp_path / name for name in ("model.safetensors", "images.npy", "found.npy")]
    subprocess.run([sys.executable, "-c", ALONE, *map(str, arguments)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), classifier.predict_proba(images))
    with pytest.raises(UsageError, match="fit_classifier"):
        again.refine_network(images, labels, again.transform(images))


def test_the_golden_refined_model_predicts_without_torch(tmp_path: Path) -> None:
    golden = DATA / "golden-0.1-refined.npz"
    expected = np.load(golden)
    np.save(tmp_path / "images.npy", expected["images"])
    arguments = [golden.with_suffix(".safetensors"), tmp_path / "images.npy", tmp_path / "found.npy"]
    subprocess.run([sys.executable, "-c", ALONE, *map(str, arguments)], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected["probabilities"], rtol=0, atol=2e-5)


@pytest.mark.usefixtures("always")
def test_a_run_evaluates_both_and_reports_both(tmp_path: Path) -> None:
    images = as_images(*digits([1, 4, 9], 30))
    progress = Progress()
    result = train_and_evaluate(
        quick(refine=True), images, split_images(images, random_state=0), label_counts=[3], progress=progress
    )
    assert result.before is not None
    assert result.before.n_test == result.test.n_test == 18
    assert result.classifier.record_.facts["accuracy_before_refinement"] == result.before.accuracy
    assert result.classifier.record_.facts["accuracy"] == result.test.accuracy
    predicted = np.array([one.label for one in result.test.predictions])
    assert result.test.accuracy == pytest.approx(np.mean(predicted == result.test.images.labels))
    np.testing.assert_array_equal(predicted, result.classifier.predict(result.test.images))
    model = tmp_path / "model.safetensors"
    result.classifier.save(model)
    data = training_report(result, title="digits", command="", model=model, progress=progress, seconds=1.0)
    assert data.accuracy_before == result.before.accuracy
    assert [stage.name for stage in data.stages] == ["stage 1", "stage 1, refined"]
    before, after = (stage.encoder for stage in data.stages)
    assert before.shape == after.shape


@pytest.mark.usefixtures("always")
def test_a_run_that_was_killed_ends_with_the_same_bits(tmp_path: Path) -> None:
    images = as_images(*digits([1, 4, 9], 15))
    split = split_images(images, random_state=0)
    rng = np.random.default_rng(0)

    def learn(checkpoint: Checkpoint | None) -> ImageClassifier:
        classifier = quick(refine=True)
        return train_and_evaluate(classifier, images, split, label_counts=[], checkpoint=checkpoint).classifier

    found, kills = learn_through_kills(learn, tmp_path / "run", lambda: int(rng.integers(2, 6)))
    assert kills > 1
    np.testing.assert_array_equal(found.predict_proba(images), learn(None).predict_proba(images))


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(
    ("options", "n", "words"),
    [
        ({"refine": True}, 5, "5 labels per class are too few to hold some out, at least 10"),
        ({"refine": "auto"}, 20, "20 labels per class are too few to hold some out, at least 100"),
        ({"refine": "auto", "architecture": "HOG8 - Z"}, 100, "HOG8 has no twin"),
        ({"refine": True, "architecture": "{HOG8 | 6F5x5 - Rabs - PA8x8/8}"}, 12, "held-out images right"),
    ],
)
def test_says_why_not(options: dict[str, Any], n: int, words: str) -> None:
    classifier = quick(**options).fit(*digits([0, 1], n))
    assert words in classifier.record_.reasons[-1]
    if "twin" in words or "few" in words:
        assert classifier.record_.facts["refinement"] == {}
        assert not classifier.record_.refined


@pytest.mark.usefixtures("few_steps")
def test_keeps_the_unrefined_system_where_it_is_not_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.recognition.refinement._is_better", lambda *_: False)
    images, labels = digits([1, 4, 9], 15)
    refined, plain = (quick(refine=wish).fit(images, labels) for wish in (True, False))
    np.testing.assert_array_equal(refined.predict_proba(images), plain.predict_proba(images))
    assert "not clearly better" in refined.record_.reasons[-1]
    assert not refined.record_.facts["refinement"]["is_used"]


@pytest.mark.parametrize("options", [{"architecture": "SIFT16x16/8 - 9SC - PM1+2+4"}, {"system": "scspm"}])
def test_refuses_early_what_cannot_be_refined(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"cannot be refined: leave out refine"):
        ImageClassifier(refine=True, **options).fit(*digits([0, 1], 12))


def test_says_early_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "striate.recognition._torch", raising=False)
    with pytest.raises(UsageError, match=r"pip install striate\[torch\]"):
        quick(refine=True).fit(*digits([0, 1], 12))
    classifier = quick(refine="auto").fit(*digits([0, 1], 100))
    assert "pip install striate[torch]" in classifier.record_.reasons[-1]
