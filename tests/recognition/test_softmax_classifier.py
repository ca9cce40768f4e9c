from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.special import softmax as softmax_of_scipy
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as OfScikitLearn
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from striate import model_file
from striate.coding import SparseCoder
from striate.errors import UsageError
from striate.progress import Progress
from striate.recognition import SoftmaxClassifier, feature_space, kernel_choice
from striate.recognition import weight_decay as of_weight_decay
from striate.recognition.metrics import expected_calibration_error
from striate.recognition.softmax import cross_entropy
from tests.random_state import RandomState

EXACT: dict[str, Any] = {"calibrate": False, "tolerance": 1e-11, "max_iterations": 3000}


@parametrize_with_checks(
    [
        SoftmaxClassifier(random_state=0),
        SoftmaxClassifier(split=True, calibrate=False, weight_decay=0.1),
        SoftmaxClassifier(standardize="together", n_folds=2, random_state=RandomState(0)),
        SoftmaxClassifier(standardize=False, weight_decays=[1, 1e-3], max_iterations=200),
    ]
)
def test_scikit_learn_contract(estimator: SoftmaxClassifier, check: Any) -> None:
    check(estimator)


def problem(
    rng: np.random.Generator, n_samples: int = 150, n_features: int = 20, n_classes: int = 4, noise: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    """Features of different scales and means, five of them informative; classes are strings."""
    features = rng.standard_normal((n_samples, n_features))
    scores = 2 * features[:, :5] @ rng.standard_normal((5, n_classes))
    labels = (scores + noise * rng.standard_normal((n_samples, n_classes))).argmax(axis=1)
    labels[:n_classes] = np.arange(n_classes)
    scales = rng.uniform(0.3, 3, n_features)
    return scales * features + 2 * scales, np.array(["ash", "beech", "cedar", "date palm"])[labels]


@pytest.mark.parametrize("shape", [(150, 20), (40, 100)])  # FeatureSpace, SampleSpace
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_equals_scikit_learn_and_the_gradient_vanishes(
    rng: np.random.Generator, shape: tuple[int, int], standardize: bool, n_classes: int
) -> None:
    features, labels = problem(rng, *shape, n_classes=n_classes)
    decay = 0.02
    ours = SoftmaxClassifier(weight_decay=decay, standardize=standardize, **EXACT).fit(features, labels)
    scaler = StandardScaler(with_std=standardize).fit(features)
    samples = scaler.transform(features)
    # Two rows of weights where scikit-learn has one, their difference, are penalized half as much.
    c = (2 if n_classes == 2 else 1) / (decay * len(labels))
    peer = OfScikitLearn(C=c, tol=1e-9, solver="newton-cg", max_iter=1000).fit(samples, labels)
    np.testing.assert_allclose(ours.predict_proba(features), peer.predict_proba(samples), atol=1e-5)
    np.testing.assert_array_equal(ours.classes_, peer.classes_)
    weights = ours.coef_ * (1 if scaler.scale_ is None else scaler.scale_)  # of standardized features
    of_peer = np.vstack([-peer.coef_, peer.coef_]) / 2 if n_classes == 2 else peer.coef_
    np.testing.assert_allclose(weights, of_peer, atol=1e-4)

    residuals = (softmax_of_scipy(ours.logits(features), axis=1) - (labels[:, None] == ours.classes_)) / len(labels)
    np.testing.assert_allclose(residuals.T @ samples + decay * weights, 0, atol=1e-6)
    np.testing.assert_allclose(residuals.sum(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("shape", [(150, 20), (40, 100)])  # FeatureSpace, SampleSpace
def test_together_is_one_scale_for_all_features(rng: np.random.Generator, shape: tuple[int, int], split: bool) -> None:
    features, labels = problem(rng, *shape)
    features[:, 3] = 7.0  # what does not vary does not count
    scale = np.sqrt(np.delete(features, 3, axis=1).var(axis=0).mean())
    options = {"weight_decay": 0.02, "split": split, **EXACT}
    ours = SoftmaxClassifier(standardize="together", **options).fit(features, labels)
    same = SoftmaxClassifier(standardize=False, **options).fit(features / scale, labels)
    np.testing.assert_allclose(ours.logits(features), same.logits(features / scale), atol=1e-4)
    np.testing.assert_allclose(ours.coef_ * scale, same.coef_, atol=1e-4)
    with pytest.raises(UsageError, match="standardize"):
        SoftmaxClassifier(standardize="each").fit(features, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("space", ["SampleSpace", "FeatureSpace", "streamed"])
def test_split_features_get_a_weight_above_and_one_below_their_mean(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, space: str
) -> None:
    if space == "streamed":
        monkeypatch.setattr(feature_space, "_RESIDENT_BYTES", 0)
    features, labels = problem(rng, *((40, 100) if space == "SampleSpace" else (150, 20)))
    z = StandardScaler().fit_transform(features)
    by_hand = np.hstack([np.maximum(z, 0), np.maximum(-z, 0)])
    split = SoftmaxClassifier(weight_decay=0.02, split=True, **EXACT).fit(features, labels)
    same = SoftmaxClassifier(weight_decay=0.02, standardize=False, **EXACT).fit(by_hand, labels)
    np.testing.assert_allclose(split.logits(features), same.logits(by_hand), atol=1e-4)
    assert split.knots_ is not None
    np.testing.assert_allclose(split.knots_, features.mean(axis=0), rtol=1e-10)
    scale = features.std(axis=0)
    np.testing.assert_allclose(split.coef_ * np.concatenate([scale, scale]), same.coef_, atol=1e-4)
    arrays, header = split.to_state()
    again = SoftmaxClassifier.from_state(arrays, header)
    np.testing.assert_array_equal(again.logits(features[:7]), split.logits(features[:7]))
    assert again.n_features_in_ == features.shape[1]


def test_the_decision_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    features, labels = problem(rng, n_classes=2)
    pair = SoftmaxClassifier(random_state=0).fit(features, labels)
    assert pair.decision_function(features).shape == (150,)
    np.testing.assert_array_equal(pair.decision_function(features) > 0, pair.predict(features) == pair.classes_[1])
    probabilities = softmax_of_scipy(pair.logits(features) / pair.temperature_, axis=1)
    np.testing.assert_allclose(pair.predict_proba(features), probabilities, atol=1e-12)


@pytest.mark.parametrize("shape", [(150, 20), (40, 100)])
def test_precision_follows_the_features_and_nothing_else_does(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    features, labels = problem(rng, *shape)
    features = features.astype(np.float16)  # the same numbers in every precision
    fitted = [SoftmaxClassifier(random_state=0).fit(features.astype(d), labels) for d in (np.float64, np.float32)]
    fitted.append(SoftmaxClassifier(random_state=0).fit(features, labels))
    for classifier, dtype in zip(fitted, (np.float64, np.float32, np.float32), strict=True):
        assert classifier.coef_.dtype == classifier.intercept_.dtype == dtype
        assert classifier.predict_proba(features.astype(dtype)).dtype == dtype
        assert classifier.weight_decay_ == fitted[0].weight_decay_
        np.testing.assert_allclose(classifier.predict_proba(features), fitted[0].predict_proba(features), atol=2e-3)
    np.testing.assert_array_equal(fitted[1].coef_, fitted[2].coef_)


@pytest.mark.parametrize("gram", [True, False])
def test_a_memory_map_that_streams_gives_what_memory_does(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gram: bool
) -> None:
    features, labels = problem(rng)
    np.save(tmp_path / "features.npy", features.astype(np.float16))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    resident = SoftmaxClassifier(random_state=0, tolerance=1e-8).fit(np.array(mapped), labels)
    monkeypatch.setattr(feature_space, "_RESIDENT_BYTES", 0)
    monkeypatch.setattr(feature_space, "_BLOCK_BYTES", 4 * 20 * 11)
    if not gram:
        monkeypatch.setattr(feature_space, "_LARGEST_GRAM", 19)
    streamed = SoftmaxClassifier(random_state=0, tolerance=1e-8).fit(mapped, labels)
    assert streamed.weight_decay_ == resident.weight_decay_
    assert streamed.temperature_ == pytest.approx(resident.temperature_, rel=0.03)
    np.testing.assert_allclose(streamed.coef_, resident.coef_, atol=2e-3)
    np.testing.assert_allclose(streamed.logits(mapped), resident.logits(mapped), atol=1e-2)
    np.testing.assert_allclose(streamed.logits(mapped[:1]), streamed.logits(mapped)[:1], atol=1e-5)


def test_many_samples_of_more_features_are_not_held_as_inner_products(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = problem(rng, 40, 100)
    by_samples = SoftmaxClassifier(weight_decay=1e-2, **EXACT).fit(features, labels)
    monkeypatch.setattr(kernel_choice, "LARGEST_KERNEL", 39)
    by_features = SoftmaxClassifier(weight_decay=1e-2, **EXACT).fit(features, labels)
    np.testing.assert_allclose(by_samples.coef_, by_features.coef_, atol=1e-5)
    np.testing.assert_allclose(np.ptp(by_samples.intercept_ - by_features.intercept_), 0, atol=1e-5)


@pytest.mark.parametrize("shape", [(150, 20), (40, 100)])
def test_duplicates_and_constant_features_change_nothing(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    features, labels = problem(rng, *shape)
    plain = SoftmaxClassifier(weight_decay=1e-2, **EXACT).fit(features, labels)
    padded = np.hstack([features, np.full((len(features), 2), [0.1, -1e4])])
    twice = SoftmaxClassifier(weight_decay=1e-2, **EXACT).fit(np.tile(padded, (2, 1)), np.tile(labels, 2))
    np.testing.assert_allclose(twice.predict_proba(padded), plain.predict_proba(features), atol=1e-5)
    np.testing.assert_allclose(twice.coef_[:, -2:], 0, atol=1e-9)


def test_calibration_is_honest_on_samples_not_seen(rng: np.random.Generator) -> None:
    features, labels = problem(rng, 2300, 60, noise=4.0)
    train, test = np.split(np.arange(2300), [300])
    classifier = SoftmaxClassifier(weight_decay=1e-2, tolerance=1e-9, random_state=0).fit(
        features[train], labels[train]
    )
    raw = SoftmaxClassifier(weight_decay=1e-2, **EXACT).fit(features[train], labels[train])
    assert classifier.temperature_ > 1.5
    assert raw.temperature_ == 1
    codes = np.searchsorted(classifier.classes_, labels[test])
    errors = [expected_calibration_error(c.predict_proba(features[test]), codes) for c in (classifier, raw)]
    assert errors[0] < 0.1
    assert errors[1] > 0.15
    losses = [cross_entropy(np.log(c.predict_proba(features[test])), codes).mean() for c in (classifier, raw)]
    assert losses[0] < losses[1]
    np.testing.assert_array_equal(classifier.predict(features), raw.predict(features))


@pytest.mark.parametrize(
    ("three_below", "n_folds", "n_fits"), [(10_000, "auto", 3), (100, "auto", 1), (100, 4, 4)], ids=str
)
def test_the_number_of_folds_follows_the_number_of_samples(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, three_below: int, n_folds: Any, n_fits: int
) -> None:
    monkeypatch.setattr(of_weight_decay, "_FIVE_FOLDS_BELOW", 100)
    for module in (of_weight_decay, kernel_choice):
        monkeypatch.setattr(module, "THREE_FOLDS_BELOW", three_below)
    progress = Progress()
    classifier = SoftmaxClassifier(n_folds=n_folds, random_state=0).fit(*problem(rng), progress=progress)
    assert [(record.name, record.items) for record in progress.records] == [
        ("standardized training samples", 1),
        ("weight decay by cross-validation", n_fits),
        ("classifier", 1),
    ]
    assert classifier.weight_decay_ in [result["weight_decay"] for result in classifier.cross_validation_]


def test_a_class_of_one_sample_is_trained_and_never_held_out(rng: np.random.Generator) -> None:
    features, labels = problem(rng, n_classes=3)
    features[17], labels[17] = 12.0, "only"
    classifier = SoftmaxClassifier(random_state=0).fit(features, labels)
    assert classifier.predict(features[17:18]) == ["only"]
    # Nothing can be held out: the prior, and no temperature.
    alone = SoftmaxClassifier().fit(features[:5], np.array(list("abcde")))
    assert (alone.weight_decay_, alone.temperature_, alone.cross_validation_) == (1e-5, 1.0, [])
    np.testing.assert_array_equal(alone.predict(features[:5]), list("abcde"))


@pytest.mark.parametrize("dtype", [str, object, int, bool])
def test_state_survives_a_file(rng: np.random.Generator, tmp_path: Path, dtype: type) -> None:
    features, labels = problem(rng, n_classes=2)
    labels = labels.astype(object) if dtype is object else (labels == "ash").astype(dtype)
    classifier = SoftmaxClassifier(random_state=0).fit(features.astype(np.float32), labels)
    arrays, header = classifier.to_state()
    assert json.loads(json.dumps(header)) == header
    model_file.write(tmp_path / "classifier.safetensors", arrays, header, kind="classifier")
    loaded = SoftmaxClassifier.from_state(*model_file.read(tmp_path / "classifier.safetensors", kind="classifier"))
    np.testing.assert_array_equal(loaded.predict_proba(features), classifier.predict_proba(features))
    np.testing.assert_array_equal(loaded.predict(features), classifier.predict(features))
    assert loaded.classes_.dtype == classifier.classes_.dtype
    assert loaded.to_state()[1] == header
    assert loaded.fit(features, labels).weight_decay_ == classifier.weight_decay_


def test_the_same_seed_gives_the_same_bits(rng: np.random.Generator) -> None:
    features, labels = problem(rng)

    def fitted(seed: Any) -> dict[str, Any]:
        arrays, header = SoftmaxClassifier(random_state=seed).fit(features, labels).to_state()
        return {name: array.tobytes() for name, array in arrays.items()} | header

    for make in (int, np.random.default_rng, np.random.RandomState):
        assert fitted(make(5)) == fitted(make(5))
    assert fitted(5)["cross_validation"] != fitted(6)["cross_validation"]


def test_sits_in_a_pipeline_under_grid_search(rng: np.random.Generator) -> None:
    features, labels = problem(rng, noise=0.5)
    pipeline = make_pipeline(StandardScaler(), SoftmaxClassifier(calibrate=False))
    search = GridSearchCV(pipeline, {"softmaxclassifier__weight_decay": np.array([1e2, 1e-2], np.float32)}, cv=3)
    search.fit(features, labels)
    assert search.best_params_["softmaxclassifier__weight_decay"] == np.float32(1e-2)
    assert search.best_score_ > 0.6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(150, 20), (40, 100)])
def test_what_is_not_finite_is_refused_when_fitting_and_predicting(
    rng: np.random.Generator, value: float, shape: tuple[int, int]
) -> None:
    features, labels = problem(rng, *shape)
    classifier = SoftmaxClassifier(weight_decay=1.0, calibrate=False).fit(features, labels)
    features[31, 4] = value
    for use in (lambda: classifier.predict(features), lambda: classifier.fit(features, labels)):
        with pytest.raises(UsageError, match=r"^features X contain (NaN|infinity) \(sample 31, feature 4\); remove"):
            use()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"weight_decay": 0.0}, 'SoftmaxClassifier: weight_decay is 0.0; it must be a number above 0 or "auto"'),
        ({"weight_decay": "best"}, "SoftmaxClassifier: weight_decay is 'best'; it must be a number above 0"),
        ({"weight_decays": (1.0, -1.0)}, "one of weight_decays is -1.0; it must be a number above 0"),
        ({"weight_decays": ()}, r"SoftmaxClassifier: weight_decays is \(\); it must be numbers"),
        ({"n_folds": 1}, 'SoftmaxClassifier: n_folds is 1; it must be an integer of at least 2 or "auto"'),
        ({"n_folds": 2.5}, 'SoftmaxClassifier: n_folds is 2.5; it must be an integer of at least 2 or "auto"'),
    ],
)
def test_impossible_options_are_refused_by_name(rng: np.random.Generator, option: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        SoftmaxClassifier(**option).fit(*problem(rng))


def test_one_class_is_refused_and_too_few_iterations_are_reported(rng: np.random.Generator) -> None:
    features, labels = problem(rng)
    with pytest.raises(UsageError, match=r"^all 150 samples are of one class, 'oak'; a classifier .* two: shuffle"):
        SoftmaxClassifier().fit(features, np.full(150, "oak"))
    with pytest.warns(ConvergenceWarning, match=r"stopped after 2 iterations.*increase max_iterations or weight_decay"):
        SoftmaxClassifier(weight_decay=1e-6, calibrate=False, max_iterations=2).fit(features, labels)


def test_one_label_of_each_class_is_no_reason_to_warn(rng: np.random.Generator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = SoftmaxClassifier(weight_decay=1e-3, calibrate=False).fit(rng.standard_normal((30, 8)), np.arange(30))
    assert len(model.classes_) == 30


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array, sparse.csc_array, sparse.coo_array])
@pytest.mark.parametrize("shape", [(150, 20), (40, 100)])  # FeatureSpace, SampleSpace
@pytest.mark.parametrize("options", [{}, {"split": True}, {"standardize": "together"}, {"weight_decay": 0.1}])
def test_sparse_features_are_dense_ones(
    rng: np.random.Generator, make: Any, shape: tuple[int, int], options: dict[str, Any]
) -> None:
    features, labels = problem(rng, *shape)
    features = np.where(features > 1, features, 0).astype(np.float32)
    dense = SoftmaxClassifier(random_state=0, **options).fit(features, labels)
    thin = SoftmaxClassifier(random_state=0, **options).fit(make(features), labels)
    np.testing.assert_array_equal(thin.coef_, dense.coef_)
    np.testing.assert_array_equal(thin.intercept_, dense.intercept_)
    np.testing.assert_array_equal(thin.predict_proba(make(features)), dense.predict_proba(features))
    np.testing.assert_array_equal(dense.predict(make(features)), dense.predict(features))


def test_codes_that_are_sparse_are_classified(rng: np.random.Generator) -> None:
    features, labels = problem(rng)
    coder = SparseCoder(rng.standard_normal((12, 20)), sparsity=2.0, sparse_output=True).fit(features)
    thin = make_pipeline(coder, SoftmaxClassifier(random_state=0)).fit(features, labels)
    dense = SoftmaxClassifier(random_state=0).fit(coder.transform(features).toarray(), labels)
    np.testing.assert_array_equal(
        thin.predict_proba(features), dense.predict_proba(coder.transform(features).toarray())
    )


def test_sparse_features_that_are_not_finite_are_refused(rng: np.random.Generator) -> None:
    features, labels = problem(rng)
    features[31, 4] = np.nan
    with pytest.raises(UsageError, match=r"contain NaN \(sample 31, feature 4\)"):
        SoftmaxClassifier().fit(sparse.csr_array(features), labels)


def test_a_state_brings_back_every_parameter(rng: np.random.Generator) -> None:
    features, labels = problem(rng)
    given: dict[str, Any] = {
        "weight_decay": np.float32(0.25), "weight_decays": (np.float64(1), 0.5), "n_folds": np.int64(3),
        "standardize": np.bool_(True), "split": np.True_, "calibrate": False, "max_iterations": np.int32(50),
        "tolerance": np.float32(0.125), "random_state": np.int64(3), "kernel": "linear", "widths": (1.5,),
        "loss": "cross-entropy",
    }  # fmt: skip
    classifier = SoftmaxClassifier(**given).fit(features, labels)
    arrays, header = classifier.to_state()
    again = SoftmaxClassifier.from_state(arrays, json.loads(json.dumps(header)))
    assert again.get_params() == given
    np.testing.assert_array_equal(again.predict_proba(features), classifier.predict_proba(features))
    np.testing.assert_array_equal(again.fit(features, labels).coef_, classifier.coef_)
    with pytest.raises(UsageError, match="which a model file cannot hold"):
        classifier.set_params(tolerance=object()).to_state()


@pytest.mark.parametrize("name", ["weight_decay", "n_folds", "standardize", "split", "calibrate", "max_iterations",
                                  "tolerance", "random_state"])  # fmt: skip
@pytest.mark.parametrize("wrong", ["many", -1, 1.5j, np.nan, [], {}, object(), -np.inf])
def test_wrong_parameters_are_named(rng: np.random.Generator, name: str, wrong: object) -> None:
    with pytest.raises(UsageError, match=f"SoftmaxClassifier: {name} is "):
        SoftmaxClassifier(**{name: wrong}).fit(*problem(rng))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["many", 3, None, [], [0.0], ["a"], [None], [np.nan]])
def test_wrong_candidates_are_named(rng: np.random.Generator, wrong: Any) -> None:
    with pytest.raises(UsageError, match="weight_decays is "):
        SoftmaxClassifier(weight_decays=wrong).fit(*problem(rng))
