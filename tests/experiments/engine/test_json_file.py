from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import StriateError
from striate.experiments.engine import json_file
from striate.experiments.engine.json_file import plain, write_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_a_document_reads_as_it_was_written(value: Any) -> None:
    text = json_file._lines({"value": value})
    assert json.loads(text) == {"value": value}


def test_numpy_and_tuples_become_plain() -> None:
    value = {"a": np.float32(0.5), "b": np.arange(3), "c": (1, np.int64(2)), "d": np.bool_(True), "e": np.str_("f")}
    assert plain(value, "it") == {"a": 0.5, "b": [0, 1, 2], "c": [1, 2], "d": True, "e": "f"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1.0, float("nan")]}, "it, at 'a', has the number nan"),
        (np.array([np.inf]), "it has the number inf"),
        ({1: 2}, "it has the key 1"),
        ({"a": object()}, "it, at 'a', has a object"),
    ],
)
def test_what_json_cannot_hold_is_named(value: Any, message: str) -> None:
    with pytest.raises(StriateError, match=message):
        plain(value, "it")


def test_a_failed_write_leaves_the_old_document(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]
