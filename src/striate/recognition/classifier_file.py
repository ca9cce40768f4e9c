"""The content of a classifier's model file, and how it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from numpy.typing import NDArray

from striate import __version__, model_file, stored
from striate.hierarchy import Hierarchy
from striate.images import Preprocessing
from striate.parameters import Text, plain
from striate.recognition.rejection import ConformalRejection
from striate.recognition.softmax_classifier import SoftmaxClassifier

__all__ = ["ClassifierState"]

_KIND_OF: dict[Any, str] = {
    Hierarchy: "hierarchy",
    SoftmaxClassifier: "logistic_regression",
    ConformalRejection: "conformal_rejection",
}


@dataclass(frozen=True)
class ClassifierState:
    """A fitted `ImageClassifier` in parts.

    Attributes
    ----------
    preprocessing : Preprocessing
    hierarchy : Hierarchy
    classifier : SoftmaxClassifier
    rejection : ConformalRejection or None
    reasons : list of str
        Why the preprocessing and the architecture were chosen.
    facts : dict
        How the classifier was trained; anything that JSON can store.
    parameters : dict
        Parameters of the constructor as JSON, without the preprocessing, which is in `given`.
    given : Preprocessing or "auto"
    """

    preprocessing: Preprocessing
    hierarchy: Hierarchy
    classifier: SoftmaxClassifier
    rejection: ConformalRejection | None
    reasons: list[str]
    facts: dict[str, Any]
    parameters: dict[str, Any]
    given: Preprocessing | Literal["auto"]

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON."""
        parts: dict[str, Any] = {"hierarchy": self.hierarchy, "classifier": self.classifier}
        if self.rejection is not None:
            parts["rejection"] = self.rejection
        given = self.given.to_state() if isinstance(self.given, Preprocessing) else self.given
        arrays: dict[str, NDArray[Any]] = {}
        header: dict[str, Any] = {
            "striate": __version__,
            "preprocessing": self.preprocessing.to_state(),
            "reasons": self.reasons,
            "facts": plain("facts", self.facts),
            "parameters": {**self.parameters, "preprocessing": given},
            "parts": {},
        }
        for name, part in parts.items():
            part_arrays, part_header = part.to_state()
            arrays |= model_file.prefixed(name, part_arrays)
            header["parts"][name] = {"kind": _KIND_OF[type(part)], **part_header}
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`; raises ModelFileError if the parts do not fit together."""
        parameters = stored.field(header, "parameters", stored.Table())
        given = stored.field(parameters, "preprocessing")
        if given != "auto":
            with stored.part("parameters.preprocessing"):
                given = Preprocessing.from_state(given)
        with stored.part("preprocessing"):
            preprocessing = Preprocessing.from_state(stored.field(header, "preprocessing"))
        parts = stored.field(header, "parts", stored.Table())
        hierarchy = _part("hierarchy", Hierarchy, arrays, parts)
        classifier = _part("classifier", SoftmaxClassifier, arrays, parts)
        rejection = _part("rejection", ConformalRejection, arrays, parts) if "rejection" in parts else None
        with stored.part("parts.hierarchy"):
            n_features = math.prod(hierarchy.output_shape(preprocessing.shape))
            if not hierarchy.is_learned:
                raise model_file.ModelFileError("some of its filters or dictionaries are missing")
        if n_features != classifier.n_features_in_:
            raise model_file.ModelFileError(
                f"the hierarchy makes {n_features:,} features of an image, and the classifier takes "
                f"{classifier.n_features_in_:,}"
            )
        reasons = stored.field(header, "reasons", stored.ListOf(Text()))
        facts = stored.field(header, "facts", stored.Table())
        return cls(preprocessing, hierarchy, classifier, rejection, reasons, facts, parameters, given)


def _part(name: str, kind: type[Any], arrays: Mapping[str, NDArray[Any]], parts: Mapping[str, Any]) -> Any:
    """Restore one part of a model file, which must be of the given kind."""
    with stored.part("parts"):
        header = stored.field(parts, name, stored.Table())
    with stored.part(f"parts.{name}"):
        found = stored.field(header, "kind", Text())
        if found != _KIND_OF[kind]:
            raise model_file.ModelFileError(
                f"kind is {found[:40]!r}, which this version of striate ({__version__}) does not know: update striate"
            )
        return kind.from_state(model_file.arrays_of(name, arrays), header)
