"""Which files are images, by their ending, and messages about image files that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from importlib.util import find_spec

from striate.images.names import printable

HEIF_PACKAGE = "pillow_heif"
"""Pillow's plug-in that reads HEIC, the format of many telephones."""

AVIF_MODULE = "PIL._avif"
"""The part of Pillow that reads AVIF, from version 11.3 on."""

_HEIF = (".heic", ".heif", ".hif")
_AVIF = (".avif", ".avifs")
_ALWAYS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff"}
    | {".bmp", ".dib", ".webp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm"}
)
_RAW = (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".raw", ".pef", ".srw")
_OTHERS = frozenset(
    {".jp2", ".j2k", ".jpx", ".jxl", ".svg", ".psd", ".xcf", ".tga", ".ico", ".exr", ".hdr", ".pfm", ".pcx"}
    | {".fits", ".fit", ".dcm", ".czi", ".nd2", ".lif", ".svs", ".eps", ".pdf", ".mp4", ".mov", ".avi", ".mkv"}
)
# Kinds of image files that cannot be read, and what they need; a user expects them to be read.
_ADVICE = (
    dict.fromkeys(_HEIF, "to read them, pip install pillow-heif, or save them as JPEG or PNG")
    | dict.fromkeys(_AVIF, "to read them, update Pillow to 11.3 or later, or save them as JPEG or PNG")
    | dict.fromkeys(_RAW, "develop them to JPEG or TIFF")
    | dict.fromkeys(_OTHERS, "save their images as JPEG, PNG or TIFF")
)


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


EXTENSIONS = _ALWAYS | (set(_HEIF) if _found(HEIF_PACKAGE) else set()) | (set(_AVIF) if _found(AVIF_MODULE) else set())
"""Endings, in lower case, of the files that count as images in a folder. HEIC is among them where the package
pillow-heif is installed, AVIF where Pillow can read it."""


HEIF_FAMILY = frozenset((*_HEIF, *_AVIF))
"""Endings of files that are made of boxes, of which the first says which decoder reads the image."""

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""What the first box names in files that pillow-heif reads."""

AVIF_BRANDS = frozenset({b"avif", b"avis"})
"""What the first box names in AVIF files."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"II*\0", b"MM\0*", b"BM")


def brands_in(head: bytes) -> frozenset[bytes]:
    """The brands that the first 32 bytes of a file made of boxes name; empty for files of other kinds."""
    if head[4:8] != b"ftyp":
        return frozenset()
    return frozenset(head[place : place + 4] for place in (8, 16, 20, 24, 28))


def is_read(ending: str, head: bytes | None, readable: Collection[str]) -> bool:
    """Whether a file of the HEIF family can be read, according to its content and the installed decoders.

    Parameters
    ----------
    ending : str
        In lower case, one of `HEIF_FAMILY`.
    head : bytes or None
        The first 32 bytes of the file; None where they cannot be read.
    readable : collection of str
        The endings of what can be read, `EXTENSIONS`.
    """
    brands = brands_in(head or b"")
    if brands & AVIF_BRANDS:
        return ".avif" in readable
    if brands & HEIF_BRANDS:
        return ".heic" in readable
    # Telephones and web sites also use such endings for files of other kinds.
    return ending in readable or (head or b"").startswith(_SIGNATURES)


def is_image_kind(ending: str) -> bool:
    """Whether files of an ending that is not read are images."""
    return ending in _ADVICE


def advice(ending: str) -> str:
    """Advice about image files that are not read; empty for files of other kinds."""
    return _ADVICE.get(ending, "")


def notes_on_ignored(shown: str, ignored: Mapping[str, int]) -> list[str]:
    """One sentence for each kind of image that is not read, and one for all files of other kinds.

    Parameters
    ----------
    shown : str
        The folder, as messages show it.
    ignored : mapping of str to int
        Number of files of each ending; ``""`` for names without one.
    """
    notes = []
    others: Counter[str] = Counter()
    for ending, count in sorted(ignored.items(), key=lambda item: (-item[1], item[0])):
        if is_image_kind(ending):
            notes.append(f"{shown}: {counted(count, ending)} {_were(count)} ignored; {_advice_on_ignored(ending)}")
        else:
            others[ending] += count
    if others:
        n = others.total()
        kinds = ", ".join(f"{count} {printable(ending) or 'without an ending'}" for ending, count in others.items())
        what = "is no image and was" if n == 1 else "are no images and were"
        notes.append(f"{shown}: {n} file{'' if n == 1 else 's'} {what} ignored ({kinds})")
    return notes


def _advice_on_ignored(ending: str) -> str:
    if ending in EXTENSIONS:  # of the HEIF family: what is inside is of the other kind
        kind, other = ("HEIC", ".heic") if ending in _AVIF else ("AVIF", ".avif")
        return f"inside is {kind}; {advice(other)}"
    return advice(ending)


def counted(count: int, ending: str) -> str:
    """``3 .heic files``."""
    return f"{count} {printable(ending)} file{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
