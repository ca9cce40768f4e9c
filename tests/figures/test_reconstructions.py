from __future__ import annotations

import numpy as np
import pytest

from striate.errors import UsageError
from striate.figures import draw_reconstructions, to_svg


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("color", ["rgb", "yuv"])
def test_three_columns_and_a_row_a_patch(channels: int, color: str, rng: np.random.Generator) -> None:
    patches = rng.standard_normal((5, channels, 6, 6))
    codes = rng.standard_normal((5, 30)) * (rng.random((5, 30)) < 0.2)
    figure = draw_reconstructions(patches, codes, 0.9 * patches, color=color, at_most=4)  # type: ignore[arg-type]
    assert len(figure.axes) == 12
    assert to_svg(figure, alt="x").count("<image") == 8


def test_patch_and_reconstruction_share_one_scale() -> None:
    patch = np.array([1.0, 0.0, -1.0, 0.0]).reshape(1, 1, 2, 2)
    figure = draw_reconstructions(patch, np.ones((1, 3)), 0.5 * patch)
    left, right = (figure.axes[i].images[0].get_array() for i in (0, 2))
    assert left is not None
    assert right is not None
    assert left.tolist() == [[254, 127], [0, 127]]
    assert right.tolist() == [[190, 127], [64, 127]]


def test_codes_of_zero() -> None:
    nothing = np.zeros((1, 1, 3, 3))
    assert "<svg" in to_svg(draw_reconstructions(nothing, np.zeros((1, 4)), nothing), alt="x")


def test_what_does_not_fit() -> None:
    patch = np.ones((2, 1, 3, 3))
    with pytest.raises(UsageError, match="do not fit"):
        draw_reconstructions(patch, np.ones((1, 4)), patch)
    with pytest.raises(UsageError, match="codes hold NaN"):
        draw_reconstructions(patch, np.full((2, 4), np.nan), patch)
