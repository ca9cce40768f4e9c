"""Images, masks, codes and sparsities as `infer_convolutional` takes them, checked and brought to one form."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.coding.convolutional.sparse_maps import SparseMaps
from striate.errors import UsageError
from striate.parameters import Real, checked
from striate.samples import all_finite, float_type, is_sparse

__all__ = [
    "SINGLE_PRECISION",
    "Form",
    "Images",
    "assembled",
    "checked_images",
    "checked_maps",
    "checked_thresholds",
    "default_tolerance",
    "maps_as_images",
]

Form = Literal["grey", "one", "batch", "list"]

SINGLE_PRECISION = 2e-5  # below this tolerance, a gap in single precision is only rounding: double precision is used


class Images(NamedTuple):
    """Images, each (n_channels, height, width) in float32 or float64, and masks of the same shapes, or None.

    `form` says how they were given: as one image of two or three axes, as an array of four, or as a list.
    """

    items: list[NDArray[Any]]
    masks: list[NDArray[np.float64] | None]
    form: Form


def default_tolerance(dtype: np.dtype[Any]) -> float:
    """The relative gap to which images of a type are coded."""
    return 1e-4 if dtype == np.float32 else 1e-6


def checked_images(images: Any, mask: Any, shape: tuple[int, ...], *, any_channels: bool = False) -> Images:
    """The images, with 0 where the mask is 0, for filters of a shape (n_maps, n_channels, height, width).

    With `any_channels`, images may have several channels where the filters have one.
    """
    given, form = _separated(images, "images")
    n_channels = None if any_channels and shape[1] == 1 else shape[1]
    items = [_with_channels(image, n_channels, f"image {i}") for i, image in enumerate(given)]
    for i, image in enumerate(items):
        height, width = image.shape[1:]
        if height < shape[2] or width < shape[3]:
            raise UsageError(
                f"image {i} is {height}×{width}, smaller than the filters of {shape[2]}×{shape[3]}; "
                "pad it, and give a mask that is 0 where it was padded"
            )
    masks: list[NDArray[np.float64] | None] = [None] * len(items)
    if mask is not None:
        for i, of_one in enumerate(_separated_masks(mask, items, form)):
            whole = _whole_mask(of_one, items[i], i)
            masks[i], items[i] = whole, np.where(whole > 0, items[i], items[i].dtype.type(0))
    for i, image in enumerate(items):
        if not all_finite(image):
            raise UsageError(f"image {i} holds NaN or infinity; mend it, or give a mask that is 0 there")
    return Images(items, masks, form)


def _separated(values: Any, name: str) -> tuple[list[Any], Form]:
    """Single images, as arrays of two or three axes."""
    if isinstance(values, list | tuple) and any(np.ndim(value) >= 2 for value in values if not _is_ragged(value)):
        return [_array(value, f"{name}[{i}]") for i, value in enumerate(values)], "list"
    if isinstance(values, list | tuple) and not values:
        return [], "list"
    array = _array(values, name)
    if array.ndim == 2:
        return [array], "grey"
    if array.ndim == 3:
        return [array], "one"
    if array.ndim == 4 and len(array):
        return list(array), "batch"
    raise UsageError(
        f"{name}: give (height, width), (channels, height, width), (n_images, channels, height, width) or a list of "
        f"images, not an array of shape {array.shape}"
    )


def _is_ragged(value: Any) -> bool:
    try:
        np.asarray(value)
    except ValueError:
        return True
    return False


def _array(value: Any, name: str) -> NDArray[Any]:
    if is_sparse(value):
        raise UsageError(f"{name}: a sparse matrix is no image; give {name}.toarray()")
    if np.ma.isMaskedArray(value) and np.ma.is_masked(value):
        raise UsageError(f"{name} has masked values; give .filled(0), and mask=~{name}.mask")
    try:
        array = np.asarray(value)
    except ValueError:
        raise UsageError(f"{name} is no array of numbers: rows of one length are needed") from None
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name}: real numbers are needed, not {array.dtype}")
    return array


def _with_channels(image: NDArray[Any], n_channels: int | None, name: str) -> NDArray[Any]:
    """(n_channels, height, width), float32 or float64; any number of channels for None."""
    shape = image.shape
    if image.ndim == 2:
        image = image[np.newaxis]
    if image.ndim != 3 or (n_channels is not None and image.shape[0] != n_channels) or 0 in image.shape:
        wanted = "channels" if n_channels is None else n_channels
        raise UsageError(
            f"{name} has shape {shape}, but the filters are for ({wanted}, height, width); several images are "
            "(n_images, channels, height, width) or a list"
        )
    return image.astype(float_type(image.dtype), copy=False)


def _separated_masks(mask: Any, items: list[NDArray[Any]], form: Form) -> list[Any]:
    """One mask per image."""
    if form == "list":
        if not isinstance(mask, list | tuple) or len(mask) != len(items):
            raise UsageError(f"mask: give a list of {len(items)} masks, one for each image")
        return [_array(of_one, f"mask[{i}]") for i, of_one in enumerate(mask)]
    array = _array(mask, "mask")
    if array.ndim == 4 and form == "batch":
        if len(array) != len(items):
            raise UsageError(f"mask has shape {array.shape}, but there are {len(items)} images")
        return list(array)
    return [array] * len(items)


def _whole_mask(mask: NDArray[Any], image: NDArray[Any], number: int) -> NDArray[np.float64]:
    """A mask of the image's shape."""
    try:
        if mask.ndim not in (2, 3):
            raise ValueError
        whole = np.broadcast_to(mask, image.shape).astype(np.float64)
    except ValueError:
        raise UsageError(
            f"the mask of image {number} has shape {mask.shape}, and {image.shape[1:]} or {image.shape} is needed"
        ) from None
    if not (np.isfinite(whole).all() and (whole >= 0).all()):
        raise UsageError(f"the mask of image {number} holds NaN, infinity or negative weights")
    return whole


def checked_thresholds(sparsity: Any, n_maps: int) -> NDArray[np.float64]:
    """The sparsity of each map, (n_maps,)."""
    try:
        array = np.asarray(sparsity)
        if array.dtype.kind not in "fiu":
            raise ValueError
        array = array.astype(np.float64)
    except (ValueError, TypeError):
        raise UsageError("sparsity is a number above 0, or one for each map") from None
    if array.ndim == 0:
        return np.full(n_maps, checked("sparsity", float(array), Real(above=0)))
    if array.shape != (n_maps,):
        raise UsageError(f"sparsity is a number or has shape ({n_maps},), one for each map, not {array.shape}")
    if not (array > 0).all():
        raise UsageError("sparsity must be above 0 for every map; infinity excludes a map")
    return array


def checked_maps(codes: Any, images: Images, shape: tuple[int, ...], name: str) -> list[SparseMaps]:
    """Codes of the images, which are given in the same form: maps of three axes, an array of four, or a list."""
    n = len(images.items)
    if images.form in ("grey", "one"):
        given = [codes]
    elif isinstance(codes, SparseMaps) or (not isinstance(codes, list | tuple) and np.ndim(codes) != 4):
        raise UsageError(f"{name}: there are {n} images, and codes of each are needed")
    else:
        given = list(codes)
    if len(given) != n:
        raise UsageError(f"{name}: there are {n} images, but codes of {len(given)}")
    found = [_as_sparse(maps, f"{name}: maps of image {i}") for i, maps in enumerate(given)]
    for i, (maps, image) in enumerate(zip(found, images.items, strict=True)):
        wanted = shape[0], image.shape[1] - shape[2] + 1, image.shape[2] - shape[3] + 1
        if tuple(maps.shape) != wanted:
            raise UsageError(f"{name}: maps of image {i} have shape {tuple(maps.shape)}, and {wanted} is needed")
    return found


def maps_as_images(codes: Any, n_maps: int) -> tuple[list[SparseMaps], Form]:
    """Codes of one image, of an array of several, or of a list."""
    form: Form = "one"
    if isinstance(codes, SparseMaps):
        given: list[Any] = [codes]
    elif isinstance(codes, list | tuple) and all(isinstance(maps, SparseMaps) or np.ndim(maps) == 3 for maps in codes):
        given, form = list(codes), "list"
    else:
        array = _array(codes, "maps")
        given, form = (list(array), "batch") if array.ndim == 4 and len(array) else ([array], "one")
    found = [_as_sparse(maps, f"maps {i}") for i, maps in enumerate(given)]
    for maps in found:
        if maps.shape[0] != n_maps or 0 in maps.shape:
            raise UsageError(f"maps of {n_maps} filters are needed, ({n_maps}, n_rows, n_columns), not {maps.shape}")
    return found, form


def assembled(results: list[Any], form: Form) -> Any:
    """Results for one image, in an array or in a list, as the images were given."""
    if form in ("grey", "one"):
        return results[0]
    return np.stack(results) if form == "batch" else results


def _as_sparse(maps: Any, name: str) -> SparseMaps:
    sparse = maps if isinstance(maps, SparseMaps) else SparseMaps.from_array(_array(maps, name))
    if not np.isfinite(sparse.values).all():
        raise UsageError(f"{name} hold NaN or infinity")
    if isinstance(maps, SparseMaps):
        _check_coordinates(sparse, name)
    return sparse


def _check_coordinates(codes: SparseMaps, name: str) -> None:
    coordinates = np.asarray(codes.coordinates)
    if coordinates.shape != (len(codes.values), 3) or coordinates.dtype.kind not in "iu":
        raise UsageError(f"{name} need coordinates (n, 3), integers, for n values")
    if (coordinates < 0).any() or (coordinates >= codes.shape).any():
        raise UsageError(f"{name} have coordinates outside their shape {tuple(codes.shape)}")
    if len(np.unique(np.ravel_multi_index(tuple(coordinates.T), codes.shape))) < len(coordinates):
        raise UsageError(f"{name} have two values at one place")
