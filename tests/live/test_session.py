from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.errors import UnreadableImage, UsageError
from striate.live.samples import SampleFolder
from striate.live.session import ADD_TO_POOL, POOL, RECOGNIZE, LiveSession
from striate.recognition import EVERYTHING_ELSE, IncrementalClassifier
from tests.live.stand_in import NearestMean, PixelFeatures
from tests.live.talking import jpeg


class Time:
    """A clock that only the test moves, but for the work in the background, which needs one that runs."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr("striate.live.session.time.monotonic", clock)
    return clock


@pytest.fixture
def session(tmp_path: Path) -> Iterator[LiveSession]:
    with_folder = SampleFolder(tmp_path / "things")
    session = LiveSession(with_folder, PixelFeatures, NearestMean)
    session.prepare()
    yield session
    with_folder.close()


def ask(session: LiveSession, purpose: int = RECOGNIZE, color: str = "red") -> dict[str, Any]:
    return session.frame(purpose, jpeg(color, 32))[0]


def learn_all(session: LiveSession) -> None:
    while session.waits:
        session.learn_some()


def add_class(session: LiveSession, name: str) -> int:
    session.command({"do": "add_class", "name": name})
    return max(session.folder.classes)


def labels(session: LiveSession) -> dict[int, str]:
    """What the classifier has learned."""
    learn_all(session)
    classifier = session._known().classifier
    assert isinstance(classifier, NearestMean)
    found = {number: label for number, (_, label) in classifier.samples.items()}
    assert found == session._known().labels
    return found


def wanted(session: LiveSession) -> dict[int, str]:
    return {one.id: str(one.class_id) for one in session.folder.samples.values()} | dict.fromkeys(
        session.pool.frames, EVERYTHING_ELSE
    )


def test_before_the_features_are_loaded(tmp_path: Path) -> None:
    folder = SampleFolder(tmp_path)
    session = LiveSession(folder, PixelFeatures, NearestMean)
    assert session.refresh()["busy"] == "loading the features"
    with pytest.raises(UsageError, match="wait a moment"):
        ask(session)
    session.command({"do": "add_class", "name": "cup"})  # nobody has to wait for this
    session.prepare()
    assert session.refresh()["busy"] is None
    assert ask(session) == {
        "class": None,
        "unknown": True,
        "probabilities": [],
        "bars": ask(session)["bars"],
        "ms": pytest.approx(ask(session)["ms"], abs=1e9),
    }
    folder.close()


def test_whatever_is_changed_the_classifier_knows_just_the_samples_there_are(session: LiveSession) -> None:
    cup, dog = add_class(session, "cup"), add_class(session, "dog")
    for _ in range(3):
        ask(session, cup, "red")
        ask(session, dog, "blue")
    ask(session, ADD_TO_POOL, "white")
    first, second, *_ = session.folder.samples
    (frame,) = session.pool.frames
    for command in (
        {"do": "delete_sample", "sample": first},
        {"do": "undo"},
        {"do": "move_sample", "sample": second, "class": cup},
        {"do": "undo"},
        {"do": "rename_class", "class": cup, "name": "mug"},
        {"do": "delete_class", "class": dog},
        {"do": "undo"},
        {"do": "move_sample", "sample": frame, "class": cup},
        {"do": "undo"},
        {"do": "move_sample", "sample": first, "class": POOL},
        {"do": "undo"},
        {"do": "delete_sample", "sample": frame},
        {"do": "undo"},
        {"do": "move_sample", "sample": frame, "class": POOL},
    ):
        session.command(command)
        assert labels(session) == wanted(session), command
    assert len(session.pool.frames) == 1
    assert [len(one.samples) for one in session.folder.classes.values()] == [3, 3]
    assert session.refresh()["classes"][0]["name"] == "mug"
    assert session.state["samples"] == 6


def test_the_pool_takes_what_is_strange_while_nothing_is_learned(session: LiveSession, clock: Time) -> None:
    cup = add_class(session, "cup")
    for color in ("white", "white", "red"):
        ask(session, POOL, color)
        clock.now += 1
    ask(session, cup, "red")  # what was seen in the two seconds before is dropped
    assert len(session.pool.frames) == 1
    for _ in range(10):
        ask(session, POOL, "red")  # it is known
        clock.now += 1
    ask(session, RECOGNIZE, "white")
    assert len(session.pool.frames) == 1
    for _ in range(10):
        ask(session, POOL, "white")
        clock.now += 0.3
    clock.now += 3
    ask(session)
    assert 4 <= len(session.pool.frames) <= 6  # at most two a second
    assert labels(session) == wanted(session)
    assert ask(session, color="white")["unknown"]


def test_a_refused_frame_leaves_nothing(session: LiveSession) -> None:
    cup = add_class(session, "cup")
    for purpose in (RECOGNIZE, POOL, ADD_TO_POOL, cup):
        with pytest.raises(UnreadableImage):
            session.frame(purpose, b"\xff\xd8 broken")
    with pytest.raises(UsageError, match="gone"):
        ask(session, 77)
    assert labels(session) == {}
    assert session.folder.samples == {}


def test_features_that_are_not_finite_are_refused(session: LiveSession, monkeypatch: pytest.MonkeyPatch) -> None:
    cup = add_class(session, "cup")
    ask(session, cup)
    monkeypatch.setattr(PixelFeatures, "transform", lambda *_: np.full(192, np.nan, np.float32))
    with pytest.raises(UnreadableImage, match="finite"):
        ask(session, cup)
    session.adopt(PixelFeatures())
    learn_all(session)
    assert labels(session) == {}
    assert len(session.folder.samples) == 1
    assert "finite" in session.refresh()["notes"][-1]


def test_the_next_session_knows_the_same(session: LiveSession, tmp_path: Path) -> None:
    colors = {add_class(session, "cup"): "red", add_class(session, "dog"): "blue"}
    for _ in range(5):
        for one, color in colors.items():
            ask(session, one, color)
    before = [ask(session, color=color)["probabilities"] for color in ("#e02020", "#8080ff")]
    bursts = [one.burst for one in session.folder.samples.values()]
    assert None not in bursts
    session.folder.close()
    folder = SampleFolder(tmp_path / "things")
    again = LiveSession(folder, PixelFeatures, NearestMean)
    again.prepare()
    assert again.waits
    learn_all(again)
    assert labels(again) == wanted(again)
    assert sorted(map(str, (one.burst for one in folder.samples.values()))) == sorted(map(str, bursts))
    assert [ask(again, color=color)["probabilities"] for color in ("#e02020", "#8080ff")] == before
    folder.close()


def test_samples_are_learned_from_all_classes_in_turn(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        for number in range(5):
            (tmp_path / name / f"{number}.jpg").write_bytes(jpeg(side=16))
    folder = SampleFolder(tmp_path)
    session = LiveSession(folder, PixelFeatures, NearestMean)
    session.prepare()
    order = [folder.samples[one].class_id for one in session._known().waiting]
    assert order == [1, 2, 3] * 5
    folder.close()


def test_files_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "cup").mkdir()
    (tmp_path / "cup" / "good.jpg").write_bytes(jpeg())
    (tmp_path / "cup" / "bad.jpg").write_bytes(b"\xff\xd8 no")
    (tmp_path / "loose.jpg").write_bytes(jpeg())
    folder = SampleFolder(tmp_path)
    session = LiveSession(folder, PixelFeatures, NearestMean)
    session.prepare()
    learn_all(session)
    session.command({"do": "add_class", "name": "dog"})  # what was left out is not tried again
    assert not session.waits
    notes = " ".join(session.refresh()["notes"])
    assert "cup/bad.jpg" in notes
    assert "beside the sub-folders" in notes
    assert list(session._known().labels.values()) == ["1"]
    folder.close()


def test_features_are_learned_here_while_everything_goes_on(session: LiveSession) -> None:
    cup, dog = add_class(session, "cup"), add_class(session, "dog")
    ask(session, cup, "red")
    with pytest.raises(UsageError, match="at least 10"):
        session.learned_here()
    for _ in range(8):
        ask(session, cup, "red")
        ask(session, dog, "blue")
    ask(session, ADD_TO_POOL, "white")
    learned = session.learned_here()
    assert isinstance(learned, PixelFeatures)
    assert learned.n_learned == 18
    session.adopt(learned)
    before = session._known()
    ask(session, dog, "blue")  # meanwhile
    session.command({"do": "delete_sample", "sample": min(session.folder.samples)})
    assert session._known() is before
    learn_all(session)
    assert session._known().features is learned
    assert labels(session) == wanted(session)
    assert ask(session, color="blue")["class"] == dog


def test_accuracy_is_measured_again_after_a_change(session: LiveSession) -> None:
    cup, dog = add_class(session, "cup"), add_class(session, "dog")
    assert session.refresh()["accuracy"] is None
    ask(session, cup, "red")
    ask(session, dog, "blue")
    while session.changed:
        session.refresh()
    assert session.state["accuracy"] == 1.0
    assert [one["accuracy"] for one in session.state["classes"]] == [1.0, 1.0]


def test_maps_come_when_they_are_asked_for(session: LiveSession) -> None:
    assert session.frame(RECOGNIZE, jpeg(side=32))[1] is None
    maps = session.frame(RECOGNIZE, jpeg(side=32), with_maps=True)[1]
    assert maps is not None
    assert maps.shape == (32, 32)
    assert session.filters().ndim == 2


def test_the_classifier_of_the_package_fits(tmp_path: Path) -> None:
    folder = SampleFolder(tmp_path)
    session = LiveSession(folder, PixelFeatures, IncrementalClassifier)
    session.prepare()
    cup, dog = add_class(session, "cup"), add_class(session, "dog")
    for shade in range(0, 60, 10):
        ask(session, cup, f"rgb(255,{shade},{shade})")
        ask(session, dog, f"rgb({shade},{shade},255)")
    for shade in range(0, 60, 10):
        ask(session, ADD_TO_POOL, f"rgb({shade},255,{shade})")
    learn_all(session)
    answer = ask(session, color="rgb(250,20,20)")
    assert (answer["class"], answer["probabilities"][0][0]) == (cup, cup)
    assert {one for one, _ in answer["probabilities"]} == {cup, dog, POOL}
    green = ask(session, color="rgb(20,255,20)")
    assert (green["class"], green["unknown"], green["probabilities"][0][0]) == (None, True, POOL)
    session.command({"do": "delete_class", "class": cup})
    session.command({"do": "undo"})
    learn_all(session)
    again = ask(session, color="rgb(250,20,20)")
    assert again["probabilities"] == answer["probabilities"]
    while session.changed:
        session.refresh()
    assert session.state["accuracy"] == 1.0
    folder.close()
