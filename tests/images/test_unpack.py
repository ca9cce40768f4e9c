from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from striate.errors import StriateError
from striate.images.unpack import unpack

FILES = {"set/images/train/1.jpg": b"one", "set/images/test/2.jpg": b"two", "set/README": b"read"}
LAYOUT = {r"set/images/train/(.+\.jpg)": r"train/\1", r"set/images/test/(.+\.jpg)": r"val/\1"}


def tar_of(files: dict[str, bytes], *extra: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for info in extra:
            tar.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("archive", "inner"),
    [
        (tar_of(FILES), ""),
        (tar_of({f"./{name}": content for name, content in FILES.items()}, mode="w"), ""),
        (zip_of(FILES), ""),
        (zip_of({"a/inner.tar.gz": tar_of(FILES), "a/other": b""}), "a/inner.tar.gz"),
        (tar_of({"a/inner.tar.gz": tar_of(FILES)}), "a/inner.tar.gz"),
    ],
    ids=["tar.gz", "tar with dots", "zip", "tar in zip", "tar in tar"],
)
def test_files_go_where_the_layout_sends_them(tmp_path: Path, archive: bytes, inner: str) -> None:
    (tmp_path / "archive").write_bytes(archive)
    assert unpack(tmp_path / "archive", LAYOUT, tmp_path / "out", inner=inner) == 2
    assert content_of(tmp_path / "out") == {"train/1.jpg": b"one", "val/2.jpg": b"two"}


def test_an_added_gz_compresses(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(tar_of({"a.sgm": b"story", "b.sgm.gz": b"as it is"}))
    unpack(tmp_path / "archive", {r"(a\.sgm)": r"\1.gz", r"(b\.sgm\.gz)": r"\1"}, tmp_path / "out")
    assert gzip.decompress((tmp_path / "out" / "a.sgm.gz").read_bytes()) == b"story"
    assert (tmp_path / "out" / "b.sgm.gz").read_bytes() == b"as it is"


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:evil"])
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_nothing_is_written_outside(tmp_path: Path, name: str, pack: object) -> None:
    assert callable(pack)
    (tmp_path / "archive").write_bytes(pack({name: b"evil"}))
    with pytest.raises(StriateError, match="would write outside of its folder"):
        unpack(tmp_path / "archive", {"(.*)": r"\1"}, tmp_path / "out" / "deep")
    assert not list(tmp_path.rglob("*evil*"))


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    link, device = tarfile.TarInfo("link"), tarfile.TarInfo("device")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    (tmp_path / "archive").write_bytes(tar_of({"file": b"1"}, link, device))
    unpack(tmp_path / "archive", {"(.*)": r"\1"}, tmp_path / "out")
    assert content_of(tmp_path / "out") == {"file": b"1"}

    with zipfile.ZipFile(tmp_path / "zip", "w") as zipped:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        zipped.writestr(info, "/etc/passwd")
        zipped.writestr("file", b"2")
    unpack(tmp_path / "zip", {"(.*)": r"\1"}, tmp_path / "out")
    assert content_of(tmp_path / "out") == {"file": b"2"}


@pytest.mark.parametrize(
    "archive",
    [b"", b"no archive", tar_of(FILES)[:100], zip_of(FILES)[:-20]],
    ids=["empty", "text", "cut tar", "cut zip"],  # bytes hold the time, and each process must name a test alike
)
def test_a_damaged_archive(tmp_path: Path, archive: bytes) -> None:
    (tmp_path / "archive").write_bytes(archive)
    with pytest.raises(StriateError, match="archive: the archive is damaged"):
        unpack(tmp_path / "archive", LAYOUT, tmp_path / "out")


def test_an_archive_with_another_layout(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(tar_of({"other/1.jpg": b""}))
    with pytest.raises(StriateError, match="holds none of the expected files"):
        unpack(tmp_path / "archive", LAYOUT, tmp_path / "out")
