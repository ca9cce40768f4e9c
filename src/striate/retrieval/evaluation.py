"""Evaluation of search, against exact neighbors or against categories."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import UsageError

__all__ = ["Curves", "average_precision", "curves_against_exact", "precision_at"]


class Curves(NamedTuple):
    """Means over queries, for 1 … n_found results.

    Attributes
    ----------
    recall : float64 (n_found,)
        Fraction of the true neighbors that are among the first results.
    precision : float64 (n_found,)
        Fraction of the first results that are true neighbors.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


def curves_against_exact(found: NDArray[np.int64], exact: NDArray[np.int64]) -> Curves:
    """Recall and precision of a search, with the results of an exact search as truth.

    Parameters
    ----------
    found : int64 (n_queries, n_found)
        Rows that the search returned, best first; −1 for none.
    exact : int64 (n_queries, n_true)
        The true neighbors, in any order.

    Returns
    -------
    Curves
    """
    found, exact = np.asarray(found), np.asarray(exact)
    if found.ndim != 2 or exact.ndim != 2 or len(found) != len(exact) or 0 in (*found.shape, *exact.shape):
        raise UsageError(f"found {found.shape} and exact {exact.shape} must have one row per query and not be empty")
    hits = np.stack([np.isin(row, true) for row, true in zip(found, exact, strict=True)]).cumsum(axis=1)
    mean = hits.mean(axis=0)
    return Curves(mean / exact.shape[1], mean / np.arange(1, found.shape[1] + 1))


def precision_at(relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Precision of each query's results, (n_queries,).

    Parameters
    ----------
    relevant : bool (n_queries, n_found)
        Whether each result is relevant.
    """
    relevant = np.asarray(relevant)
    if relevant.ndim != 2 or not relevant.shape[1]:
        raise UsageError(f"relevant has shape {relevant.shape}, and (n_queries, n_found) is needed")
    return np.asarray(relevant.mean(axis=1))


def average_precision(distances: NDArray[Any], relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Average precision of each query: the mean of the precision at every relevant item.

    Items at the same distance, which are frequent with binary codes, are ranked as a group: each counts with the
    precision at the end of its group, so that the order within a group has no effect.

    Parameters
    ----------
    distances : (n_queries, n_items)
        Distances to all items that are searched.
    relevant : bool (n_queries, n_items)

    Returns
    -------
    float64 (n_queries,)
        0 for a query without relevant items.
    """
    distances, relevant = np.asarray(distances), np.asarray(relevant)
    if distances.ndim != 2 or distances.shape != relevant.shape:
        raise UsageError(f"distances {distances.shape} and relevant {relevant.shape} must be two tables of one shape")
    result = np.zeros(len(distances))
    for query, (row, is_relevant) in enumerate(zip(distances, relevant, strict=True)):
        n_relevant = int(is_relevant.sum())
        if not n_relevant:
            continue
        order = np.argsort(row, kind="stable")
        ends = np.searchsorted(row[order], row[order], side="right")
        precision = is_relevant[order].cumsum()[ends - 1] / ends
        result[query] = float(precision[is_relevant[order]].sum()) / n_relevant
    return result
