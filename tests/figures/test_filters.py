from __future__ import annotations

import numpy as np
import pytest

from striate.figures import draw_filters, filter_mosaic, to_svg


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_mosaic_is_drawn_pixel_for_pixel(rng: np.random.Generator, channels: int) -> None:
    filters = rng.standard_normal((7, channels, 4, 5))
    figure = draw_filters(filters, columns=3, color="yuv")
    (drawn,) = figure.axes[0].images
    np.testing.assert_array_equal(drawn.get_array(), filter_mosaic(filters, columns=3, scale=1, color="yuv"))
    assert drawn.get_clim() == (0, 255)


def test_a_caption_stands_above_it_as_it_is_written(rng: np.random.Generator) -> None:
    filters = rng.standard_normal((4, 1, 3, 3))
    figure, bare = draw_filters(filters, caption="4 filters of $3$ & <3>"), draw_filters(filters)
    assert ">4 filters of $3$ &amp; &lt;3&gt;<" in to_svg(figure, alt="filters")
    assert figure.get_figheight() > bare.get_figheight()
