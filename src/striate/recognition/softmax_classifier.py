"""Multinomial logistic regression for many features, and for samples that do not fit into memory.

The file is longer than 400 lines because every parameter and method of the estimator is documented here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from striate.errors import UsageError
from striate.model_file import ModelFileError
from striate.parameters import (
    Boolean,
    Choice,
    Integer,
    Real,
    Rule,
    Seed,
    Text,
    check_parameters,
    checked,
    plain,
    plain_parameters,
)
from striate.progress import Progress
from striate.randomness import RandomState
from striate.recognition.feature_space import DenseBlocks, non_finite, row_blocks, split_signs
from striate.recognition.gaussian_kernel import GaussianMap
from striate.recognition.kernel_choice import Fit, candidate_spaces, fit_rows, uses_squares
from striate.recognition.labels import check_targets, label_array
from striate.recognition.landmarks import LandmarkSpace
from striate.recognition.sample_space import SampleSpace
from striate.recognition.softmax import softmax
from striate.samples import is_sparse
from striate.stored import ListOf, Table, array, field, part, with_parameters

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["DEFAULT_WEIGHT_DECAYS", "SoftmaxClassifier"]

DEFAULT_WEIGHT_DECAYS = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
DEFAULT_WIDTHS = (1.0, 2.0)

_POSITIVE = Real(above=0)
_CANDIDATES = ("weight_decays", "widths")
_RULES: dict[str, Rule] = {
    "weight_decay": _POSITIVE | Choice("auto"),
    "n_folds": Integer(low=2) | Choice("auto"),
    "standardize": Boolean() | Choice("together"),
    "kernel": Choice("linear", "gaussian", "auto"),
    "split": Boolean() | Choice("auto"),
    "loss": Choice("cross-entropy", "squares", "auto"),
    "calibrate": Boolean(),
    "max_iterations": Integer(low=1),
    "tolerance": Real(above=0),
    "random_state": Seed(),
}


class SoftmaxClassifier(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression whose weight decay is chosen by cross-validation, with calibrated probabilities.

    It minimizes, over the weights W of standardized features and the intercept b,

        mean cross-entropy + ½ · weight_decay · ‖W‖²,

    which is scikit-learn's objective with C = 1 / (weight_decay · n_samples); two classes have two rows of
    weights; scikit-learn's single row is their difference, and its C is then twice that.

    Parameters
    ----------
    weight_decay : float or "auto"
        "auto" chooses among `weight_decays` by the cross-entropy of held-out samples after calibration. With fewer than
        five samples per class on average, it is 1e-5, and kernel and split are then "linear" and False if they are
        "auto": see `kernel_choice`.
    weight_decays : sequence of float
        The candidates, for a mean loss; by default powers of ten from 10 to 1e-6. On small images the best is between 1
        and 1e-6; on tens of thousands of features of photographs 1e-5 was still better than 1e-4.
    n_folds : int or "auto"
        "auto" is 5 below 2,000 samples, 3 below 10,000, and above that a single split that holds out one fifth.
    standardize : bool or "together"
        Divide features by their standard deviation over the training samples; "together" divides all features
        by one number, so that their mean variance is 1: for features of one common scale, among which rare ones should
        not be amplified (codes, principal components). In cross-validation the deviations are those of all training
        samples, held-out ones included; labels are not used.
    kernel : "linear", "gaussian" or "auto"
        "gaussian": weights of exp(−‖x − y‖² / (2 width²)) with each training sample y, whose norm is that of the
        kernel's function space; for more than 10,000 samples, with 8,000 of them (see `striate.recognition.landmarks`),
        by least squares. "auto" chooses by cross-validation between "linear" and the Gaussian kernels of all `widths`;
        for more than 10,000 samples by 2,000 of them, and only if `loss` is "auto" too. A Gaussian kernel has to be
        better by more than a standard error.
    widths : sequence of float
        Widths of Gaussian kernels, relative to the median distance of standardized training samples. On features of
        digits and of photographs of 32×32 pixels, widths below 1 were worse, and a width of 2 nearly linear.
    split : bool or "auto"
        Give each feature two weights, one for values above its mean over the training samples and one for values below:
        logits are then piecewise linear in a feature. On pooled features of digits the accuracy was 0.2 points higher
        with 100, 1,000 and 4,000 labels (validation), with twice the weights, and no more time if there are more
        features than samples. With up to 35 labels per class of photographs it was up to 3 points lower. "auto" chooses
        by cross-validation. A Gaussian kernel does not split.
    loss : "cross-entropy", "squares" or "auto"
        "squares": logits are the scores of least squares with targets of 1 for a sample's class and 0 for the others,
        on the kernel of at most 10,000 samples, and λ is `weight_decay` times their mean squared norm. It is more
        accurate with few labels, has no iterations, and chooses kernel, λ (among 0.1, 0.01 and 0.001; with fewer than
        five samples per class 0.01) and temperature by the scores of each sample without it. "auto" is "squares" up to
        10,000 samples, and beyond them for a Gaussian kernel.
    calibrate : bool
        Fit a temperature on held-out samples; `predict_proba` divides the logits by it. Predicted classes do not
        change.
    max_iterations : int
        Iterations of L-BFGS for each weight decay.
    tolerance : float
        Approximate relative error of the objective at which the solver stops.
    random_state : int, Generator, RandomState or None
        Seed of the folds.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    kernel_ : "linear" or "gaussian"
    map_ : GaussianMap or None
        The Gaussian kernel with the training samples. They take at most 40 MB: in half precision if they are larger,
        and projected to principal axes if they are much larger.
    coef_ : float32 or float64 (n_classes, n_features), (n_classes, 2 n_features) or (n_classes, n_samples)
        Weights of raw features, not of standardized ones. With `split`, weights for values above `knots_`, then for
        values below. Of a Gaussian kernel, weights of the training samples.
    intercept_ : float32 or float64 (n_classes,)
    knots_ : float32 or float64 (n_features,), or None without `split`
        Means of the features.
    weight_decay_ : float
    temperature_ : float
        Above 1 if the uncalibrated classifier is overconfident; 1 if nothing could be held out.
    cross_validation_ : list of dict
        ``weight_decay``, ``accuracy``, ``log_loss`` (at the best temperature) and ``temperature`` on held-out samples;
        where there was a choice, also ``kernel``, ``split`` and ``width``.
    n_iter_ : int
        Iterations of the final fit.
    n_features_in_ : int

    Notes
    -----
    With more features than samples, features are read once, to compute the inner products of the samples
    (`SampleSpace`); otherwise they are read in blocks of rows, so that a memory map is never in memory as a whole
    (`FeatureSpace`). Both give the optimum of the same objective.

    The sample of a class with only one is in every training set and is never held out.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun, What is the best multi-stage architecture for object recognition?, ICCV 2009:
    this classifier on hierarchies of features. Guo et al., ICML 2017: temperature.

    Examples
    --------
    >>> import numpy as np
    >>> from striate.recognition import SoftmaxClassifier
    >>> features = np.random.default_rng(0).normal(size=(40, 300))
    >>> labels = np.where(features[:, :20].sum(axis=1) > 0, "up", "down")
    >>> classifier = SoftmaxClassifier(random_state=0).fit(features, labels)
    >>> classifier.predict_proba(features[:3]).shape
    (3, 2)
    """

    def __init__(
        self,
        *,
        weight_decay: float | Literal["auto"] = "auto",
        weight_decays: Sequence[float] = DEFAULT_WEIGHT_DECAYS,
        n_folds: int | Literal["auto"] = "auto",
        standardize: bool | Literal["together"] = True,
        kernel: Literal["linear", "gaussian", "auto"] = "linear",
        widths: Sequence[float] = DEFAULT_WIDTHS,
        split: bool | Literal["auto"] = False,
        loss: Literal["cross-entropy", "squares", "auto"] = "cross-entropy",
        calibrate: bool = True,
        max_iterations: int = 500,
        tolerance: float = 1e-4,
        random_state: RandomState = None,
    ) -> None:
        self.weight_decay = weight_decay
        self.weight_decays = weight_decays
        self.n_folds = n_folds
        self.standardize = standardize
        self.kernel = kernel
        self.widths = widths
        self.split = split
        self.loss = loss
        self.calibrate = calibrate
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, X: NDArray, y: NDArray, *, groups: NDArray | None = None, progress: Progress | None = None) -> Self:
        """Choose the weight decay and find the optimum.

        Parameters
        ----------
        X : float16, float32 or float64 (n_samples, n_features)
            An array, a memory map or a SciPy sparse matrix, which is made dense in blocks. float16 is computed with as
            float32.
        y : (n_samples,)
            Classes: strings, integers or booleans; `classes_` and `predict` keep their type.
        groups : (n_samples,), optional
            Samples of one group, such as an image and its mirror image, are held out together in cross-validation, and
            count as one label.
        progress : Progress, optional

        Raises
        ------
        UsageError
            For fewer than two classes, labels that are missing or not one for each sample, groups with more than one
            class, NaN or infinity, or a parameter out of range.
        """
        self._check_options()
        X = self._features(X, reset=True)
        y = label_array(y, n_samples=X.shape[0])
        check_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(
                f"all {len(y)} samples are of one class, {str(self.classes_[0])!r}; "
                "a classifier needs samples of at least two: shuffle data that are sorted by class"
            )
        members = None if groups is None else _groups(groups, codes)
        if members is not None and uses_squares(self, len(y)):
            raise UsageError('groups are for loss="cross-entropy": least squares leaves out samples one by one')
        with (progress or Progress()).phase("standardized training samples", total=1, unit="sets") as phase:
            spaces = candidate_spaces(X, self, len(self.classes_))
            phase.advance()
        found = fit_rows(spaces, np.arange(len(y)), codes, len(self.classes_), self, groups=members, progress=progress)
        self._keep(found, X)
        self.weight_decay_ = found.weight_decay
        self.temperature_ = found.temperature
        self.cross_validation_ = found.results
        self.n_iter_ = found.n_iterations
        return self

    def _keep(self, found: Fit, X: Any) -> None:
        """Set what predicts: coefficients of raw features, or of a kernel."""
        space, coefficients = found.space, found.coefficients
        standardization = space.standardization
        self.kernel_: Literal["linear", "gaussian"] = "linear" if found.gaussian is None else "gaussian"
        self.map_: GaussianMap | None = None
        self.knots_: NDArray | None = None
        if found.gaussian is not None:
            self.map_ = found.of_landmarks
            if isinstance(space, SampleSpace):
                self.map_ = GaussianMap.of_samples(found.gaussian, X, standardization, space.axes)
            self.coef_ = np.ascontiguousarray(coefficients[:-1].T)
            self.intercept_ = coefficients[-1]
            return
        if isinstance(space, SampleSpace):
            coefficients = space.to_features(coefficients)
        assert not isinstance(space, LandmarkSpace)
        of_standardized = coefficients.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # refused just below
            parts = of_standardized[:-1].reshape(-1, X.shape[1], len(self.classes_)) / standardization.scale[:, None]
            intercept = of_standardized[-1]
            if standardization.split:
                self.knots_ = standardization.mean.astype(space.dtype)
            else:
                intercept = intercept - standardization.mean @ parts[0]
            self.coef_ = np.ascontiguousarray(parts.reshape(-1, len(self.classes_)).T, space.dtype)
            self.intercept_ = intercept.astype(space.dtype)
        if not (np.isfinite(self.coef_).all() and np.isfinite(self.intercept_).all()):
            raise UsageError(f"features X are so small that their weights are infinity in {space.dtype}; scale them up")

    def logits(self, X: NDArray) -> NDArray:
        """Logits of all classes before calibration, also if there are only two classes.

        Parameters
        ----------
        X : float16, float32 or float64 (n_samples, n_features)

        Returns
        -------
        logits : (n_samples, n_classes), float64 for float64 features, else float32
        """
        check_is_fitted(self)
        X = self._features(X, reset=False)
        dtype = np.float64 if X.dtype == np.float64 else np.float32
        weights, intercept = self.coef_.T.astype(dtype, copy=False), self.intercept_.astype(dtype, copy=False)
        if self.map_ is not None:
            return self.map_.product(X, weights) + intercept
        result = np.empty((X.shape[0], len(self.classes_)), dtype)
        for rows in row_blocks(*X.shape):
            block = np.asarray(X[rows]).astype(dtype, copy=False)
            with np.errstate(invalid="ignore", over="ignore"):  # refused just below
                columns = block if self.knots_ is None else split_signs(block - self.knots_.astype(dtype, copy=False))
                np.matmul(columns, weights, out=result[rows])
            if not np.isfinite(result[rows]).all():
                raise non_finite(rows.start, block)
        return result + intercept

    def decision_function(self, X: NDArray) -> NDArray:
        """Logits, (n_samples, n_classes); for two classes, as in scikit-learn, their difference, (n_samples,)."""
        logits = self.logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X: NDArray) -> NDArray:
        """The most probable class of each sample, (n_samples,)."""
        logits = self.logits(X)  # first, since it raises an error before fit
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X: NDArray) -> NDArray:
        """Calibrated probabilities, (n_samples, n_classes), in the order of `classes_`."""
        logits = self.logits(X)
        return softmax(logits / logits.dtype.type(self.temperature_))

    def to_state(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and a JSON header, from which `from_state` makes an equal classifier."""
        check_is_fitted(self)
        header = {
            "classes": self.classes_.tolist(),
            "class_dtype": self.classes_.dtype.str,
            "parameters": {
                **plain_parameters(self, apart=set(_CANDIDATES)),
                **{name: plain(name, list(getattr(self, name))) for name in _CANDIDATES},
            },
            "weight_decay": self.weight_decay_,
            "temperature": self.temperature_,
            "cross_validation": self.cross_validation_,
            "n_iterations": self.n_iter_,
        }
        arrays = {"coefficients": self.coef_, "intercept": self.intercept_}
        if self.knots_ is not None:
            arrays["knots"] = self.knots_
        if self.map_ is not None:
            of_map, header["gaussian"] = self.map_.to_state()
            arrays |= {f"gaussian.{name}": part for name, part in of_map.items()}
        return arrays, header

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray], header: Mapping[str, Any]) -> Self:
        """The inverse of `to_state`, with the same parameters.

        Files of earlier versions hold no parameters; `weight_decay` is then set to the fitted one.
        """
        is_split = "knots" in arrays
        weight_decay = field(header, "weight_decay", Real(above=0))
        earlier = {"weight_decay": weight_decay, "split": is_split}
        given = field(header, "parameters", Table(), default=earlier)
        for name in _CANDIDATES:
            if name in given:
                with part("parameters"):
                    given[name] = tuple(field(given, name, ListOf(_POSITIVE)))
        classifier: Self = with_parameters(cls, {"parameters": given})
        with part("parameters"):
            classifier._check_options()
        classifier.weight_decay_ = weight_decay
        classifier.classes_ = _stored_classes(header)
        n_classes = len(classifier.classes_)
        classifier.knots_ = array(arrays, "knots", (None,)) if is_split else None
        classifier.map_, classifier.kernel_ = None, "linear"
        n_columns = None if classifier.knots_ is None else 2 * len(classifier.knots_)
        if "gaussian" in header:
            of_map = {name.removeprefix("gaussian."): array for name, array in arrays.items()}
            with part("gaussian"):
                classifier.map_ = GaussianMap.from_state(of_map, header["gaussian"])
            classifier.kernel_, n_columns = "gaussian", classifier.map_.n_samples
        classifier.coef_ = array(arrays, "coefficients", (n_classes, n_columns))
        classifier.intercept_ = array(arrays, "intercept", (n_classes,))
        classifier.temperature_ = field(header, "temperature", Real(low=1e-6, high=1e6))
        classifier.cross_validation_ = field(header, "cross_validation", ListOf(Table()))
        classifier.n_iter_ = field(header, "n_iterations", Integer(low=0))
        n_weights = classifier.coef_.shape[1] // (2 if is_split else 1)
        classifier.n_features_in_ = n_weights if classifier.map_ is None else classifier.map_.n_features
        return classifier

    def _check_options(self) -> None:
        check_parameters(self, _RULES)
        for name in _CANDIDATES:
            candidates: Any = getattr(self, name)
            if isinstance(candidates, str) or not isinstance(candidates, Iterable) or not (given := list(candidates)):
                raise UsageError(f"SoftmaxClassifier: {name} is {candidates!r}; it must be numbers, at least one")
            for candidate in given:
                checked(f"one of {name}", candidate, _POSITIVE)

    def _features(self, X: Any, *, reset: bool) -> Any:
        """Features in their dtype, float16 included; sparse ones as `DenseBlocks`."""
        try:
            X = validate_data(
                self,
                X,
                reset=reset,
                accept_sparse="csr",
                dtype=[np.float64, np.float32, np.float16],
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
            )
        except ValueError as error:
            raise UsageError(" ".join(str(error).split())) from error
        return DenseBlocks(X) if is_sparse(X) else X

    def __sklearn_tags__(self) -> Tags:
        """Tags for scikit-learn."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _groups(groups: NDArray, codes: NDArray[np.integer]) -> NDArray[np.integer]:
    """Groups as integers."""
    if np.shape(groups) != codes.shape:
        raise UsageError(f"groups of shape {np.shape(groups)} do not fit {len(codes)} samples: give one for each")
    _, firsts, group_of = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    if (codes[firsts][group_of] != codes).any():
        raise UsageError("the samples of a group are of more than one class: give a group to samples of one class")
    return group_of


_MOST_LETTERS = 4096  # of the name of a class


def _stored_classes(header: Mapping[str, Any]) -> NDArray[Any]:
    """The classes that a header lists, in their original type."""
    names = field(header, "classes", ListOf(Text() | Real() | Boolean()))
    word = field(header, "class_dtype", Text())
    if not re.fullmatch(r"[<>|]([biuf][1-8]|U[1-9][0-9]*|O)", word):
        raise ModelFileError(f"class_dtype is {word[:60]!r}; it must be a type of numbers or text, such as '<U5'")
    dtype = np.dtype(word)
    if dtype.kind == "U" and dtype.itemsize > 4 * _MOST_LETTERS:
        raise ModelFileError(f"class_dtype is {word[:60]!r}; names of classes have at most {_MOST_LETTERS:,} letters")
    try:
        classes = np.array(names, dtype=dtype)
    except (ValueError, TypeError, OverflowError):
        classes = np.zeros(0)
    if len(classes) < 2 or len(set(names)) < len(names) or classes.tolist() != names:
        raise ModelFileError(f"classes must be two or more different ones of the type {word}")
    return classes
