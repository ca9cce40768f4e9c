"""Strongly connected components of a directed graph."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator
from typing import TypeVar

__all__ = ["groups"]

Node = TypeVar("Node", bound=Hashable)


def groups(start: Node, targets: Callable[[Node], list[Node]], done: Container[Node]) -> Iterator[list[Node]]:
    """Yield what a node reaches in groups that reach each other, each after those that it reaches.

    Tarjan's algorithm, without recursion. What is `done` is left out.
    """
    order: dict[Node, int] = {start: 0}
    lowest: dict[Node, int] = {start: 0}
    open_ones, is_open = [start], {start}
    path = [(start, iter(targets(start)))]
    while path:
        key, following = path[-1]
        for target in following:
            if target in done:
                continue
            if target not in order:
                order[target] = lowest[target] = len(order)
                open_ones.append(target)
                is_open.add(target)
                path.append((target, iter(targets(target))))
                break
            if target in is_open:
                lowest[key] = min(lowest[key], order[target])
        else:
            path.pop()
            if path:
                lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[key])
            if lowest[key] == order[key]:
                at = open_ones.index(key)
                group = open_ones[at:]
                del open_ones[at:]
                is_open -= set(group)
                yield group
