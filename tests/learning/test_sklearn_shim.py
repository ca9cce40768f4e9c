"""scikit-learn's own tests of dictionary learning, run on striate through `sklearn_shim`."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import sklearn.decomposition

TESTS = Path(sklearn.decomposition.__file__).parent / "tests" / "test_dict_learning.py"
SHIM = "tests.learning.sklearn_shim"

# Which of scikit-learn's tests striate does not pass, by name, and why.
NOT_SUPPORTED = {
    "test_dict_learning_online_initialization": "max_iter=0: SparseCoding learns from one batch at least",
    "test_dict_learning_online_partial_fit": "a unit that nothing uses is replaced every 50 batches, but not in "
    "the last ones of fit; partial_fit does not know which is its last",
}
N_TESTS = 199  # of the version in constraints.txt


def of_scikit_learn() -> dict[str, object]:
    """Its test functions, with the shim in place of what they test."""
    if not TESTS.exists():
        return {}
    source = TESTS.read_text("utf-8")
    for theirs in ("sklearn.decomposition._dict_learning", "sklearn.decomposition"):
        source = source.replace(f"from {theirs} import", f"from {SHIM} import")
    source = source.replace("@pytest.mark.thread_unsafe\n", "")
    module = ModuleType("test_dict_learning_of_scikit_learn")
    exec(compile(source, str(TESTS), "exec"), module.__dict__)
    return {name: value for name, value in vars(module).items() if name.startswith("test_")}


globals().update(of_scikit_learn())


@pytest.fixture(autouse=True)
def _not_supported(request: pytest.FixtureRequest) -> None:
    if request.node.name in NOT_SUPPORTED:
        request.applymarker(pytest.mark.xfail(strict=True, reason=NOT_SUPPORTED[request.node.name]))


def test_most_of_scikit_learns_tests_pass(request: pytest.FixtureRequest) -> None:
    if not TESTS.exists():
        pytest.skip("this scikit-learn comes without its tests")
    assert len(NOT_SUPPORTED) <= N_TESTS - 170
    here = [item for item in request.session.items if item.path == request.node.path]
    if len(here) > 1:  # all of the file, and not this test alone
        assert len(here) == N_TESTS + 1
        assert NOT_SUPPORTED.keys() <= {item.name for item in here}
