"""Rules for the values of parameters, which are checked and stored in one way everywhere.

An estimator declares a rule for each of its parameters and checks them when it is fitted::

    class Learner(BaseEstimator):
        _rules = {"n_components": Integer(low=1), "sparsity": Real(above=0) | Choice("auto")}

        def fit(self, X, y=None):
            check_parameters(self, self._rules)

A function checks its arguments with `checked`, which also converts NumPy's numbers to Python's.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from striate.errors import UsageError

__all__ = [
    "Anything",
    "Boolean",
    "Choice",
    "Instance",
    "Integer",
    "IntegerTuple",
    "Nothing",
    "Real",
    "Rule",
    "Seed",
    "Text",
    "check_parameters",
    "checked",
    "checked_attribute",
    "parameter",
    "plain",
    "plain_parameters",
]

_WIDEST, _LONGEST = 2**63, 60  # integers are below the first; messages repeat this many characters of a wrong value


class Rule(ABC):
    """A set of values: `a | b` accepts the values of either rule, and `a | None` accepts None as well."""

    @abstractmethod
    def _take(self, value: object) -> Any:
        """The value, as a type of Python; raises ValueError if the rule does not accept it."""

    @abstractmethod
    def __str__(self) -> str:
        """The text after "it must be"."""

    def __or__(self, other: Rule | None) -> Rule:
        return _Either(self, Nothing() if other is None else other)


class _Either(Rule):
    def __init__(self, *rules: Rule) -> None:
        self.rules: list[Rule] = []
        for rule in rules:
            self.rules += rule.rules if isinstance(rule, _Either) else [rule]

    def _take(self, value: object) -> Any:
        for rule in self.rules:
            try:
                return rule._take(value)
            except ValueError:
                continue
        raise ValueError

    def __str__(self) -> str:
        *most, last = map(str, self.rules)
        return f"{', '.join(most)} or {last}"


class _Number(Rule):
    """A number between bounds; `low` and `high` belong to the range, `above` and `below` do not."""

    kind: str

    def __init__(
        self,
        *,
        low: float | None = None,
        high: float | None = None,
        above: float | None = None,
        below: float | None = None,
    ) -> None:
        self.low, self.high, self.above, self.below = low, high, above, below

    def _within(self, number: Any) -> Any:
        sound = (
            (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )
        if not sound:
            raise ValueError
        return number

    def __str__(self) -> str:
        bounds = [
            f"{words} {bound:,}" if isinstance(bound, int) else f"{words} {bound:g}"
            for words, bound in (
                ("at least", self.low),
                ("above", self.above),
                ("at most", self.high),
                ("below", self.below),
            )
            if bound is not None
        ]
        if not bounds:
            return self.kind
        joint = " of " if bounds[0].startswith("at") else " "
        return f"{self.kind}{joint}{' and '.join(bounds)}"


class Integer(_Number):
    """An integer of Python or NumPy; Booleans are not accepted."""

    kind = "an integer"

    def _take(self, value: object) -> int:
        value = _scalar(value)
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
            raise ValueError
        number = int(value)
        if not -_WIDEST <= number < _WIDEST:  # too large for arrays and kernels
            raise ValueError
        return int(self._within(number))


class Real(_Number):
    """A finite real number of Python or NumPy, including integers; with `infinite`, +∞ as well."""

    kind = "a number"

    def __init__(self, *, infinite: bool = False, **bounds: float | None) -> None:
        super().__init__(**bounds)
        self.infinite = infinite

    def _take(self, value: object) -> float:
        value = _scalar(value)
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
            raise ValueError
        try:
            number = float(value)
        except OverflowError:
            raise ValueError from None
        if not (math.isfinite(number) or (self.infinite and number == math.inf)):
            raise ValueError
        return float(self._within(number))


class Boolean(Rule):
    """A Boolean of Python or NumPy."""

    def _take(self, value: object) -> bool:
        value = _scalar(value)
        if not isinstance(value, bool | np.bool_):
            raise ValueError
        return bool(value)

    def __str__(self) -> str:
        return "True or False"


class Choice(Rule):
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def _take(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValueError
        return str(value)

    def __str__(self) -> str:
        *most, last = (f'"{word}"' for word in self.words)
        return f"{', '.join(most)} or {last}" if most else last


class Text(Rule):
    """Any string that is not empty."""

    def _take(self, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError
        return str(value)

    def __str__(self) -> str:
        return "a string"


class Nothing(Rule):
    """None."""

    def _take(self, value: object) -> None:
        if value is not None:
            raise ValueError

    def __str__(self) -> str:
        return "None"


class IntegerTuple(Rule):
    """Some integers, each within the bounds: `length` of them, or at least one, or with `empty` any number."""

    def __init__(
        self, length: int | None = None, *, low: int | None = None, high: int | None = None, empty: bool = False
    ) -> None:
        self.length, self.each, self.empty = length, Integer(low=low, high=high), empty

    def _take(self, value: object) -> tuple[int, ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError
        taken = tuple(self.each._take(item) for item in value)
        if (not taken and not self.empty) or (self.length is not None and len(taken) != self.length):
            raise ValueError
        return taken

    def __str__(self) -> str:
        bounds = str(self.each).removeprefix("an integer").removeprefix(" of ")
        count = self.length or ("any number of" if self.empty else "one or more")
        return f"{count} integers{f', each {bounds}' if bounds else ''}"


class Instance(Rule):
    """An object of certain classes; `words` describes it in a message."""

    def __init__(self, *classes: type, words: str) -> None:
        self.classes, self.words = classes, words

    def _take(self, value: object) -> Any:
        if not isinstance(value, self.classes):
            raise ValueError
        return value

    def __str__(self) -> str:
        return self.words


class Anything(Rule):
    """Any value; the estimator checks it when it is used, such as an array whose shape depends on the data."""

    def _take(self, value: object) -> Any:
        return value

    def __str__(self) -> str:
        return "anything"


class Seed(Rule):
    """What may be given as `random_state`: see `striate.randomness`."""

    def _take(self, value: object) -> Any:
        if value is None or isinstance(value, np.random.Generator | np.random.RandomState):
            return value
        value = _scalar(value)
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral) or value < 0:
            raise ValueError
        return int(value)

    def __str__(self) -> str:
        return "an integer of at least 0, a NumPy Generator or RandomState, or None"


def checked(name: str, value: object, rule: Rule) -> Any:
    """The value, if the rule accepts it; NumPy's numbers become Python's.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
    rule : Rule

    Raises
    ------
    UsageError
        If the rule does not accept the value.

    Examples
    --------
    >>> import numpy as np
    >>> checked("top", np.int64(12), Integer(low=1))
    12
    >>> checked("top", 0, Integer(low=1))
    Traceback (most recent call last):
        ...
    striate.errors.UsageError: top is 0; it must be an integer of at least 1
    """
    try:
        return rule._take(value)
    except (ValueError, TypeError):
        raise UsageError(f"{name} is {_short(value)}; it must be {rule}") from None


def check_parameters(estimator: Any, rules: Mapping[str, Rule]) -> None:
    """Check an estimator's parameters, which scikit-learn wants left as they were given.

    Raises
    ------
    UsageError
        For the first parameter that its rule does not accept; the message has the estimator's name.
    """
    for name, rule in rules.items():
        checked_attribute(estimator, name, rule)


def checked_attribute(owner: Any, name: str, rule: Rule) -> Any:
    """An attribute, if the rule accepts it.

    Raises
    ------
    UsageError
        If the rule does not accept it; the message has the name of the owner's class.
    """
    try:
        return checked(name, getattr(owner, name), rule)
    except UsageError as error:
        raise UsageError(f"{type(owner).__name__}: {error}") from None


def parameter(estimator: Any, name: str) -> Any:
    """One of an estimator's parameters, checked by its rule in `_rules`, for computation.

    NumPy's numbers are converted, because their type promotion would give other bits than Python's numbers.

    Raises
    ------
    UsageError
        If the rule does not accept it.
    """
    return checked_attribute(estimator, name, estimator._rules[name])


def plain(name: str, value: object) -> Any:
    """A parameter in a form that JSON supports: NumPy's numbers become Python's, tuples lists, also in dictionaries.

    Raises
    ------
    UsageError
        For any other value, which would be lost otherwise.
    """
    value = _scalar(value)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(name, item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(f"{name}[{key!r}]", item) for key, item in value.items()}
    raise UsageError(f"{name} is {_short(value)}, which a model file cannot hold; it holds numbers, words and lists")


def plain_parameters(estimator: Any, *, apart: Iterable[str] = ()) -> dict[str, Any]:
    """An estimator's parameters in a form that JSON supports, for `to_state`.

    Parameters
    ----------
    estimator : object with `get_params`
    apart : iterable of str
        Parameters that the caller stores in another way.

    Notes
    -----
    A generator given as `random_state` is left out: the numbers that a fit drew from it are part of the fitted state.
    `verbose` is left out as well, because it does not change the model.
    """
    held: dict[str, Any] = {}
    apart = set(apart)
    for name, value in estimator.get_params(deep=False).items():
        if name in apart or name == "verbose":
            continue
        if name == "random_state" and isinstance(value, np.random.Generator | np.random.RandomState):
            continue
        held[name] = plain(name, value)
    return held


def _scalar(value: object) -> object:
    """A 0-dimensional array as the number in it; anything else as it is."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _short(value: object) -> str:
    write: Callable[[object], str] = str if isinstance(value, np.generic) else repr
    text = " ".join(write(value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
