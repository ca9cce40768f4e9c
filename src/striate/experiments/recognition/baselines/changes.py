"""How the training images of a network are changed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Changes"]


@dataclass(frozen=True)
class Changes:
    """How far each training image is changed at random, every time that it is used.

    Attributes
    ----------
    shift : float
        Fraction of the side, in both directions.
    turn : float
        Degrees.
    zoom : float
        0.2 is from 1/1.2 to 1.2, for height and width separately.
    light : float
        Logarithm of a factor of the contrast, half of it for each channel; half of it is added to the brightness.
    mirrored : bool
        Whether images are mirrored, and both views are averaged in prediction.
    """

    shift: float = 0.0
    turn: float = 0.0
    zoom: float = 0.0
    light: float = 0.0
    mirrored: bool = False
