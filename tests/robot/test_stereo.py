from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from striate.errors import UsageError
from striate.robot import GroundPlane, StereoMatcher
from tests.robot.scenes import CAMERA, seen


def test_disparities_of_a_real_pair() -> None:
    """Middlebury's motorcycle, which scikit-image ships, with disparities that were measured by structured light."""
    data = pytest.importorskip("skimage.data")
    left, right, truth = data.stereo_motorcycle()
    pair = [image.transpose(2, 0, 1).astype(np.float32) / 255 for image in (left, right)]
    found = StereoMatcher()(*pair)
    answered = np.isfinite(found)
    assert answered.mean() > 0.8
    both = answered & np.isfinite(truth) & (truth > 0)
    error = np.abs(found - truth)[both]
    assert (error <= 2).mean() >= 0.9
    assert np.median(error) < 0.25
    np.testing.assert_array_equal(found, StereoMatcher()(*pair))


def test_disparities_of_a_scene() -> None:
    view = seen(GroundPlane.from_angles(1, 2, 1.65))
    found = StereoMatcher()(view.left, view.right)
    truth = CAMERA.fx * CAMERA.baseline / view.depth
    both = np.isfinite(found) & (view.surface >= 0) & (truth < 60)
    assert both[view.surface >= 0].mean() > 0.8
    assert (np.abs(found - truth)[both] < 1).mean() > 0.95
    # Whole distances come back from disparities.
    near = both & (view.depth < 12)
    assert np.median(np.abs(CAMERA.depth(found)[near] / view.depth[near] - 1)) < 0.02
    # Also near the left border, where the right image ends.
    border = (view.depth < 12) & (np.arange(620) > truth + 2) & (np.arange(620) < 60)
    assert np.isfinite(found[border]).mean() > 0.8


def test_what_only_one_camera_sees_is_unknown(rng: np.random.Generator) -> None:
    """A wall 12 pixels before another one hides 12 columns at its left side."""
    picture = rng.uniform(0, 1, (1, 60, 300)).astype(np.float32)
    left, right = picture.copy(), np.roll(picture, -8, axis=2)
    front = rng.uniform(0, 1, (1, 60, 80)).astype(np.float32)
    left[:, :, 120:200], right[:, :, 100:180] = front, front  # 20 pixels; the wall behind has 8
    found = StereoMatcher()(left, right)
    assert (np.abs(found[10:50, 130:190] - 20) < 0.3).mean() > 0.95
    assert (np.abs(found[10:50, 210:280] - 8) < 0.3).mean() > 0.95
    assert np.isnan(found[10:50, 110:117]).mean() > 0.8


def test_images_that_show_nothing_have_no_disparity() -> None:
    flat = np.full((1, 188, 620), 0.5, np.float32)
    assert np.isnan(StereoMatcher()(flat, flat)).all()


def test_wrong_use() -> None:
    image = np.zeros((1, 20, 60), np.float32)
    with pytest.raises(UsageError, match="of one size"):
        StereoMatcher()(image, image[:, :10])
    with pytest.raises(UsageError, match="odd"):
        StereoMatcher(block=4)
    with pytest.raises(UsageError, match="n_disparities of a stereo matcher"):
        StereoMatcher(n_disparities=0)


def test_without_opencv_a_message_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['cv2'] = None\n"
        "import numpy as np\n"
        "from striate.errors import UsageError\n"
        "from striate.robot import StereoMatcher\n"
        "image = np.zeros((1, 20, 60), np.float32)\n"
        "try: StereoMatcher()(image, image)\n"
        "except UsageError as error: assert 'pip install striate[baselines]' in str(error), error\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
