"""A live session: every frame becomes an answer, and where a key is pressed, a sample.

All methods but `learned_here` compute or change something that others read, and belong into one thread, the worker of
the server: so frames, commands and learning in the background follow each other, and nothing needs a lock. `state` and
`picture_of` may be used from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UnreadableImage, UsageError, one_line
from striate.live.accuracy import AccuracyMeter
from striate.live.frames import FRAME_SIDE, decode_frame, encode_frame, read_sample
from striate.live.knowledge import Answer, Classifier, Features, Knowledge, Lesson
from striate.live.pool import Pool
from striate.live.samples import Origin, SampleFolder
from striate.recognition import EVERYTHING_ELSE

__all__ = ["ADD_TO_POOL", "POOL", "RECOGNIZE", "LiveSession"]

RECOGNIZE, POOL, ADD_TO_POOL = -1, 0, -2
"""What a frame is for, where it is not the number of a class: an answer alone; the pool if the session sees fit; the
pool in any case."""

_SLICE = 0.05  # seconds of learning in the background before the next frame may come between
_MOST_SHOWN = 60  # samples of a class on the page
_POOL_NAME = "everything else"
_UNSEEN = 5  # samples that are learned before anyone could read that they are
_FEW = 200  # images from which features are learned here


class LiveSession:
    """The folder, the features and the classifier of a live session.

    Parameters
    ----------
    folder : SampleFolder
    load_features : callable
        Gives the features; it is called by `prepare`, since it takes a while.
    new_classifier : callable
        Gives an empty `IncrementalClassifier`.

    Attributes
    ----------
    state : dict
        What the page shows, as `refresh` has left it.
    changed : bool
        Whether something has changed since the last `refresh`.
    """

    def __init__(
        self,
        folder: SampleFolder,
        load_features: Callable[[], Features],
        new_classifier: Callable[[], Classifier],
    ) -> None:
        self.folder = folder
        self.pool = Pool()
        self.changed = True
        self._load_features = load_features
        self._new_classifier = new_classifier
        self._now: Knowledge | None = None
        self._next: Knowledge | None = None  # with other features, until it has learned all samples
        self._learning_features = False
        self._notes = list(folder.notes)
        self._n_to_learn = 0
        self._meter = AccuracyMeter()
        self.state = self._state()

    def picture_of(self, sample: int) -> Path | bytes:
        """The file of a sample, or the JPEG of a frame of the pool; KeyError if there is no such sample."""
        frame = self.pool.frames.get(sample)
        return self.folder.path_of(sample) if frame is None else frame

    def prepare(self) -> None:
        """Load the features, and compute an answer once, so that the first frame finds all kernels ready."""
        features = self._load_features()
        blank = np.random.default_rng(0).random((3, FRAME_SIDE, FRAME_SIDE), np.float32)
        first = features.transform(blank)
        trial = self._new_classifier()
        trial.add_many(np.stack([first, first, 0 * first, 0 * first]), ["1", "1", "2", "2"])
        trial.predict(first)
        self._now = Knowledge(features, self._new_classifier())
        self._keep_in_step()

    # Frames

    def frame(
        self, purpose: int, jpeg: bytes, *, with_maps: bool = False
    ) -> tuple[dict[str, Any], NDArray[Any] | None]:
        """Answer to a frame, and learn it if it is a sample.

        Parameters
        ----------
        purpose : int
            The number of the class that the frame is a sample of; or `RECOGNIZE`, `POOL` or `ADD_TO_POOL`.
        jpeg : bytes
        with_maps : bool, default=False

        Returns
        -------
        answer : dict
            As the page receives it, without the number of the frame. The time of "learn" includes writing to the disk.
        maps : uint8 array or None
            The picture of the maps, if it was asked for.

        Raises
        ------
        UnreadableImage
            If the frame cannot be decoded.
        UsageError
            If there is no such class.
        """
        knowledge = self._known()
        clock = _Clock()
        if purpose > 0:
            self.folder.class_of(purpose)
        image = decode_frame(jpeg)
        clock.lap("decode")
        features = _finite(knowledge.features.transform(image))
        clock.lap("features")
        if purpose > 0:
            sample = self.folder.add(purpose, jpeg)
            burst = self.folder.samples[sample].burst
            self._learn(Lesson(sample, features, str(purpose), burst))
            self.pool.note_sample(time.monotonic())
        elif purpose == ADD_TO_POOL:
            self._put_into_pool(jpeg)
        clock.lap("learn")
        answer = self._answer(features)
        clock.lap("classify")
        # A frame that is taken for a class is left out: a known object may be in sight without a key pressed.
        if purpose == POOL and answer["class"] in (None, POOL) and self.pool.is_idle(time.monotonic()):
            self.pool.hold(jpeg, time.monotonic())
        for held in self.pool.ripe(time.monotonic()):
            if self.pool.chooses():
                self._put_into_pool(held)
        answer["bars"] = [round(float(value), 3) for value in knowledge.features.code_bars(features)]
        answer["ms"] = {name: round(1000 * seconds, 2) for name, seconds in clock.seconds.items()}
        return answer, knowledge.features.maps(image) if with_maps else None

    def filters(self) -> NDArray[np.uint8]:
        """The picture of the filters of the first stage."""
        return self._known().features.filters()

    def _answer(self, features: NDArray[np.float32]) -> dict[str, Any]:
        knowledge = self._known()
        if not knowledge.labels:
            return {"class": None, "unknown": True, "probabilities": []}
        found: Answer = knowledge.classifier.predict(features)
        likely = sorted(found.probabilities.items(), key=lambda item: -item[1])
        return {
            "class": None if found.unknown or found.label is None else _class_id(found.label),
            "unknown": bool(found.unknown),
            "probabilities": [[_class_id(label), round(float(value), 4)] for label, value in likely],
        }

    def _learn(self, lesson: Lesson) -> None:
        self._known().learn([lesson])
        if self._next is not None:
            self._next.waiting.append(lesson.sample)
            self._n_to_learn += 1
        self.changed = True

    def _put_into_pool(self, jpeg: bytes) -> None:
        self.pool.put(self.folder.new_id(), jpeg)
        self._keep_in_step()  # it is learned in the background, with the features that are used then

    # Learning in the background

    @property
    def waits(self) -> bool:
        """Whether samples are still to be learned."""
        return any(one is not None and one.waiting for one in (self._now, self._next))

    def learn_some(self) -> None:
        """Learn samples that wait, for about a twentieth of a second."""
        end = time.monotonic() + _SLICE
        knowledge = self._next if self._next is not None else self._known()
        wanted = self._wanted()
        lessons = []
        while knowledge.waiting and time.monotonic() < end:
            sample = knowledge.waiting.popleft()
            if sample in wanted and sample not in knowledge.labels:
                features = self._stored_features(knowledge, sample)
                if features is not None:
                    lessons.append(Lesson(sample, features, wanted[sample], self._burst(sample)))
        knowledge.learn(lessons)
        if self._next is not None and not self._next.waiting:
            self._now, self._next = self._next, None
            self._keep_in_step()
        self.changed = True

    def _burst(self, sample: int) -> int | None:
        return self.pool.bursts[sample] if sample in self.pool.bursts else self.folder.samples[sample].burst

    def _stored_features(self, knowledge: Knowledge, sample: int) -> NDArray[np.float32] | None:
        try:
            frame = self.pool.frames.get(sample)
            image = decode_frame(frame) if frame is not None else read_sample(self.folder.path_of(sample))
            return _finite(knowledge.features.transform(image))
        except UnreadableImage as error:
            knowledge.leave_out(sample)
            self._notes.append(f"left out: {self.folder.samples[sample].name} {error.reason}")
            return None

    def learned_here(self) -> Features:
        """Features that are learned from the samples and the pool; for a thread of its own, since it takes a while.

        Raises
        ------
        UsageError
            If there are too few images.
        """
        self._learning_features = self.changed = True
        try:
            now = self._now
            stored = list(self.folder.samples)
            stored = stored[:: -(-len(stored) // _FEW) or 1]
            images = [decode_frame(jpeg) for jpeg in list(self.pool.frames.values())[: max(20, _FEW - len(stored))]]
            for sample in stored:
                try:
                    images.append(read_sample(self.folder.path_of(sample)))
                except (UnreadableImage, KeyError):  # deleted meanwhile
                    continue
            if now is None or len(images) < 10:
                raise UsageError("features are learned from at least 10 samples: add some more first")
            return now.features.learn(images)
        finally:
            self._learning_features, self.changed = False, True

    def adopt(self, features: Features) -> None:
        """Use other features as soon as all samples were learned with them; until then, the present ones answer."""
        self._next = Knowledge(features, self._new_classifier())
        self._next.keep_in_step(self._wanted())
        self._n_to_learn = len(self._next.waiting)
        self.changed = True

    # Commands

    def command(self, message: Mapping[str, Any]) -> None:
        """Carry out a command of the page that changes classes or samples.

        Raises
        ------
        UsageError, StriateError
            With a sentence for the page.
        """
        folder = self.folder
        match message.get("do"):
            case "add_class":
                folder.add_class(message.get("name"))
            case "rename_class":
                folder.rename_class(_number(message, "class"), message.get("name"))
            case "delete_class":
                folder.delete_class(_number(message, "class"))
            case "delete_sample":
                self._delete(_number(message, "sample"))
            case "move_sample":
                self._move(_number(message, "sample"), _number(message, "class"))
            case "undo":
                folder.undo.last()
            case _:
                raise UsageError("this command is not known: reload the page")
        self._keep_in_step()

    def _delete(self, sample: int) -> None:
        if sample not in self.pool.frames:
            self.folder.delete(sample)
            return
        jpeg = self.pool.frames[sample]
        self.pool.drop(sample)
        self.folder.undo.note(f"deleting a frame of {_POOL_NAME}", lambda: self.pool.put(sample, jpeg))

    def _move(self, sample: int, class_id: int) -> None:
        """Move a sample between classes, or between a class and the pool."""
        frames = self.pool.frames
        if sample in frames and class_id != POOL:
            jpeg = frames[sample]
            self.folder.add(class_id, jpeg, origin=Origin(_POOL_NAME, lambda: self.pool.put(sample, jpeg)))
            self.pool.drop(sample)
        elif sample not in frames and class_id == POOL:
            image = read_sample(self.folder.path / self.folder.sample_of(sample).name)
            frame = self.folder.new_id()
            self.folder.delete(sample, goal=Origin(_POOL_NAME, lambda: self.pool.drop(frame)))
            self.pool.put(frame, encode_frame(image))
        elif class_id != POOL:
            self.folder.move(sample, class_id)

    def _keep_in_step(self) -> None:
        wanted = self._wanted()
        for knowledge in (self._now, self._next):
            if knowledge is not None:
                knowledge.keep_in_step(wanted)
        self._n_to_learn = max((len(one.waiting) for one in (self._now, self._next) if one is not None), default=0)
        self.changed = True

    def _wanted(self) -> dict[int, str]:
        """The label of each sample, and of each frame of the pool."""
        wanted = {sample.id: str(sample.class_id) for sample in self.folder.samples.values()}
        return wanted | dict.fromkeys(self.pool.frames, EVERYTHING_ELSE)

    def _known(self) -> Knowledge:
        if self._now is None:
            raise UsageError("the features are still being loaded: wait a moment")
        return self._now

    # What the page shows

    def refresh(self) -> dict[str, Any]:
        """Bring `state` up to date, and return it."""
        self.changed = False
        if self._now is not None and not self._meter.measure(self._now):
            self.changed = True  # the next refresh tries again
        self.state = self._state()
        return self.state

    def _state(self) -> dict[str, Any]:
        return {
            "type": "state",
            "classes": [
                {
                    "id": one.id,
                    "name": one_line(one.name),
                    "count": len(one.samples),
                    "samples": one.samples[: -_MOST_SHOWN - 1 : -1],
                    "accuracy": self._meter.per_class.get(str(one.id)) if one.samples else None,
                }
                for one in self.folder.classes.values()
            ],
            "pool": len(self.pool.frames),
            "pool_samples": list(self.pool.frames)[: -_MOST_SHOWN - 1 : -1],
            "accuracy": self._meter.accuracy,
            "samples": len(self.folder.samples),
            "can_undo": len(self.folder.undo) > 0,
            "undo": one_line(self.folder.undo.words),
            "busy": self._busy(),
            "notes": [one_line(note) for note in self._notes[-20:]],
        }

    def _busy(self) -> str | None:
        if self._now is None:
            return "loading the features"
        if self._learning_features:
            return "learning features from what the camera sees"
        left = max((len(one.waiting) for one in (self._now, self._next) if one is not None), default=0)
        if not left or self._n_to_learn <= _UNSEEN:
            return None
        return f"learning samples: {self._n_to_learn - left:,} of {self._n_to_learn:,}"


class _Clock:
    """Seconds of the phases of a frame."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(("decode", "features", "classify", "learn"), 0.0)
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] += now - self._last
        self._last = now


def _finite(features: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(features).all():
        raise UnreadableImage("the image", "gives no features that are finite")
    return features


def _class_id(label: str) -> int:
    return POOL if label == EVERYTHING_ELSE else int(label)


def _number(message: Mapping[str, Any], name: str) -> int:
    value = message.get(name)
    if type(value) is not int:
        raise UsageError(f"{name} must be a number: reload the page")
    return value
