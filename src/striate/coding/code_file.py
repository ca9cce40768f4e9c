"""Codes on disk in SciPy's format for sparse matrices, written in blocks, in bounded memory for any length."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from striate.whole_file import whole_file

__all__ = ["write_codes"]


def write_codes(path: str | os.PathLike[str], blocks: Iterable[Any], shape: tuple[int, int], dtype: np.dtype) -> None:
    """Write the rows of CSR blocks as one matrix: ``.npz`` for `scipy.sparse.load_npz`, ``.npy`` with all zeros.

    Parameters
    ----------
    path : str or os.PathLike
        It is written completely or not at all. While an ``.npz`` file is written, its folder needs twice its size more.
    blocks : iterable of scipy.sparse.csr_array (any number of rows, n_components)
        Read one at a time.
    shape : (int, int)
        Rows of all blocks together, and ``n_components``.
    dtype : float32 or float64
    """
    if Path(path).suffix.lower() == ".npz":
        _write_sparse(path, blocks, shape[1], dtype)
        return
    with whole_file(path) as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(block.toarray().tobytes())


def _write_sparse(path: str | os.PathLike[str], blocks: Iterable[Any], n_components: int, dtype: np.dtype) -> None:
    folder = Path(os.path.realpath(path)).parent
    with (
        whole_file(path) as file,
        tempfile.TemporaryFile(dir=folder) as data,
        tempfile.TemporaryFile(dir=folder) as indices,
        tempfile.TemporaryFile(dir=folder) as counts,
    ):
        n_rows = n_active = 0
        for block in blocks:
            data.write(np.ascontiguousarray(block.data, dtype).tobytes())
            indices.write(np.ascontiguousarray(block.indices, np.int32).tobytes())
            counts.write((n_active + block.indptr[1:].astype(np.int64)).tobytes())
            n_rows += block.shape[0]
            n_active += int(block.indptr[-1])
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _add_array(archive, "format", np.array(b"csr"))
            _add_array(archive, "shape", np.array([n_rows, n_components]))
            _add_array(archive, "_is_array", np.array(True))
            _add_stream(archive, "data", data, np.dtype(dtype), n_active)
            _add_stream(archive, "indices", indices, np.dtype(np.int32), n_active)
            _add_stream(
                archive, "indptr", counts, np.dtype(np.int64), n_rows + 1, first=np.zeros(1, np.int64).tobytes()
            )


def _add_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w") as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _add_stream(
    archive: zipfile.ZipFile, name: str, values: IO[bytes], dtype: np.dtype, length: int, *, first: bytes = b""
) -> None:
    """A one-dimensional array whose bytes are in a file, after `first`."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        member.write(first)
        values.seek(0)
        shutil.copyfileobj(values, member, 1 << 20)
