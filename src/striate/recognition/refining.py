"""Whether a trained system is refined, with which options, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy import Hierarchy, Layer, LearnedStage
from striate.images import ImageCollection, Preprocessing
from striate.progress import Progress
from striate.recognition.refinement import Refined, obstacle, refine, require_torch
from striate.recognition.refinement_options import RefinementOptions
from striate.recognition.softmax_classifier import SoftmaxClassifier

__all__ = ["Trial", "refined_layers", "try_refinement"]

# Labels per class, on average: a fifth of them is held out, which is to tell apart systems that differ by little.
_FEWEST = {True: 10, "auto": 100}
# Training images are moved by up to this fraction of their shorter side: a pixel or two of a digit.
_SHIFT = 0.05


@dataclass
class Trial:
    """What came of the attempt to refine a system.

    Attributes
    ----------
    reason : str
        Why it is refined or not, one sentence.
    refined : Refined or None
        What was found, also if it is not better; None if it was not tried.
    """

    reason: str
    refined: Refined | None = None

    @property
    def is_better(self) -> bool:
        """Whether the refined system is to be used."""
        return self.refined is not None and self.refined.is_better

    @property
    def facts(self) -> dict[str, Any]:
        """What a model file keeps of it, as JSON."""
        found = self.refined
        if found is None:
            return {}
        return {
            "is_used": found.is_better,
            "n_steps": found.n_steps,
            "n_held_out": found.n_held_out,
            "accuracy": found.accuracy,
            "accuracy_before": found.accuracy_before,
            "history": [one._asdict() for one in found.history],
        }


def try_refinement(
    hierarchy: Hierarchy,
    classifier: SoftmaxClassifier,
    images: ImageCollection,
    labels: NDArray[Any],
    features: NDArray[np.float32],
    preprocessing: Preprocessing,
    *,
    wanted: bool | Literal["auto"],
    mirror: bool,
    random_state: int | None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Trial:
    """Refine a system with options for users, if there are labels enough to hold some out.

    Parameters
    ----------
    hierarchy, classifier, images, labels, features, preprocessing
        See `refine`.
    wanted : True or "auto"
        True needs 10 labels per class on average, and "auto" 100, from where on refinement helps as a rule.
    mirror : bool
        Whether half of the training images are mirrored.
    random_state : int or None
    """
    per_class, fewest = len(labels) / len(classifier.classes_), _FEWEST[wanted]
    if per_class < fewest:
        return Trial(
            f"not refined end to end: {per_class:.0f} labels per class are too few to hold some out, at least "
            f"{fewest} are needed"
        )
    if (why_not := obstacle(hierarchy)) is None and wanted == "auto":
        why_not = _missing()
    if why_not is not None:
        return Trial(f"not refined end to end: {why_not}")
    seed = int(np.random.default_rng().integers(2**31)) if random_state is None else random_state
    shift = max(1, round(_SHIFT * min(preprocessing.canvas)))
    options = RefinementOptions(shift=shift, mirror=mirror, random_state=seed)
    found = refine(
        hierarchy, classifier, images, labels, preprocessing, options,
        features=features, checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
    return Trial(found.reason, found)


def _missing() -> str | None:
    """What has to be installed first; None if all is there."""
    try:
        require_torch()
    except UsageError as error:
        return str(error)
    return None


def refined_layers(stages: list[LearnedStage], before: Hierarchy, after: Hierarchy) -> dict[str, Layer]:
    """The refined layer of each learned stage that the hierarchies have, by the name of the stage."""
    pairs = list(zip(before.all_layers, after.all_layers, strict=True))
    return {stage.name: new for stage in stages for old, new in pairs if old is stage.bank}
