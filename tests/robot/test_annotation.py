from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.errors import UsageError
from striate.robot import StereoSequence, annotated, replay, write_clip
from tests.robot.drives import drive, frames_of, write_drive
from tests.robot.scenes import CAMERA


def test_a_frame(tmp_path: Path) -> None:
    """Ground is green and obstacles are not; without stereo nothing is colored, and the map is grey."""
    views = drive()[:2]
    folder = write_drive(tmp_path, views)
    Image.new("L", CAMERA.size[::-1]).save(folder / "right" / "000001.png")
    seeing, blind = replay(StereoSequence(folder))
    height, width = CAMERA.size
    drawn = annotated(seeing).astype(int)
    assert drawn.shape == (height, width + height, 3)
    label = seeing.look.labels.label
    label = np.where(np.arange(height)[:, None] > 16, label, -1)  # below the text
    red, green, blue = drawn[:, :width].transpose(2, 0, 1)
    assert (green > red)[(label == 0) | (label == 1)].all()
    assert (red > green)[label >= 3].all()
    assert ((red == green) & (green == blue))[(label == -1) & (np.arange(height)[:, None] > 16)].all()
    known = drawn[:, width + 1 :]
    assert (known[height - 28, height // 2 - 1] == [60, 200, 90]).all()  # the road ahead
    assert (known[0] == [70, 70, 74]).all()  # nothing is known at 60 m
    drawn = annotated(blind).astype(int)
    assert (np.ptp(drawn[20:, :width], axis=2) == 0).all()
    assert drawn[8, 30:200].max() > 200  # the text that says why


def test_a_clip_is_as_small_as_it_must_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (40, 80, 3), np.uint8) for _ in range(8)]
    write_clip(tmp_path / "whole.gif", frames)
    with Image.open(tmp_path / "whole.gif") as clip:
        assert (frames_of(clip), clip.size, clip.info["duration"]) == (8, (80, 40), 250)
    for most in (10_000, 3_000):
        write_clip(tmp_path / "small.gif", frames, most_bytes=most)
        assert (tmp_path / "small.gif").stat().st_size <= most
    with Image.open(tmp_path / "small.gif") as clip:
        assert clip.size < (80, 40)
        assert frames_of(clip) * clip.info["duration"] == 2000  # as long as before
    with pytest.raises(UsageError, match="allow more"):
        write_clip(tmp_path / "none.gif", frames, most_bytes=10)
    with pytest.raises(UsageError, match="at least one frame"):
        write_clip(tmp_path / "none.gif", [])
    assert not (tmp_path / "none.gif").exists()
