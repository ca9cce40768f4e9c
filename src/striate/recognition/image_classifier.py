"""The main estimator: images in, classes out, with filters learned from the images themselves."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from striate import __version__, model_file, stored
from striate.checkpoint import Checkpoint
from striate.errors import StriateError, UnreadableImage, UsageError
from striate.hierarchy import Features, Hierarchy, LearnedStage, extract_features
from striate.images import ImageCollection, Preprocessing, Skipped, as_images, stream
from striate.images.collection import as_fractions
from striate.images.names import printable
from striate.images.stream import require_most
from striate.parameters import (
    Boolean,
    Choice,
    Instance,
    Integer,
    Real,
    Text,
    check_parameters,
    checked,
    plain,
    plain_parameters,
)
from striate.progress import Progress
from striate.recognition.labels import (
    AsGiven,
    check_classes,
    class_names,
    label_array,
    labels_of,
    lost_classes,
    name_of,
)
from striate.recognition.rejection import ConformalRejection
from striate.recognition.softmax_classifier import SoftmaxClassifier
from striate.recognition.splits import draw_fraction

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from striate.hierarchy.presets import Choice as Chosen
    from striate.hierarchy.presets import System

KIND = "image_classifier"
# Prepared images that filters are learned from, in floats (256 MB), and at most so many of them.
MAX_SAMPLE_FLOATS = 1 << 26
MAX_SAMPLE_IMAGES = 5000
# Of the labeled images, set aside for the "unknown" threshold.
HELD_OUT_FRACTION = 0.2

_RULES = {
    "system": Choice("auto", "hierarchy", "scspm"),
    "architecture": Text(),
    "preprocessing": Choice("auto") | Instance(Preprocessing, words="a Preprocessing"),
    "learner": Choice("psd", "random"),
    "unknown": Real(above=0, below=1) | None,
    "weight_decay": Real(above=0) | Choice("auto"),
    "random_state": Integer(low=0) | None,
    "feature_cache": Boolean(),
}


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one image.

    Attributes
    ----------
    name : str
        The image's path, or array and number.
    label : str
        The most probable class, also for an image that is unknown.
    probability : float
        Of that class, calibrated.
    top : tuple of (str, float)
        The most probable classes, first the best.
    unknown : bool
        Whether the image resembles no class; always False for a classifier without ``unknown``.
    """

    name: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    unknown: bool


@dataclass
class TrainingRecord:
    """How a classifier was made; its JSON part goes into the model file.

    Attributes
    ----------
    reasons : list of str
        What was chosen for these images, and why.
    stages : list of LearnedStage
        Not in the model file: filters are in the hierarchy.
    skipped : list of Skipped
        Images that could not be read.
    facts : dict
        Numbers of images and classes, seed, versions, measured accuracy: anything JSON can hold.
    """

    reasons: list[str] = field(default_factory=list)
    stages: list[LearnedStage] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class ImageClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):
    """Learns filters from images without labels, and a classifier from those that have one.

    `fit` is three steps, which can be taken one by one: `learn_features` (preset, filters), `extract`
    (features of images), `fit_classifier`.

    Parameters
    ----------
    system : "auto", "hierarchy" or "scspm"
        "auto" chooses from the images; "hierarchy" are stages of learned filters (3 ms a photograph), "scspm" sparse
        codes of SIFT by a learned dictionary, over a spatial pyramid (some 75 ms, and better on photographs).
    architecture : str, default "auto"
        "auto" chooses from the images; otherwise the papers' notation, for example
        ``"64F9x9 - Rabs - N - PA10x10/5"``, whatever the system.
    preprocessing : Preprocessing or "auto"
        What is done to every image first; "auto" chooses from the images.
    learner : "psd" or "random"
        How filters of a hierarchy come about: predictive sparse decomposition, or at random (protocol R of Jarrett et
        al. 2009), to see what learning brings.
    unknown : float or None
        Rate of false alarms at which an image may be called unknown, for example 0.05; a fifth of the labeled images
        is then set aside to find the threshold. None: every image gets a class.
    weight_decay : float or "auto"
        Of the logistic regression; "auto" chooses it by cross-validation.
    random_state : int or None
    feature_cache : bool
        Whether `extract`, and `fit` with it, keep features that take long in the cache folder (see `FeatureCache`) and
        look them up there, so that another fit with the same filters costs only the classifier. Not part of a model
        file.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
        Of the type of the labels that were given: integers stay integers. Text where images bring their labels along.
    preprocessing_ : Preprocessing
    hierarchy_ : Hierarchy
    classifier_ : SoftmaxClassifier
    rejection_ : ConformalRejection or None
    record_ : TrainingRecord

    References
    ----------
    Kavukcuoglu, Ranzato, LeCun 2008 (PSD); Jarrett et al., ICCV 2009 (hierarchy); Yang et al., CVPR 2009 (ScSPM).
    """

    def __init__(
        self,
        *,
        system: System = "auto",
        architecture: str = "auto",
        preprocessing: Preprocessing | Literal["auto"] = "auto",
        learner: Literal["psd", "random"] = "psd",
        unknown: float | None = None,
        weight_decay: float | Literal["auto"] = "auto",
        random_state: int | None = None,
        feature_cache: bool = False,
    ) -> None:
        self.system = system
        self.architecture = architecture
        self.preprocessing = preprocessing
        self.learner = learner
        self.unknown = unknown
        self.weight_decay = weight_decay
        self.random_state = random_state
        self.feature_cache = feature_cache

    def fit(
        self,
        images: Any,
        labels: Sequence[Any] | NDArray[Any] | None = None,
        *,
        unlabeled: Any = None,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn filters and a classifier.

        Parameters
        ----------
        images : folder, array (n, height, width[, channels]) or (n, channels, height, width), list, or ImageCollection
            Images; see `striate.as_images`. Those without a label help to learn filters. Floating-point arrays may
            hold 0–1 or 0–255: an array that goes from 0 to more than 2, and at most 255, is divided by 255, here and
            wherever the classifier is given images.
        labels : sequence of str, int or bool (n,), optional
            Where the images do not bring them along, as a folder with one sub-folder a class does. None, NaN and ""
            stand for no label.
        unlabeled : like images, optional
            More images for the filters.
        checkpoint : Checkpoint, optional
            A run that was killed goes on from it, to the same bits.
        progress : Progress, optional
        """
        self._check_parameters()
        images = as_fractions(as_images(images, labels))
        as_given = AsGiven(labels, images.labels or [])
        named = [name_of(name) for name in labels_of(images)]
        check_classes(np.asarray(named))  # before minutes of learning
        self._check_names(named)
        self.learn_features(images, unlabeled=unlabeled, checkpoint=checkpoint, progress=progress)
        labeled = images.subset(images.labeled)
        features = self.extract(
            labeled, name="features of training images", checkpoint=checkpoint, require_half=False, progress=progress
        )
        self.record_.skipped = list(dict.fromkeys([*self.record_.skipped, *features.skipped]))
        require_most(self.record_.skipped, len(images) + (0 if unlabeled is None else len(as_images(unlabeled))))
        kept = labeled.subset(features.positions)
        for note in lost_classes(labeled, kept):
            warnings.warn(note, stacklevel=2)
        return self.fit_classifier(features.rows, as_given(kept.labels or []), progress=progress)

    def learn_features(
        self,
        images: Any,
        *,
        unlabeled: Any = None,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Choose the preprocessing and the architecture, and learn the filters; labels are not used."""
        self._check_parameters()
        progress = progress or Progress()
        images = as_fractions(as_images(images))
        extra = None if unlabeled is None else as_fractions(as_images(unlabeled))
        choice = self._choose(images)
        self.preprocessing_ = choice.preprocessing
        self.record_ = TrainingRecord(reasons=list(choice.reasons))
        for reason in choice.reasons:
            progress.message(reason)
        sample = self._sample(images, extra, progress)
        # Learning needs more of scikit-learn than prediction does.
        from striate.hierarchy import learn_filters

        self.hierarchy_, self.record_.stages = learn_filters(
            choice.hierarchy,
            sample,
            learners=choice.learners if self.learner == "psd" else _random_learner(),
            random_state=self.random_state,
            checkpoint=checkpoint,
            progress=progress,
        )
        return self

    def extract(
        self,
        images: Any,
        *,
        name: str = "features",
        checkpoint: Checkpoint | None = None,
        folder: Path | None = None,
        require_half: bool = True,
        progress: Progress | None = None,
    ) -> Features:
        """Features of images, with the images that could not be read; see `extract_features`."""
        check_is_fitted(self, "hierarchy_")
        return extract_features(
            as_fractions(as_images(images)),
            self.preprocessing_,
            self.hierarchy_,
            name=name,
            checkpoint=checkpoint,
            folder=folder,
            cache=self.feature_cache,
            require_half=require_half,
            progress=progress,
        )

    def fit_classifier(
        self, features: NDArray[np.float32], labels: Sequence[Any] | NDArray[Any], *, progress: Progress | None = None
    ) -> Self:
        """Fit the logistic regression, and the "unknown" threshold if one is asked for.

        Parameters
        ----------
        features : float32 (n, n_features)
        labels : sequence of str, int or bool (n,)
        """
        check_is_fitted(self, "hierarchy_")
        self._check_parameters()
        classes = label_array(labels, n_samples=len(features), samples="images")
        check_classes(classes, at_least=1)
        self._check_names(class_names(np.unique(classes)))
        rows = np.arange(len(classes))
        held_out = rows[:0]
        if self.unknown is not None:
            rows, held_out = draw_fraction(classes, 1 - HELD_OUT_FRACTION, random_state=self.random_state)
        from striate.hierarchy.presets import classifier_options

        classifier = SoftmaxClassifier(
            weight_decay=self.weight_decay, random_state=self.random_state, **classifier_options(self.hierarchy_)
        )
        training = features if len(rows) == len(features) else features[rows]
        self.classifier_ = classifier.fit(training, classes[rows], progress=progress)
        self.classes_ = self.classifier_.classes_
        self.rejection_ = None
        if self.unknown is not None:
            self.rejection_ = ConformalRejection(error_rate=self.unknown)
            logits = self.classifier_.logits(features[held_out]) if len(held_out) else np.empty((0, len(self.classes_)))
            self.rejection_.fit(logits)
            if self.rejection_.threshold_ == np.inf:
                reason = (
                    f"no image will be called unknown: {len(held_out)} labeled ones, a fifth, were held out, "
                    f"too few for a rate of {self.unknown} of false alarms"
                )
                self.record_.reasons.append(reason)
                (progress or Progress()).message(reason)
        return self

    def transform(self, images: Any) -> NDArray[np.float32]:
        """Features of images, float32 (n_images, n_features); UnreadableImage when one cannot be read."""
        return self._features(as_fractions(as_images(images)))

    def decision_function(self, images: Any) -> NDArray[np.float32]:
        """Logits, float32 (n_images, n_classes); for two classes, as in scikit-learn, their difference, (n_images,)."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.decision_function(self.transform(images))

    def predict_proba(self, images: Any) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (n_images, n_classes), classes in the order of `classes_`."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.predict_proba(self.transform(images))

    def predict(self, images: Any) -> NDArray[Any]:
        """The most probable class of each image, (n_images,)."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.predict(self.transform(images))

    def is_unknown(self, images: Any) -> NDArray[np.bool_]:
        """Which images resemble no class, bool (n_images,): the companion of `predict_proba`.

        Of images that do belong to a class, the share that is called unknown is the error rate asked for.

        Raises
        ------
        UsageError
            When the classifier was trained without ``unknown``.
        """
        check_is_fitted(self, "classifier_")
        if self.rejection_ is None:
            raise UsageError('this classifier knows no "unknown": train it with unknown=0.05 (--unknown 0.05).')
        return self.rejection_.is_unknown(self.classifier_.logits(self.transform(images)))

    def classify(self, images: Any, *, n_top: int = 5) -> list[Prediction]:
        """Everything there is to say of each image: class, probability, the runners-up, whether it is unknown."""
        check_is_fitted(self, "classifier_")
        images = as_fractions(as_images(images))
        features = self._features(images)
        return self.classify_features(features, list(images.names), n_top=n_top)

    def classify_features(
        self, features: NDArray[np.float32], names: Sequence[str], *, n_top: int = 5
    ) -> list[Prediction]:
        """`classify` for features that are already there."""
        check_is_fitted(self, "classifier_")
        n_top = checked("n_top", n_top, Integer(low=1))
        if len(names) != len(features):
            raise UsageError(f"there are {len(features)} features and {len(names)} names; give one name for each")
        if not len(features):
            return []
        logits = self.classifier_.logits(features)
        probabilities = self.classifier_.predict_proba(features)
        unknown = np.zeros(len(features), bool) if self.rejection_ is None else self.rejection_.is_unknown(logits)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :n_top]
        text = class_names(self.classes_)
        return [
            Prediction(
                name=name,
                label=text[best[0]],
                probability=float(row[best[0]]),
                top=tuple((text[k], float(row[k])) for k in best),
                unknown=bool(is_unknown),
            )
            for name, row, best, is_unknown in zip(names, probabilities, order, unknown, strict=True)
        ]

    def score(self, images: Any, labels: Sequence[Any] | NDArray[Any] | None = None) -> float:
        """Accuracy on those images that have a label."""
        check_is_fitted(self, "classifier_")
        images = as_fractions(as_images(images, labels))
        images = images.subset(images.labeled)
        named = np.array([name_of(name) for name in labels_of(images)])
        found = self.classifier_.logits(self.transform(images)).argmax(axis=1)
        names = np.array(class_names(self.classes_))
        return float(np.mean(names[found] == named))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model file: preprocessing, filters, classifier and how they came about, without any pickle."""
        check_is_fitted(self, "classifier_")
        parts: dict[str, Any] = {"hierarchy": self.hierarchy_, "classifier": self.classifier_}
        if self.rejection_ is not None:
            parts["rejection"] = self.rejection_
        arrays: dict[str, NDArray[Any]] = {}
        header: dict[str, Any] = {
            "striate": __version__,
            "preprocessing": self.preprocessing_.to_state(),
            "reasons": self.record_.reasons,
            "facts": plain("facts", self.record_.facts),
            "parameters": self._parameters(),
            "parts": {},
        }
        for name, part in parts.items():
            part_arrays, part_header = part.to_state()
            arrays |= model_file.prefixed(name, part_arrays)
            header["parts"][name] = {"kind": _KIND_OF[type(part)], **part_header}
        model_file.write(path, arrays, header, kind=KIND)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ImageClassifier:
        """Read a model file; ModelFileError tells in one sentence what is wrong with it."""
        arrays, header = model_file.read(path, kind=KIND)
        with stored.in_file(path, "model"):
            return cls._from_state(arrays, header)

    @classmethod
    def _from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> ImageClassifier:
        given = stored.field(stored.field(header, "parameters", stored.Table()), "preprocessing")
        if given != "auto":
            with stored.part("parameters.preprocessing"):
                given = Preprocessing.from_state(given)
        classifier: ImageClassifier = stored.with_parameters(cls, header, preprocessing=given)
        with stored.part("preprocessing"):
            classifier.preprocessing_ = Preprocessing.from_state(stored.field(header, "preprocessing"))
        parts = stored.field(header, "parts", stored.Table())
        classifier.hierarchy_ = _part("hierarchy", Hierarchy, arrays, parts)
        classifier.classifier_ = _part("classifier", SoftmaxClassifier, arrays, parts)
        classifier.rejection_ = _part("rejection", ConformalRejection, arrays, parts) if "rejection" in parts else None
        with stored.part("parts.hierarchy"):
            n_features = math.prod(classifier.hierarchy_.output_shape(classifier.preprocessing_.shape))
            if not classifier.hierarchy_.is_learned:
                raise model_file.ModelFileError("some of its filters or dictionaries are missing")
        if n_features != classifier.classifier_.n_features_in_:
            raise model_file.ModelFileError(
                f"the hierarchy makes {n_features:,} features of an image, and the classifier takes "
                f"{classifier.classifier_.n_features_in_:,}"
            )
        classifier.classes_ = classifier.classifier_.classes_
        classifier.record_ = TrainingRecord(
            reasons=stored.field(header, "reasons", stored.ListOf(Text())),
            facts=stored.field(header, "facts", stored.Table()),
        )
        return classifier

    def _check_parameters(self) -> None:
        """UsageError now for what would otherwise fail after minutes of learning."""
        check_parameters(self, _RULES)
        if self.system == "scspm" and self.learner == "random":
            raise UsageError('filters at random are for a hierarchy: leave out learner="random", or system="scspm"')

    def _check_names(self, names: Sequence[str]) -> None:
        """UsageError where "unknown" would be both a class and what resembles none."""
        same = next((name for name in names if name.casefold() == "unknown"), None)
        if self.unknown is not None and same is not None:
            raise UsageError(
                f"a class is named {same!r}, and unknown={self.unknown:g} (--unknown) says so of images that resemble "
                "no class: rename the class, or leave out unknown"
            )

    def _parameters(self) -> dict[str, Any]:
        """Of the constructor, as JSON."""
        apart = {"preprocessing", "feature_cache"}  # whether this machine keeps features is no part of the model
        is_given = isinstance(self.preprocessing, Preprocessing)
        given = self.preprocessing.to_state() if is_given else self.preprocessing  # type: ignore[union-attr]
        return {**plain_parameters(self, apart=apart), "preprocessing": given}

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn asks of an estimator: images have three axes or more, and features are float32."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _choose(self, images: ImageCollection) -> Chosen:
        from striate.hierarchy.presets import choose, describe

        return choose(
            describe(images),
            system="hierarchy" if self.learner == "random" else self.system,
            preprocessing=None if self.preprocessing == "auto" else self.preprocessing,
            hierarchy=None if self.architecture == "auto" else Hierarchy(self.architecture),
        )

    def _sample(
        self, images: ImageCollection, extra: ImageCollection | None, progress: Progress
    ) -> NDArray[np.float32]:
        """Prepared images for the filters, drawn evenly from all, labeled or not; others go to the record."""
        rng = np.random.default_rng(self.random_state)
        n_all = len(images) + (len(extra) if extra is not None else 0)
        size = int(np.prod(self.preprocessing_.shape))
        n = min(n_all, MAX_SAMPLE_IMAGES, max(1, MAX_SAMPLE_FLOATS // size))
        chosen = np.sort(rng.choice(n_all, n, replace=False))
        batches = []
        with progress.phase("images for the filters", total=n, unit="images") as phase:
            for source, indices in (
                (images, chosen[chosen < len(images)]),
                (extra, chosen[chosen >= len(images)] - len(images)),
            ):
                if source is None or not len(indices):
                    continue
                for _, batch in stream(
                    source,
                    self.preprocessing_,
                    batch_size=64,
                    indices=indices,
                    skipped=self.record_.skipped,
                    require_half=False,  # the whole is judged, not what was drawn of each part
                    **self.preprocessing_.reading,
                ):
                    batches.append(batch)
                    phase.advance(len(batch))
        if not batches:
            first = self.record_.skipped[0]
            raise StriateError(
                f"none of the {n} images for the filters can be read, the first is {printable(first.name)}: "
                f"{first.reason}"
            )
        return np.concatenate(batches)

    def _features(self, images: ImageCollection) -> NDArray[np.float32]:
        """Features of every image; the first one that cannot be read ends it."""
        check_is_fitted(self, "hierarchy_")
        rows = [np.empty((0, int(np.prod(self.hierarchy_.output_shape(self.preprocessing_.shape)))), np.float32)]
        for start in range(0, len(images), 64):
            batch = [self._prepared(images, index) for index in range(start, min(start + 64, len(images)))]
            rows.append(self.hierarchy_.transform(np.stack(batch)).reshape(len(batch), -1))
        return np.concatenate(rows)

    def _prepared(self, images: ImageCollection, index: int) -> NDArray[np.float32]:
        image = images.read(index, **self.preprocessing_.reading)
        try:
            return self.preprocessing_(image)
        except UnreadableImage as error:
            raise UnreadableImage(images.names[index], error.reason) from None


_KIND_OF: dict[Any, str] = {
    Hierarchy: "hierarchy",
    SoftmaxClassifier: "logistic_regression",
    ConformalRejection: "conformal_rejection",
}


def _part(name: str, kind: type[Any], arrays: Mapping[str, NDArray[Any]], parts: Mapping[str, Any]) -> Any:
    """One part of a model file, of the one kind that it can be."""
    with stored.part("parts"):
        header = stored.field(parts, name, stored.Table())
    with stored.part(f"parts.{name}"):
        found = stored.field(header, "kind", Text())
        if found != _KIND_OF[kind]:
            raise model_file.ModelFileError(
                f"kind is {found[:40]!r}, which this version of striate ({__version__}) does not know: update striate"
            )
        return kind.from_state(model_file.arrays_of(name, arrays), header)


def _random_learner() -> Any:
    from striate.learning import RandomFilters

    return RandomFilters()
