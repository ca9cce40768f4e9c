"""Compact codes of images, or of any vectors, and search for nearest neighbors in them.

`fit_projection` learns binary or real codes of vectors; `nearest_codes` and `nearest_vectors` search them exactly.
`learn_encoder` and `ImageIndex` do both for a folder of images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.lazy import lazy_names

if TYPE_CHECKING:
    from striate.retrieval.approximate import NeighborGraph
    from striate.retrieval.codes import pack_bits, unpack_bits
    from striate.retrieval.copies import CopyGroup, Pair, is_link, linked_names, near_copies
    from striate.retrieval.deep_projection import DeepProjection, fit_deep_projection
    from striate.retrieval.duplicates import near_duplicates
    from striate.retrieval.evaluation import Curves, average_precision, curves_against_exact, precision_at
    from striate.retrieval.image_encoder import ImageEncoder, learn_encoder
    from striate.retrieval.image_index import Changes, ImageIndex
    from striate.retrieval.index_shards import IndexShards
    from striate.retrieval.nearest import Neighbors, nearest_codes, nearest_vectors
    from striate.retrieval.pixels import is_flat
    from striate.retrieval.projection import Projection, fit_projection

__all__ = [
    "pack_bits",
    "unpack_bits",
    "Projection",
    "fit_projection",
    "DeepProjection",
    "fit_deep_projection",
    "nearest_codes",
    "nearest_vectors",
    "Neighbors",
    "NeighborGraph",
    "near_duplicates",
    "near_copies",
    "CopyGroup",
    "Pair",
    "linked_names",
    "is_link",
    "is_flat",
    "ImageEncoder",
    "learn_encoder",
    "ImageIndex",
    "IndexShards",
    "Changes",
    "Curves",
    "curves_against_exact",
    "precision_at",
    "average_precision",
]

_HOME = {
    "pack_bits": "striate.retrieval.codes",
    "unpack_bits": "striate.retrieval.codes",
    "Projection": "striate.retrieval.projection",
    "fit_projection": "striate.retrieval.projection",
    "DeepProjection": "striate.retrieval.deep_projection",
    "fit_deep_projection": "striate.retrieval.deep_projection",
    "nearest_codes": "striate.retrieval.nearest",
    "nearest_vectors": "striate.retrieval.nearest",
    "Neighbors": "striate.retrieval.nearest",
    "NeighborGraph": "striate.retrieval.approximate",
    "near_duplicates": "striate.retrieval.duplicates",
    "near_copies": "striate.retrieval.copies",
    "CopyGroup": "striate.retrieval.copies",
    "Pair": "striate.retrieval.copies",
    "linked_names": "striate.retrieval.copies",
    "is_link": "striate.retrieval.copies",
    "is_flat": "striate.retrieval.pixels",
    "ImageEncoder": "striate.retrieval.image_encoder",
    "learn_encoder": "striate.retrieval.image_encoder",
    "ImageIndex": "striate.retrieval.image_index",
    "IndexShards": "striate.retrieval.index_shards",
    "Changes": "striate.retrieval.image_index",
    "Curves": "striate.retrieval.evaluation",
    "curves_against_exact": "striate.retrieval.evaluation",
    "precision_at": "striate.retrieval.evaluation",
    "average_precision": "striate.retrieval.evaluation",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
