"""Search among a million codes, beside NumPy, faiss and usearch: python benchmarks/retrieval.py.

Random codes of 64 and 256 bits, one query at a time and a batch of them; one thread for everybody. Every contestant
finds the same distances, which is checked before any time is taken. Real codes: exact search beside the graph, at the
graph's recall.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from _harness import Harness, Timings

from striate import threads
from striate.retrieval import NeighborGraph, curves_against_exact, nearest_codes, nearest_vectors

N_NEIGHBORS = 12
GOAL_SECONDS = 0.010  # a query among a million codes of 64 bits
N_BATCH = 20  # queries

Search = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Binary codes of two lengths, then real ones."""
    harness = Harness("retrieval", "The 12 nearest of a million codes, exactly.", options=options)
    warnings.simplefilter("ignore")
    with threads.limit(1):
        for n_bits in (64, 256):
            compare_binary(harness, n_bits, harness.options.codes)
        compare_real(harness, max(1000, harness.options.codes // 10))
    harness.finish()


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone takes."""
    parser.add_argument("--codes", type=int, default=1_000_000, help="how many (%(default)s)")


def compare_binary(harness: Harness, n_bits: int, n_codes: int) -> None:
    """Hamming distances of one query, and of a batch."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**64, (n_codes, n_bits // 64), np.uint64)
    queries = codes[rng.integers(0, n_codes, N_BATCH)] ^ np.uint64(0b10010)
    searches: dict[str, Search] = {
        "striate": lambda some: nearest_codes(some, codes, N_NEIGHBORS).distances,
        "NumPy": lambda some: brute_force(some, codes),
        **peers(codes, n_bits),
    }

    def same_distances(returned: Mapping[str, Any]) -> None:
        for name, found in returned.items():
            np.testing.assert_array_equal(found, returned["striate"], err_msg=name)

    for n in (1, N_BATCH):
        contestants = {name: (lambda search=search, n=n: search(queries[:n])) for name, search in searches.items()}
        timings = harness.alternate(contestants, check=same_distances)
        of_query = Timings({name: [value / n for value in row] for name, row in timings.seconds.items()})
        harness.report(
            f"{n_codes:,} codes of {n_bits} bits, {'a query' if n == 1 else f'{n} queries'} at a time",
            of_query,
            reference="striate",
            goals={"striate": GOAL_SECONDS} if (n_bits, n) == (64, 1) else {},
            unit="seconds a query",
            codes=n_codes,
            bits=n_bits,
        )


def brute_force(queries: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Smallest Hamming distances in NumPy, sorted."""
    found = []
    for query in queries:
        distances = np.bitwise_count(codes ^ query).sum(axis=1, dtype=np.uint16)
        found.append(np.sort(np.partition(distances, N_NEIGHBORS)[:N_NEIGHBORS]))
    return np.array(found)


def peers(codes: np.ndarray, n_bits: int) -> dict[str, Search]:
    """The libraries that are installed."""
    found: dict[str, Search] = {}
    as_bytes = codes.view(np.uint8)
    try:
        import faiss
    except ModuleNotFoundError:
        pass
    else:
        faiss.omp_set_num_threads(1)
        index = faiss.IndexBinaryFlat(n_bits)
        index.add(as_bytes)
        found["faiss"] = lambda some: index.search(some.view(np.uint8), N_NEIGHBORS)[0]
    try:
        from usearch.index import MetricKind, ScalarKind, search
    except ModuleNotFoundError:
        pass
    else:
        found["usearch"] = lambda some: np.atleast_2d(
            search(
                as_bytes, some.view(np.uint8), N_NEIGHBORS, MetricKind.Hamming, exact=True, threads=1,
                dtype=ScalarKind.B1,
            ).distances
        )  # fmt: skip
    return found


def compare_real(harness: Harness, n_codes: int) -> None:
    """Codes of 64 numbers in clusters: exactly, and by a graph."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((50, 64), np.float32)
    codes = centers[rng.integers(0, 50, n_codes)] + np.float32(0.7) * rng.standard_normal((n_codes, 64), np.float32)
    queries = codes[rng.integers(0, n_codes, 200)] + np.float32(0.3) * rng.standard_normal((200, 64), np.float32)
    graph = NeighborGraph(codes)
    exact = nearest_vectors(queries, codes, N_NEIGHBORS).rows
    recall = {
        str(breadth): float(
            curves_against_exact(graph.search(queries, N_NEIGHBORS, breadth=breadth).rows, exact).recall[-1]
        )
        for breadth in (32, 64, 128)
    }
    contestants: dict[str, Callable[[], Any]] = {
        "exact": lambda: nearest_vectors(queries, codes, N_NEIGHBORS),
        **{
            f"graph, breadth {breadth}": lambda breadth=breadth: graph.search(
                queries, N_NEIGHBORS, breadth=int(breadth)
            )
            for breadth in recall
        },
    }
    timings = harness.alternate(contestants)
    of_query = Timings({name: [value / len(queries) for value in row] for name, row in timings.seconds.items()})
    harness.report(
        f"{n_codes:,} real codes of 64 numbers",
        of_query,
        reference="exact",
        unit="seconds a query",
        codes=n_codes,
        recall_at_12=recall,
    )
    print(f"    recall at 12 by breadth: {recall}")


if __name__ == "__main__":
    main()
