"""Layers in a row: geometry of the talk, notation, batches and threads, and the way into the model file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import threads
from striate.errors import UsageError
from striate.hierarchy import FilterBank, Hierarchy, format_notation, parse_notation

TALK = "64F9x9 - Rabs - N - PA10x10/5 - 256F9x9:16 - Rabs - N - PA6x6/4"


def with_random_filters(notation: str, n_channels: int, seed: int = 0) -> Hierarchy:
    rng = np.random.default_rng(seed)
    layers = []
    n_maps = n_channels
    for layer in parse_notation(notation):
        if isinstance(layer, FilterBank):
            fan_in = layer.fan_in or n_maps
            table = None
            if layer.fan_in is not None:
                table = np.stack([np.sort(rng.choice(n_maps, fan_in, replace=False)) for _ in range(layer.n_maps)])
            filters = 0.1 * rng.standard_normal((layer.n_maps, fan_in, *layer.size), dtype=np.float32)
            n_maps = layer.n_maps
            layer = layer.with_filters(filters, table=table)
        layers.append(layer)
    return Hierarchy(layers)


def test_geometry_of_the_talk() -> None:
    shapes = Hierarchy(TALK).shapes((1, 143, 143))
    assert shapes[0] == (64, 135, 135)
    assert shapes[3] == (64, 26, 26)
    assert shapes[4] == (256, 18, 18)
    assert shapes[7] == (256, 4, 4)


def test_notation_round_trip_and_stages() -> None:
    hierarchy = Hierarchy(TALK)
    assert str(hierarchy) == TALK
    assert [str(stage) for stage in hierarchy.stages] == [TALK[:30].strip(" -"), TALK[32:]]
    assert Hierarchy("800WP6x6 - GA3").stages == []
    assert repr(hierarchy) == f"Hierarchy({TALK!r})"
    assert len(hierarchy) == 8


@given(
    st.lists(
        st.sampled_from(
            [
                "8F3x5",
                "12F9x9:4",
                "7F5x5S",
                "7F5x5:2SS",
                "Rabs",
                "HP",
                "HP5x5",
                "N",
                "N7x7",
                "PA4x4/2",
                "PM10x10/5",
                "MF2x2/1",
                "MF3x3/2",
            ]
        ),
        min_size=1,
    )
)
def test_any_combination_is_parsed_and_printed(parts: list[str]) -> None:
    text = " - ".join(parts)
    assert format_notation(parse_notation(text)) == text


@pytest.mark.parametrize("text", ["64F9", "PA10x9/5", "64F9x9 Rabs", "X - N", "N4x5", "HP9", "MF2x2", "MF2x3/1"])
def test_what_is_not_notation_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="is not a layer of a hierarchy: write 64F9x9"):
        parse_notation(text)


def test_batches_and_threads_change_nothing(rng: np.random.Generator) -> None:
    hierarchy = with_random_filters("6F5x5 - Rabs - N5x5 - PA4x4/2 - 8F3x3:3 - Rabs - N5x5 - PM2x2/1", 2)
    images = rng.standard_normal((70, 2, 24, 20), dtype=np.float32)
    together = hierarchy.transform(images)
    with threads.limit(1):
        np.testing.assert_array_equal(hierarchy.transform(images), together)
    one_by_one = np.concatenate([hierarchy.transform(images[i : i + 1]) for i in range(len(images))])
    np.testing.assert_array_equal(one_by_one, together)
    assert hierarchy.transform(images[:0]).shape == (0, *hierarchy.output_shape((2, 24, 20)))


def test_images_are_left_as_they_were(rng: np.random.Generator) -> None:
    images = rng.standard_normal((3, 1, 12, 12), dtype=np.float32)
    before = images.copy()
    Hierarchy("Rabs - N5x5 - PA2x2/2").transform(images)
    np.testing.assert_array_equal(images, before)
    assert Hierarchy([]).transform(images) is not images


def test_wrong_shapes_get_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"\(n_images, channels, height, width\)"):
        Hierarchy("Rabs").transform(np.zeros((28, 28)))
    with pytest.raises(UsageError, match="PA10x10/5 needs maps of at least 10 pixels, but gets 4"):
        Hierarchy("8F9x9 - PA10x10/5").output_shape((1, 12, 12))
    with pytest.raises(UsageError, match="sees 16 maps each, but only 8 come in"):
        Hierarchy("8F3x3 - 8F3x3:16").output_shape((1, 12, 12))


def test_state_round_trip_through_json(rng: np.random.Generator) -> None:
    hierarchy = with_random_filters("6F5x5S - Rabs - N5x5 - PA4x4/2 - HP7x7 - MF2x2/1 - 8F3x3:3SS - N", 1)
    arrays, header = hierarchy.to_state()
    again = Hierarchy.from_state(arrays, json.loads(json.dumps(header)))
    images = rng.standard_normal((4, 1, 20, 20), dtype=np.float32)
    np.testing.assert_array_equal(again.transform(images), hierarchy.transform(images))
    assert str(again) == str(hierarchy)
