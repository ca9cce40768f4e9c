from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from striate import model_file
from striate.errors import StriateError, UsageError
from striate.model_file import ModelFileError

HEADER = {
    "classes": ["cat", "dög", "\udcff"],
    "stages": [{"kind": "F", "size": 9}],
    "accuracy": 0.5,
    "none": None,
}


def small_arrays() -> dict[str, np.ndarray]:
    return {
        "filters": np.arange(4, dtype=np.float32).reshape(2, 2),
        "flag": np.array(True),
        "none": np.zeros((0, 3)),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "m.safetensors"
    model_file.write(target, small_arrays(), HEADER, kind="model")
    return target


def with_text(path: Path, **changes: Any) -> None:
    """Rewrite our JSON inside the file, leaving everything else as it was."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    about = json.loads(entries["__metadata__"]["striate"]) | changes
    entries["__metadata__"]["striate"] = json.dumps(about)
    text = json.dumps(entries).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def test_mapped_arrays_are_those_that_were_written(path: Path, tmp_path: Path) -> None:
    more = {name: np.arange(3).astype(name) for name in ("uint8", "int16", "float64", "uint64", "bool", "complex64")}
    model_file.write(tmp_path / "n", more, {}, kind="model")
    for file, expected in ((path, small_arrays()), (tmp_path / "n", more)):
        arrays, header = model_file.read(file, kind="model", mapped=True)
        assert header == model_file.read_header(file)
        assert arrays.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(arrays[name], array)
            assert arrays[name].dtype == array.dtype
            assert arrays[name].shape == array.shape
            assert arrays[name].flags.aligned
            assert not arrays[name].flags.writeable
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"):
        model_file.read(path, mapped=True)


def test_what_was_written_is_read(path: Path) -> None:
    arrays, header = model_file.read(path, kind="model")
    assert header == HEADER
    assert model_file.read_header(path, kind="model") == HEADER
    assert arrays.keys() == small_arrays().keys()
    for name, array in small_arrays().items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].flags.writeable


TYPES = st.sampled_from(
    ["bool", "u1", "i1", "<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8", ">f4", "<c8"]
)


@settings(max_examples=40, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__" and name.isprintable()),
        TYPES.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))),
        max_size=4,
    ),
    header=st.dictionaries(
        st.text(max_size=6),
        st.one_of(st.none(), st.integers(), st.text(), st.floats(allow_nan=False)),
        max_size=4,
    ),
)
def test_any_content_survives_and_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray], header: dict[str, Any]
) -> None:
    first, second = (tmp_path_factory.getbasetemp() / name for name in ("first", "second"))
    model_file.write(first, arrays, header, kind="model")
    backwards = dict(reversed(arrays.items())), dict(reversed(header.items()))
    model_file.write(second, *backwards, kind="model")
    assert first.read_bytes() == second.read_bytes()
    read_arrays, read_header = model_file.read(first)
    assert read_header == header
    assert read_arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read_arrays[name], array)
        assert read_arrays[name].shape == array.shape


def test_golden_bytes(path: Path) -> None:
    # A change of this number is a change of the format: files of earlier versions must then still be
    # readable.
    assert (
        hashlib.sha256(path.read_bytes()).hexdigest()
        == "4608d154b36ebaeda24e50e0cc74e1822d568762a54a9488b9badda82ec859eb"
    )


def test_other_programs_can_read_the_arrays(path: Path) -> None:
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(path)["filters"], small_arrays()["filters"])


def test_views_and_checksums_in_the_header_are_no_trap(tmp_path: Path) -> None:
    path = tmp_path / "m"
    array = np.arange(12.0).reshape(3, 4)
    header = {"data": {"sha256": "0" * 64}, "text": '\\"sha256\\":\\"' + "0" * 64 + '\\"}"'}
    model_file.write(path, {"transposed": array.T, "stepped": array[::2, ::-1]}, header, kind="model")
    arrays, read_header = model_file.read(path)
    np.testing.assert_array_equal(arrays["transposed"], array.T)
    np.testing.assert_array_equal(arrays["stepped"], array[::2, ::-1])
    assert read_header == header


def test_cut_off_at_every_byte(path: Path) -> None:
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        for read in (model_file.read, model_file.read_header):
            with pytest.raises(ModelFileError, match=r"empty|cut off"):
                read(path)


def test_every_changed_byte_is_noticed(path: Path, rng: np.random.Generator) -> None:
    content = path.read_bytes()
    for position, byte in enumerate(content):
        # Some values matter more than random ones: digits, white space, the other case of a letter, a
        # flipped bit.
        for value in {ord("9"), byte ^ 32, int(rng.integers(256))}:
            if value == byte:
                continue
            path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
            for read in (model_file.read, model_file.read_header):
                with pytest.raises(ModelFileError) as caught:
                    read(path)
                assert str(path) in str(caught.value)


def test_bytes_after_the_end(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelFileError, match="1 bytes too many"):
        model_file.read(path)


@pytest.mark.parametrize("claimed", [10 * 2**30, 2**64 - 1, 99_999_999])
def test_a_claimed_header_is_not_allocated(path: Path, claimed: int) -> None:
    path.write_bytes(claimed.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(ModelFileError, match=r"claims a header|cut off"):
        model_file.read(path)


def test_claimed_arrays_are_not_allocated(path: Path) -> None:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    entries["huge"] = {"dtype": "F32", "shape": [2**60], "data_offsets": [24, 24 + 2**62]}
    text = json.dumps(entries).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(ModelFileError):
        model_file.read(path)


def test_a_newer_format(path: Path) -> None:
    with_text(path, format=model_file.FORMAT_VERSION + 1)
    with pytest.raises(ModelFileError, match="upgrade striate"):
        model_file.read(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 0},
        {"format": "1"},
        {"format": None},
        {"sha256": 1},
        {"sha256": ""},
        {"header": []},
        {"kind": None},
    ],
)
def test_senseless_text(path: Path, changes: dict[str, Any]) -> None:
    with_text(path, **changes)
    with pytest.raises(ModelFileError, match="damaged"):
        model_file.read(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_safetensors_file_of_another_program(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "other.safetensors"
    save_file(small_arrays(), path, metadata)
    with pytest.raises(ModelFileError, match="another program"):
        model_file.read(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"PK\x03\x04" + bytes(100), b"\x80\x04\x95" + bytes(40), b"\x02" + bytes(7) + b"{}",
     b"text " * 100, (6).to_bytes(8, "little") + b"{" * 6,
     (200_000).to_bytes(8, "little") + b'{"a":' + b"[" * 199_995],
)  # fmt: skip
def test_files_that_are_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        model_file.read(path)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        model_file.read(path)


def test_another_kind(path: Path) -> None:
    for read in (model_file.read, model_file.read_header):
        with pytest.raises(ModelFileError, match="holds a model, where a checkpoint is needed"):
            read(path, kind="checkpoint")


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        model_file.read(tmp_path / "missing")
    with pytest.raises(UsageError, match="is a folder"):
        model_file.read(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        model_file.write(tmp_path / "missing" / "m", {}, {}, kind="model")
    with pytest.raises(UsageError, match="is a folder"):
        model_file.write(tmp_path, {}, {}, kind="model")


@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "m"
    os.mkfifo(path)
    (tmp_path / "link").symlink_to(path)
    for name in (path, tmp_path / "link"):
        for read in (model_file.read, model_file.read_header):
            with pytest.raises(UsageError, match="is a pipe and no file"):
                read(name)
    for senseless in ("", "a\0b"):
        with pytest.raises(UsageError, match="name of no file"):
            model_file.read(senseless)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="does not exist"):
        model_file.read(tmp_path / "file" / "m")
    with pytest.raises(UsageError, match="is a device"):
        model_file.read("/dev/zero")


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([object()]), np.zeros(2, np.complex128)])
def test_arrays_that_cannot_be_held(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(TypeError, match="'strange'"):
        model_file.write(tmp_path / "m", {"strange": array}, {}, kind="model")
    assert list(tmp_path.iterdir()) == []


def test_special_numbers_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "m"
    model_file.write(path, {}, {"energy": math.inf, "state": 2**127 + 1}, kind="checkpoint")
    assert model_file.read(path) == ({}, {"energy": math.inf, "state": 2**127 + 1})


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = path.read_bytes()
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StriateError, match="No space left on device") as caught:
        model_file.write(path, {"new": np.ones(5)}, {}, kind="model")
    assert caught.value.exit_code == 1
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


WRITER = """
import sys
import numpy as np
from striate import model_file
print("ready", flush=True)
i = 0
while True:
    model_file.write(sys.argv[1], {"a": np.full(200_000, i, np.float32)}, {"i": i}, kind="model")
    i += 1
"""


@pytest.mark.parametrize("n_kills", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_kills_while_writing_leave_a_whole_file(tmp_path: Path, rng: np.random.Generator, n_kills: int) -> None:
    path = tmp_path / "m"
    for _ in range(n_kills):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(rng.uniform(0.005, 0.1))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        if path.exists():
            arrays, header = model_file.read(path)
            assert (arrays["a"] == header["i"]).all()
    model_file.write(path, {}, {}, kind="model")
    assert list(tmp_path.iterdir()) == [path]  # what the killed ones left behind is gone


def test_reading_needs_no_torch(path: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = None; from striate import model_file; "
        f"print(model_file.read({str(path)!r})[0]['filters'].sum())"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "6.0\n"
