"""The main estimator: a classifier of images, with filters that are learned from these images.

The file is longer than 400 lines because all steps of learning, and their parameters, are documented here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from striate import model_file, stored
from striate.checkpoint import Checkpoint
from striate.errors import StriateError, UsageError
from striate.hierarchy import Features, Hierarchy, Layer, LearnedStage, Paths, extract_features, small_pixels
from striate.hierarchy.workers import extract_in_workers
from striate.images import ImageCollection, Preprocessing, Skipped, as_images
from striate.images.collection import as_fractions
from striate.images.kept import KeptImages
from striate.images.names import printable
from striate.images.sample import prepared_sample
from striate.images.stream import require_most
from striate.parameters import (
    Boolean,
    Choice,
    Instance,
    Integer,
    Real,
    Text,
    check_parameters,
    plain_parameters,
)
from striate.progress import Progress
from striate.recognition.auto import MOST_UNLABELED, fit_auto, uses_unlabeled
from striate.recognition.classifier_file import ClassifierState
from striate.recognition.kernel_choice import LARGEST_KERNEL
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
from striate.recognition.trained import TrainedClassifier
from striate.samples import evenly_spread

if TYPE_CHECKING:
    from striate.hierarchy.presets import Choice as Chosen
    from striate.hierarchy.presets import System

KIND = "image_classifier"
# Limits of the sample that filters are learned from: floats (256 MB) and images.
MAX_SAMPLE_FLOATS = 1 << 26
MAX_SAMPLE_IMAGES = 5000
# Images by which it is decided about mirror images.
MIRROR_IMAGES = 500
# Fraction of the labeled images that is held out for the "unknown" threshold.
HELD_OUT_FRACTION = 0.2

_RULES = {
    "system": Choice("auto", "hierarchy", "scspm"),
    "architecture": Text(),
    "preprocessing": Choice("auto") | Instance(Preprocessing, words="a Preprocessing"),
    "learner": Choice("psd", "conv-psd", "topographic", "random"),
    "unknown": Real(above=0, below=1) | None,
    "weight_decay": Real(above=0) | Choice("auto"),
    "mirror": Boolean() | Choice("auto"),
    "refine": Boolean() | Choice("auto"),
    "minutes": Real(above=0),
    "random_state": Integer(low=0) | None,
    "feature_cache": Boolean(),
}


@dataclass
class TrainingRecord:
    """How a classifier was trained; its JSON part is saved in the model file.

    Attributes
    ----------
    reasons : list of str
        The choices that were made for these images, and why.
    stages : list of LearnedStage
        Not saved in the model file; the filters themselves are part of the hierarchy.
    refined : dict of str to Layer
        The layers of these stages after refinement, by the names of the stages; none without. Not saved either.
    skipped : list of Skipped
        Images that could not be read.
    facts : dict
        Numbers of images and classes, seed, versions, measured accuracy: anything that JSON can store.
    """

    reasons: list[str] = field(default_factory=list)
    stages: list[LearnedStage] = field(default_factory=list)
    refined: dict[str, Layer] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class ImageClassifier(TrainedClassifier):
    """Learns filters from images without using labels, and a classifier from the labeled images.

    `fit` has three steps, which can also be called one by one: `learn_features` (preset and filters), `extract`
    (features of images) and `fit_classifier`. With the default architecture, several paths of features are learned, the
    labels choose among them, and where labels are few they are also spread to unlabeled images, if this helps.

    Parameters
    ----------
    system : "auto", "hierarchy" or "scspm"
        "auto" learns several paths and chooses by the labels; "hierarchy" uses stages of learned filters (3 ms per
        photograph), "scspm" sparse codes of SIFT descriptors pooled over a spatial pyramid (about 75 ms).
    architecture : str, default "auto"
        "auto" chooses from the images; otherwise the papers' notation, for example
        ``"64F9x9 - Rabs - N - PA10x10/5"``, which overrides `system`.
    preprocessing : Preprocessing or "auto"
        Applied to every image first; "auto" chooses from the images.
    learner : "psd", "conv-psd", "topographic" or "random"
        How the filters of a hierarchy are found: by predictive sparse decomposition of patches, or of whole images
        (`ConvolutionalPSD`), or on a sheet (`TopographicPSD`), where pools of a first stage with four times as many
        filters take the place of rectification, or at random (protocol R of Jarrett et al. 2009), as a baseline.
    unknown : float or None
        Allowed rate of images that are wrongly called unknown, for example 0.05; a fifth of the labeled images is then
        held out to find the threshold. None: no image is called unknown.
    weight_decay : float or "auto"
        Weight decay of the logistic regression; "auto" chooses it by cross-validation.
    mirror : bool or "auto"
        Whether features are averaged over an image and its mirror image, for the default architecture. "auto" decides
        by how near mirror images are to other images, and by the labels; see `striate.recognition.mirror`.
    refine : bool or "auto"
        Whether, at last, all filters and the classifier are trained together by the labels, which takes many times as
        long, and needs the extra ``torch`` (see `striate.recognition.refine`). A fifth of the labeled images is held
        out to judge by, and the system stays as it is unless more of them are right by more than a standard error.
        True needs 10 labels per class on average; "auto" does it from 100 on, where it helps as a rule. Training
        images are moved by a pixel or a few, and mirrored if `mirror` is True. `record_.reasons` says what came of it.
    minutes : float
        About how long learning may take on two cores, for the default architecture: sparse codes of photographs are
        left out if they took longer.
    random_state : int or None
    feature_cache : bool
        Whether `extract` and `fit` store features that are slow to compute in the cache folder (see `FeatureCache`)
        and read them from there, so that another fit with the same filters only trains the classifier. Not saved in
        model files.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
        The classes, of the type of the given labels: integers stay integers. Text if the labels come with the images.
    preprocessing_ : Preprocessing
    hierarchy_ : Hierarchy
    classifier_ : SoftmaxClassifier
    rejection_ : ConformalRejection or None
    record_ : TrainingRecord

    References
    ----------
    Kavukcuoglu, Ranzato, LeCun 2008 (PSD); Jarrett et al., ICCV 2009 (hierarchy); Yang et al., CVPR 2009 (ScSPM).
    """

    # Before anything is learned, and in a classifier from a file: no paths are left to choose from.
    _is_open: bool = False
    # That the classifier was fitted to, and those for "unknown".
    _rows: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    _n_reasons: int | None = None  # those of the filters, which come before those of the classifier

    def __init__(
        self,
        *,
        system: System = "auto",
        architecture: str = "auto",
        preprocessing: Preprocessing | Literal["auto"] = "auto",
        learner: Literal["psd", "conv-psd", "topographic", "random"] = "psd",
        unknown: float | None = None,
        weight_decay: float | Literal["auto"] = "auto",
        mirror: bool | Literal["auto"] = "auto",
        refine: bool | Literal["auto"] = False,
        minutes: float = 5.0,
        random_state: int | None = None,
        feature_cache: bool = False,
    ) -> None:
        self.system = system
        self.architecture = architecture
        self.preprocessing = preprocessing
        self.learner = learner
        self.unknown = unknown
        self.weight_decay = weight_decay
        self.mirror = mirror
        self.refine = refine
        self.minutes = minutes
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
            Images; see `striate.as_images`. From images without a label, filters are learned, and labels are spread to
            some of them where labels are few and this helps. Floating-point arrays may hold 0–1 or 0–255: an array that
            goes from 0 to more than 2, and at most 255, is divided by 255, here and wherever the classifier is given
            images.
        labels : sequence of str, int or bool (n,), optional
            Labels, if the images do not have them already, as a folder with one sub-folder per class does. None, NaN
            and "" stand for no label.
        unlabeled : like images, optional
            Additional images without labels.
        checkpoint : Checkpoint, optional
            A run that was killed continues from it, with the same bits.
        progress : Progress, optional
        """
        self._check_parameters()
        images = as_fractions(as_images(images, labels))
        images = KeptImages(images, worth=images.labeled)
        as_given = AsGiven(labels, images.labels or [])
        named = [name_of(name) for name in labels_of(images)]
        check_classes(np.asarray(named), at_least=1)  # an error now, not after minutes of learning
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
        of_kept = as_given(kept.labels or [])
        others = self.extract_unlabeled(
            [images.subset(np.setdiff1d(np.arange(len(images)), images.labeled)), unlabeled],
            of_kept,
            checkpoint=checkpoint,
            progress=progress,
        )
        self.fit_classifier(features.rows, of_kept, unlabeled=others, progress=progress)
        used = self.used(features.rows)
        self.drop_unused_paths()
        self.refine_network(kept, of_kept, used, checkpoint=checkpoint, progress=progress)
        return self

    def learn_features(
        self,
        images: Any,
        *,
        unlabeled: Any = None,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Choose the preprocessing and the architecture, and learn the filters.

        Labels are only used to decide about mirror images, where each class has at least five.
        """
        self._check_parameters()
        self._check_refinement()
        progress = progress or Progress()
        images = as_fractions(as_images(images))
        extra = None if unlabeled is None else as_fractions(as_images(unlabeled))
        choice = self._choose(images)
        self.preprocessing_ = choice.preprocessing
        self.record_ = TrainingRecord(reasons=list(choice.reasons))
        for reason in choice.reasons:
            progress.message(reason)
        self._kept = None
        # Imported here, since learning needs more of scikit-learn than prediction does.
        from striate.hierarchy import learn_filters
        from striate.hierarchy.presets import has_paths, mirrored

        hierarchy = choice.hierarchy
        self._is_open = not self._is_given and has_paths(hierarchy)
        self._n_reasons = None
        if self._is_open and self._decide_mirror(images, progress):
            hierarchy = mirrored(hierarchy)
        sample = self._sample(images, extra, progress)

        self.hierarchy_, self.record_.stages = learn_filters(
            hierarchy,
            sample,
            learners=choice.learners if self.learner == "psd" else _learners(self.learner, len(hierarchy.filter_banks)),
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
        images = as_fractions(as_images(images))
        if checkpoint is None and folder is None:
            return extract_in_workers(
                images, self.preprocessing_, self.hierarchy_, name=name, cache=self.feature_cache,
                require_half=require_half, progress=progress,
            )  # fmt: skip
        return extract_features(
            images,
            self.preprocessing_,
            self.hierarchy_,
            name=name,
            checkpoint=checkpoint,
            folder=folder,
            cache=self.feature_cache,
            require_half=require_half,
            progress=progress,
        )

    def extract_unlabeled(
        self,
        sources: Sequence[Any],
        labels: Sequence[Any] | NDArray[Any],
        *,
        checkpoint: Checkpoint | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.float32] | None:
        """Features of up to 4,000 images, evenly from all, for `fit_classifier`; None where it does not use them.

        Parameters
        ----------
        sources : sequence of images or None
            Collections of images, whose labels are not used.
        labels : (n,)
            The given labels, whose number decides.
        """
        counted = label_array(labels)
        if not self._is_open or not uses_unlabeled(len(counted), len(np.unique(counted))):
            return None
        found = []
        some = [as_fractions(as_images(source)) for source in sources if source is not None]
        total = sum(map(len, some))
        for number, images in enumerate(some):
            n = round(min(1.0, MOST_UNLABELED / max(total, 1)) * len(images))
            if n:
                chosen = images.subset(evenly_spread(len(images), n))
                name = "features of unlabeled images" + (f" {number + 1}" if number else "")
                made = self.extract(
                    chosen, name=name, checkpoint=checkpoint, folder=folder, require_half=False, progress=progress
                )
                self.record_.skipped = list(dict.fromkeys([*self.record_.skipped, *made.skipped]))
                found.append(made.rows)
        return np.concatenate(found) if found else None

    def fit_classifier(
        self,
        features: NDArray[np.float32],
        labels: Sequence[Any] | NDArray[Any],
        *,
        unlabeled: NDArray[np.float32] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit the classifier, and the "unknown" threshold if one is asked for.

        Parameters
        ----------
        features : float32 (n, n_features)
        labels : sequence of str, int or bool (n,)
        unlabeled : float32 (n_unlabeled, n_features), optional
            Features of images without labels, see `extract_unlabeled`; only the default architecture uses them.
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
        self._rows = rows, held_out
        from striate.hierarchy.presets import classifier_options, name_of_path

        if self._n_reasons is None:
            self._n_reasons = len(self.record_.reasons)
        del self.record_.reasons[self._n_reasons :]  # of an earlier fit
        training = features if len(rows) == len(features) else features[rows]
        decided: dict[str, Any] = {"weight_decay": self.weight_decay, "random_state": self.random_state}
        if self._is_open and len(rows) <= LARGEST_KERNEL:
            names = [name_of_path(path) for path in self.hierarchy_.layers[0].hierarchies]
            found = fit_auto(
                training, classes[rows], unlabeled, self._path_columns(), names, progress=progress, **decided
            )
            self.classifier_, self._kept = found.classifier, found.kept
            self._say(found.reasons, progress)
        else:
            options = classifier_options(self.hierarchy_)
            if len(rows) > LARGEST_KERNEL:  # many labels: a Gaussian kernel by landmarks may be better
                options |= {"kernel": "auto", "loss": "auto"}
            self.classifier_ = SoftmaxClassifier(**decided, **options)
            self.classifier_.fit(training, classes[rows], progress=progress)
        self.classes_ = self.classifier_.classes_
        self.rejection_ = None
        if self.unknown is not None:
            self.rejection_ = ConformalRejection(error_rate=self.unknown)
            self.rejection_.fit(self._logits(features[held_out]))
            if self.rejection_.threshold_ == np.inf:
                reason = (
                    f"no image will be called unknown: {len(held_out)} labeled ones, a fifth, were held out, "
                    f"too few for a rate of {self.unknown} of false alarms"
                )
                self._say([reason], progress)
        return self

    def drop_unused_paths(self) -> None:
        """Forget the paths that the classifier does not use, so that predictions take less time."""
        self.hierarchy_, self._kept = self._used_hierarchy(), None

    def refine_network(
        self,
        images: Any,
        labels: Sequence[Any] | NDArray[Any],
        features: NDArray[np.float32],
        *,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> bool:
        """Train filters and classifier together, and keep what was found if it is better; returns whether it is.

        Parameters
        ----------
        images : anything that `striate.as_images` takes
        labels : (n,)
        features : float32 (n, n_features)
            Those of `fit_classifier`, without unused paths.
        """
        if not self.refine:
            return False
        if self._rows is None:
            raise UsageError("refine_network goes on after fit_classifier: call it first, with the same images")
        from striate.recognition.refining import refined_layers, try_refinement

        classes = label_array(labels, n_samples=len(features), samples="images")
        rows, held_out = self._rows
        source = as_fractions(as_images(images))
        trial = try_refinement(
            self.hierarchy_,
            self.classifier_,
            source.subset(rows),
            classes[rows],
            features[rows],
            self.preprocessing_,
            wanted=self.refine,
            mirror=self.mirror is True,
            random_state=self.random_state,
            checkpoint=checkpoint,
            progress=progress,
        )
        self._say([trial.reason], progress)
        self.record_.facts["refinement"] = trial.facts
        if trial.refined is None or not trial.is_better:
            return False
        self.record_.refined = refined_layers(self.record_.stages, self.hierarchy_, trial.refined.hierarchy)
        self.hierarchy_, self.classifier_ = trial.refined.hierarchy, trial.refined.classifier
        if self.rejection_ is not None:
            self.rejection_.fit(self._logits(self.transform(source.subset(held_out))))
        return True

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model file: preprocessing, filters, classifier and how they were trained; no pickle is used."""
        check_is_fitted(self, "classifier_")
        # The feature cache is a setting of this computer, not part of the model.
        parameters = plain_parameters(self, apart={"preprocessing", "feature_cache"})
        state = ClassifierState(
            preprocessing=self.preprocessing_,
            hierarchy=self._used_hierarchy(),
            classifier=self.classifier_,
            rejection=self.rejection_,
            reasons=self.record_.reasons,
            facts=self.record_.facts,
            parameters=parameters,
            given=self.preprocessing,
        )
        model_file.write(path, *state.to_state(), kind=KIND)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ImageClassifier:
        """Read a model file; if it cannot be used, ModelFileError gives the reason in one sentence."""
        arrays, header = model_file.read(path, kind=KIND)
        with stored.in_file(path, "model"):
            state = ClassifierState.from_state(arrays, header)
            classifier: ImageClassifier = stored.with_parameters(cls, header, preprocessing=state.given)
        classifier.preprocessing_, classifier.hierarchy_ = state.preprocessing, state.hierarchy
        classifier.classifier_, classifier.rejection_ = state.classifier, state.rejection
        classifier.classes_ = state.classifier.classes_
        classifier.record_ = TrainingRecord(reasons=state.reasons, facts=state.facts)
        return classifier

    def _check_parameters(self) -> None:
        """Raise UsageError now for parameters that would fail after minutes of learning."""
        check_parameters(self, _RULES)
        if self.system == "scspm" and self.learner != "psd":
            raise UsageError(f'learner="{self.learner}" is for a hierarchy: leave it out, or leave out system="scspm"')

    def _check_refinement(self) -> None:
        """Raise UsageError now if what is given cannot be refined, or torch is missing."""
        if self.refine is not True:
            return
        from striate.recognition.refinement import require_torch

        require_torch()
        given = None if self.architecture == "auto" else Hierarchy(self.architecture)
        without = [layer.notation for layer in given or () if not layer.has_twin]
        if self.system == "scspm" and given is None:
            without = ['system="scspm"']
        if without:
            raise UsageError(f"{without[0]} has no twin in torch, and cannot be refined: leave out refine (--refine)")

    def _check_names(self, names: Sequence[str]) -> None:
        """Raise UsageError if a class has the name that stands for images that resemble no class."""
        same = next((name for name in names if name.casefold() == "unknown"), None)
        if self.unknown is not None and same is not None:
            raise UsageError(
                f"a class is named {same!r}, and unknown={self.unknown:g} (--unknown) says so of images that resemble "
                "no class: rename the class, or leave out unknown"
            )

    @property
    def _is_given(self) -> bool:
        """Whether something is given in place of the paths that the labels choose from."""
        given = (self.system, self.architecture, self.preprocessing)
        return any(each != "auto" for each in given) or self.learner != "psd"

    def _used_hierarchy(self) -> Hierarchy:
        if self._kept is None:
            return self.hierarchy_
        paths = self.hierarchy_.layers[0].hierarchies
        return Hierarchy([Paths([paths[number] for number in self._kept])])

    def _say(self, reasons: Sequence[str], progress: Progress | None) -> None:
        self.record_.reasons.extend(reasons)
        for reason in reasons:
            (progress or Progress()).message(reason)

    def _decide_mirror(self, images: ImageCollection, progress: Progress) -> bool:
        """Whether features are averaged over mirror images, decided by small pixels of some images."""
        if self.mirror != "auto":
            return bool(self.mirror)
        from striate.recognition.mirror import decide_mirror

        some = images.subset(evenly_spread(len(images), MIRROR_IMAGES))
        found = extract_features(some, self.preprocessing_, _pixels_and_mirrored, require_half=False)
        pixels, mirrored = np.split(found.rows, 2, axis=1)
        labels = None if some.labels is None else [some.labels[place] for place in found.positions]
        decision = decide_mirror(pixels, mirrored, labels, random_state=self.random_state)
        self._say([decision.reason], progress)
        return decision.mirror

    def _choose(self, images: ImageCollection) -> Chosen:
        from striate.hierarchy.description import describe
        from striate.hierarchy.presets import choose, on_sheet

        choice = choose(
            describe(images),
            system="hierarchy" if self.learner != "psd" else self.system,
            preprocessing=None if self.preprocessing == "auto" else self.preprocessing,
            hierarchy=None if self.architecture == "auto" else Hierarchy(self.architecture),
            minutes=self.minutes,
        )
        return on_sheet(choice) if self.learner == "topographic" and self.architecture == "auto" else choice

    def _sample(
        self, images: ImageCollection, extra: ImageCollection | None, progress: Progress
    ) -> NDArray[np.float32]:
        """Preprocessed images for the filters, drawn evenly from all images; unreadable ones go to the record."""
        size = int(np.prod(self.preprocessing_.shape))
        sample = prepared_sample(
            [images] if extra is None else [images, extra],
            self.preprocessing_,
            min(MAX_SAMPLE_IMAGES, max(1, MAX_SAMPLE_FLOATS // size)),
            name="images for the filters",
            random_state=self.random_state,
            skipped=self.record_.skipped,
            progress=progress,
        )
        if not len(sample):
            first = self.record_.skipped[0]
            raise StriateError(
                f"none of the {len(self.record_.skipped)} images for the filters can be read, the first is "
                f"{printable(first.name)}: {first.reason}"
            )
        return sample


def _pixels_and_mirrored(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Small pixels of images and of their mirror images, side by side."""
    pixels = small_pixels(images)
    return np.concatenate([pixels.reshape(len(images), -1), pixels[..., ::-1].reshape(len(images), -1)], axis=1)


def _learners(name: str, n_banks: int) -> list[Any]:
    """Learners for `learn_filters`, one per filter bank."""
    from striate.hierarchy import protocol
    from striate.learning import TopographicPSD

    if not n_banks:
        return []
    letter = {"conv-psd": "C", "random": "R", "topographic": "U"}[name]
    learners: list[Any] = [*protocol(letter * n_banks)]
    if name == "topographic":
        learners[0] = TopographicPSD(max_batches=1500)
    return learners
