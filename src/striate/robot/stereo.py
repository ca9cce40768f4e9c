"""Disparity of a stereo pair, by semi-global matching (OpenCV's), checked from left to right and from right to left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError
from striate.images import to_grey
from striate.lazy import needs
from striate.parameters import Integer, checked

__all__ = ["StereoMatcher", "opencv"]

_STEPS = 16  # OpenCV's disparities are sixteenths of a pixel


def opencv(who: str) -> Any:
    """The module cv2; if it is missing, a UsageError names the extra.

    Parameters
    ----------
    who : str
        The beginning of the message: "stereo needs OpenCV".
    """
    with needs("cv2", "baselines", who):
        import cv2
    return cv2


@dataclass(frozen=True)
class StereoMatcher:
    """Semi-global matching: ``StereoMatcher()(left, right)``.

    Parameters
    ----------
    n_disparities : int, default 64
        Disparities that are tried, from 0 on; rounded up to a multiple of 16. At the working size of KITTI's cameras
        64 reach from 3 m on.
    block : int, default 5
        Side of the blocks that are compared, in pixels, odd. Small blocks keep thin poles; 5 is OpenCV's advice.
    uniqueness : int, default 10
        Percent by which the best match must be better than the second: without it, the sky and bare walls get
        disparities at random.
    smallest : int, default 80
        Connected regions of fewer pixels are left out, as wrong matches.

    References
    ----------
    Hirschmüller, "Stereo processing by semiglobal matching and mutual information", IEEE Transactions on Pattern
    Analysis and Machine Intelligence 30(2), 2008.
    """

    n_disparities: int = 64
    block: int = 5
    uniqueness: int = 10
    smallest: int = 80

    def __post_init__(self) -> None:
        rules = {
            "n_disparities": Integer(low=16, high=1024),
            "block": Integer(low=1, high=21),
            "uniqueness": Integer(low=0, high=100),
            "smallest": Integer(low=0),
        }
        for name, rule in rules.items():
            object.__setattr__(self, name, checked(f"{name} of a stereo matcher", getattr(self, name), rule))
        if self.block % 2 == 0:
            raise UsageError(f"block of a stereo matcher is {self.block}; it must be odd, so that it has a center")

    def __call__(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """The disparity of every pixel of the left image.

        Parameters
        ----------
        left, right : (1 or 3, height, width) float32 array
            A rectified pair, 0–1.

        Returns
        -------
        (height, width) float32 array
            Pixels, in steps of 1/16; NaN where it is not known: no match, no texture, or hidden from one camera. The
            same bits for the same images.

        Raises
        ------
        UsageError
            If the images differ in size, or OpenCV is not installed.
        """
        if left.shape != right.shape or left.ndim != 3:
            raise UsageError(
                f"stereo needs two images (channels, height, width) of one size: {left.shape}, {right.shape}"
            )
        cv2 = opencv("stereo matching needs OpenCV")
        n_disparities = -(-self.n_disparities // 16) * 16
        matcher = cv2.StereoSGBM_create(
            minDisparity=0,
            numDisparities=n_disparities,
            blockSize=self.block,
            P1=8 * self.block**2,
            P2=32 * self.block**2,
            disp12MaxDiff=1,  # the check from right to left
            uniquenessRatio=self.uniqueness,
            speckleWindowSize=self.smallest,
            speckleRange=1,
            mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
        )
        # OpenCV leaves out the columns that could match beyond the right image's border; margins let them match inside.
        pair = [np.pad(_eight_bits(image), ((0, 0), (n_disparities, 0)), mode="edge") for image in (left, right)]
        found = matcher.compute(*pair)[:, n_disparities:].astype(np.float32) / _STEPS
        found[(found <= 0) | (found > np.arange(found.shape[1]))] = np.nan
        return found


def _eight_bits(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    grey = to_grey(image)[0]
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
