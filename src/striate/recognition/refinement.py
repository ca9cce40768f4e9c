"""Refinement: all filters of a hierarchy and the classifier on it, trained together by the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.checkpoint import Checkpoint
from striate.errors import UsageError
from striate.hierarchy import Hierarchy, SparseCodes, extract_features
from striate.images import Preprocessing, as_images
from striate.images.collection import as_fractions
from striate.lazy import needs_torch
from striate.progress import Progress
from striate.recognition.labels import label_array
from striate.recognition.linear_head import LinearHead
from striate.recognition.metrics import exceeds_its_error
from striate.recognition.refinement_options import EpochRecord, RefinementOptions
from striate.recognition.softmax import cross_entropy, fit_temperature
from striate.recognition.softmax_classifier import SoftmaxClassifier
from striate.recognition.splits import hold_out_fraction
from striate.recognition.training_images import TrainingImages

__all__ = ["Refined", "obstacle", "refine", "require_torch"]


@dataclass
class Refined:
    """What `refine` has found.

    Attributes
    ----------
    hierarchy : Hierarchy
    classifier : SoftmaxClassifier
        Of the refined features, with a temperature that was calibrated on the held-out images.
    is_better : bool
        Whether the cross-entropy of the held-out images is lower than before, both calibrated, by more than a standard
        error of the paired difference, and not fewer of them are right; also True if none were held out.
    reason : str
        One sentence, for a report.
    n_steps : int
        Those after which most held-out images were right; 0 if that was before the first.
    n_held_out : int
    accuracy, accuracy_before : float or None
        On the held-out images: refined, and of the unrefined features with the given kind of classifier, both trained
        on the other images. None if none were held out.
    history : list of EpochRecord
        Of the training that chose the number of steps.
    """

    hierarchy: Hierarchy
    classifier: SoftmaxClassifier
    is_better: bool
    reason: str
    n_steps: int
    n_held_out: int
    accuracy: float | None
    accuracy_before: float | None
    history: list[EpochRecord]


def refine(
    hierarchy: Hierarchy,
    classifier: SoftmaxClassifier,
    images: Any,
    labels: Sequence[Any] | NDArray[Any],
    preprocessing: Preprocessing,
    options: RefinementOptions | None = None,
    *,
    held_out: Sequence[int] | NDArray[np.int64] | None = None,
    features: NDArray[np.float32] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Refined:
    """Refine a hierarchy and its classifier end to end, by the cross-entropy of the labels. Needs the extra ``torch``.

    A part of the images is held out. A linear classifier with small weights is fitted to the others (see
    `RefinementOptions.start_decay`), and then all weights of the hierarchy and of the classifier are trained together
    from there, with batches that are read and prepared again in each epoch, in the memory of a few of them. The network
    as it was after the epoch in which most held-out images were right is the result; if that is better than without
    refinement, training is repeated with all images for as many steps, unless `RefinementOptions.all_labels` says
    otherwise. The choice among epochs makes the held-out accuracy a little too high; that the cross-entropy has to be
    lower by a standard error makes up for it.

    The same seed, machine and number of threads give the same bits on a CPU, also after a kill.

    Parameters
    ----------
    hierarchy : Hierarchy
        Its layers have twins in torch (see `Layer.twin`); paths without one are computed, but not refined.
    classifier : SoftmaxClassifier
        Fitted to all of the features; refinement has to be better than it. The refined one is linear.
    images : anything that `striate.as_images` takes
    labels : (n_images,)
        The classes of all images.
    preprocessing : Preprocessing
    options : RefinementOptions, optional
    held_out : sequence of int, optional
        Which images are held out, in place of a random part of each class.
    features : float32 (n_images, n_features), optional
        Features of all images, which are all readable, where they are known already.
    checkpoint : Checkpoint, optional
        A run that was killed goes on from it, with the same bits.
    progress : Progress, optional

    Raises
    ------
    UsageError
        If torch is not installed, the hierarchy has nothing to refine, or the arguments do not fit together.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, ICCV 2009: the protocols R+ and U+. Loshchilov, Hutter, ICLR 2019: AdamW.
    """
    options, progress = options or RefinementOptions(), progress or Progress()
    require_torch()
    if (why_not := obstacle(hierarchy)) is not None:
        raise UsageError(f"{hierarchy} cannot be refined: {why_not}")
    source = as_fractions(as_images(images))
    named = label_array(labels, n_samples=len(source), samples="images")
    if features is None:
        found = extract_features(
            source, preprocessing, hierarchy, name="features to refine", checkpoint=checkpoint, progress=progress
        )
        source, named, features = source.subset(found.positions), named[found.positions], found.rows
    if len(features) != len(source):
        raise UsageError(f"there are {len(source)} images and {len(features)} rows of features; give one for each")
    data = TrainingImages(source, _codes(named, classifier), preprocessing)
    everything = np.arange(len(source))
    if held_out is not None:
        apart = np.unique(np.asarray(held_out, np.int64))
        if len(apart) and not 0 <= apart[0] <= apart[-1] < len(source):
            raise UsageError(f"held_out names images beyond the {len(source)}; give 0 to {len(source) - 1}")
    else:
        fraction = options.validation_fraction
        _, apart = hold_out_fraction(named, fraction, random_state=options.random_state)
    work = _Work(hierarchy, classifier, data, features, named, options, checkpoint, progress)
    if not len(apart):
        return work.without_choice(everything)
    return work.with_choice(np.setdiff1d(everything, apart), apart)


def require_torch() -> None:
    """Raise UsageError with what to install if torch is missing."""
    with needs_torch("refining a network needs torch"):
        import striate.recognition._torch  # noqa: F401


def obstacle(hierarchy: Hierarchy) -> str | None:
    """Why a hierarchy cannot be refined, as a part of a sentence; None if it can."""
    for layer in hierarchy:
        if not layer.has_twin:
            return f"{layer.notation} has no twin in torch"
    codes = next((layer for layer in hierarchy.all_layers if isinstance(layer, SparseCodes)), None)
    if codes is not None:
        return f"the codes of {codes.notation} would be searched again for each image in each epoch"
    return None if hierarchy.weights() else "it has no filters or units"


def _codes(labels: NDArray[Any], classifier: SoftmaxClassifier) -> NDArray[np.int64]:
    """The numbers of the labels among the classes."""
    classes = classifier.classes_
    codes = np.searchsorted(classes, labels).clip(0, len(classes) - 1).astype(np.int64)
    foreign = np.flatnonzero(classes[codes] != labels)
    if len(foreign):
        raise UsageError(f"the classifier has no class {labels[foreign[0]]!r}: fit it to the same labels")
    return codes


def _is_better(before: NDArray[Any], after: NDArray[Any], codes: NDArray[np.int64]) -> bool:
    """Whether held-out images are predicted better by the logits after refinement; see `Refined`."""
    losses, n_right = [], []
    for logits in (before, after):
        calibrated = logits / logits.dtype.type(fit_temperature(logits, codes))
        losses.append(cross_entropy(calibrated, codes))
        n_right.append(np.sum(logits.argmax(axis=1) == codes))
    return bool(n_right[1] >= n_right[0]) and exceeds_its_error(losses[0] - losses[1])


@dataclass
class _Work:
    """The parts of a refinement."""

    hierarchy: Hierarchy
    classifier: SoftmaxClassifier
    data: TrainingImages
    features: NDArray[np.float32]
    labels: NDArray[Any]
    options: RefinementOptions
    checkpoint: Checkpoint | None
    progress: Progress

    def with_choice(self, rows: NDArray[np.int64], held_out: NDArray[np.int64]) -> Refined:
        """Choose the number of steps by images that are held out, and judge by them."""
        if len(np.unique(self.data.codes[rows])) < len(self.classifier.classes_):
            raise UsageError("all images of a class are held out: leave at least one of each for training")
        features = self.features[rows]
        given = self.classifier
        as_it_is = {"kernel": given.kernel_, "split": given.knots_ is not None, "weight_decay": given.weight_decay_}
        before = self._fitted(features, rows, as_it_is)
        start = self._start(before, features, rows)
        head = LinearHead.of(start, features)
        del features  # may be as large as all other things together
        codes = self.data.codes[held_out]
        schedule = self._schedule(rows)
        n_steps = min(schedule, self.options.n_steps or schedule)
        found = self._trained(head, rows, held_out, schedule, n_steps, "refinement")
        logits_before = before.logits(self.features[held_out])
        was_right = logits_before.argmax(axis=1) == codes
        is_right = found.validation_logits.argmax(axis=1) == codes
        temperature = fit_temperature(found.validation_logits, codes)
        is_better = found.n_steps > 0 and _is_better(logits_before, found.validation_logits, codes)
        compared = f"{is_right.mean():.1%} of {len(codes):,} held-out images right, {was_right.mean():.1%} before"
        if is_better:
            reason = f"refined end to end for {found.n_steps:,} steps: {compared}"
        else:
            reason = f"not refined, since training end to end was not clearly better: {compared}"
        refined = Refined(
            hierarchy=found.hierarchy,
            classifier=found.head.to_classifier(start, temperature=temperature, n_steps=found.n_steps),
            is_better=is_better,
            reason=reason,
            n_steps=found.n_steps,
            n_held_out=len(codes),
            accuracy=float(is_right.mean()),
            accuracy_before=float(was_right.mean()),
            history=found.history,
        )
        wanted = {"never": False, "better": is_better, "always": found.n_steps > 0}
        if wanted[self.options.all_labels]:
            everything = np.arange(len(self.labels))
            start = self._start(self.classifier, self.features, everything)
            again = self._trained(
                LinearHead.of(start, self.features),
                everything,
                everything[:0],
                schedule,
                found.n_steps,
                "refinement with all labels",
            )
            refined.hierarchy = again.hierarchy
            refined.classifier = again.head.to_classifier(start, temperature=temperature, n_steps=again.n_steps)
        return refined

    def without_choice(self, rows: NDArray[np.int64]) -> Refined:
        """Train for a number of steps that is given."""
        start = self._start(self.classifier, self.features, rows)
        schedule = self._schedule(rows)
        n_steps = self.options.n_steps or schedule
        head = LinearHead.of(start, self.features)
        found = self._trained(head, rows, rows[:0], schedule, n_steps, "refinement")
        made = found.head.to_classifier(start, temperature=1.0, n_steps=found.n_steps)
        reason = f"refined end to end for {found.n_steps:,} steps"
        return Refined(found.hierarchy, made, True, reason, found.n_steps, 0, None, None, found.history)

    def _schedule(self, rows: NDArray[np.int64]) -> int:
        return self.options.n_epochs * -(-len(rows) // self.options.batch_size)

    def _start(
        self, classifier: SoftmaxClassifier, features: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> SoftmaxClassifier:
        """The linear classifier with which refinement begins, in place of one that is fitted to these images."""
        chosen: dict[str, Any] = {"kernel": "linear", "split": classifier.knots_ is not None}
        if self.options.start_decay:
            # Not calibrated, which would make its scores as large as the decay keeps them from being.
            decay = self.options.start_decay * features.shape[1]
            chosen |= {"loss": "cross-entropy", "weight_decay": decay, "calibrate": False}
        elif classifier.kernel_ == "linear":
            return classifier
        else:
            chosen["weight_decay"] = "auto"
        return self._fitted(features, rows, chosen)

    def _fitted(self, features: NDArray[np.float32], rows: NDArray[np.int64], chosen: Any) -> SoftmaxClassifier:
        """A classifier like the given one, but for some parameters, fitted to some images."""
        from sklearn.base import clone

        made: SoftmaxClassifier = clone(self.classifier).set_params(**chosen)
        return made.fit(features, self.labels[rows], progress=self.progress)

    def _trained(
        self,
        head: LinearHead,
        rows: NDArray[np.int64],
        held_out: NDArray[np.int64],
        schedule: int,
        n_steps: int,
        name: str,
    ) -> Any:
        from striate.recognition._torch import train_network

        part = None if self.checkpoint is None else self.checkpoint.part(name.replace(" ", "-"))
        return train_network(
            self.hierarchy,
            head,
            self.data,
            rows,
            held_out,
            self.options,
            schedule=schedule,
            n_steps=n_steps,
            name=name,
            checkpoint=part,
            progress=self.progress,
        )
