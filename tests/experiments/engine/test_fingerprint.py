from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from striate.experiments import load_experiment
from striate.experiments.engine import source_cache
from striate.experiments.engine.definitions import read_source
from striate.experiments.engine.fingerprint import SourceTree

Fingerprint = Callable[..., str]

FILES = {
    "__init__.py": """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from striate.learning import PSD
        _HOME = {"RBM": "striate.learning.rbm"}
        __getattr__, __dir__ = lazy_names(__name__, _HOME, [])
        """,
    "errors.py": "class StriateError(Exception): pass",
    "progress.py": "class Progress: pass",
    "images/__init__.py": "from striate.images.digits import load_digits\nfrom .canvas import fit_canvas",
    "images/digits.py": """
        from importlib.resources import files
        def load_digits():
            return files("striate.images").joinpath("data", "digits.npz").read_bytes()
        """,
    "images/data/digits.npz": "digits",
    "images/data/letters.npz": "letters",
    "images/canvas.py": "def fit_canvas(): return 2",
    "learning/__init__.py": "from striate.learning.psd import PSD\nfrom striate.learning.rbm import RBM",
    "learning/psd.py": """
        from striate.errors import StriateError
        from striate.learning.schedule import rate
        class PSD:
            '''Learns.'''
            steps = 3
            def fit(self, X: list) -> PSD:
                '''Fit.'''
                for n, x in enumerate(X):
                    if x < 0:
                        raise StriateError(f"x = {x} is negative")
                    self.w = rate(n) * x
                return self
            def transform(self, X): return [self.w * x for x in X]
        """,
    "learning/schedule.py": """
        FIRST = 0.1
        UNUSED = 1
        def rate(n): return FIRST / (1 + decay(n))
        def decay(n): return n if n < 2 else 1 + decay(n - 1)
        """,
    "learning/rbm.py": "class RBM: pass",
    "experiments/__init__.py": "from striate.experiments.engine.unit import Unit",
    "experiments/engine/__init__.py": "",
    "experiments/engine/unit.py": "class Unit: pass",
    "experiments/toy.py": """
        from __future__ import annotations
        from striate.experiments import Unit
        from striate.learning import PSD
        CLAIM = "It learns."
        N = 3
        FIGURES = (1, 2)
        def draw(results, path): path.write(results, fontsize=8)
        def units(scale): return [Unit("one", {}, run)]
        def run(settings, context):
            with context.progress.phase("learning", total=1, unit="steps"):
                from striate.images import load_digits
                return {"w": PSD().fit(load_digits()[:N]).w}
        """,
}


@pytest.fixture
def fingerprint(tmp_path: Path) -> Fingerprint:
    """Of the toy's run, in a small package with some files replaced; None removes a file."""
    folders = iter(range(1000))

    def make(
        replaced: Mapping[str, str | None] | None = None, module: str = "striate.experiments.toy", name: str = "run"
    ) -> str:
        package = tmp_path / f"{next(folders)}" / "striate"
        for path, text in (FILES | dict(replaced or {})).items():
            if text is not None:
                (package / path).parent.mkdir(parents=True, exist_ok=True)
                (package / path).write_text(text.replace("\n        ", "\n"))
        return SourceTree(package).fingerprint_of(module, name)

    return make


def edited(path: str, old: str, new: str) -> dict[str, str]:
    assert old in FILES[path]
    return {path: FILES[path].replace(old, new)}


@pytest.mark.parametrize(
    "change",
    [
        edited("experiments/toy.py", "N = 3", "N = 4"),
        edited("experiments/toy.py", "[:N]", "[N:]"),
        edited("learning/schedule.py", "FIRST = 0.1", "FIRST = 0.2"),
        edited("learning/schedule.py", "1 + decay(n - 1)", "2 + decay(n - 1)"),
        edited("learning/psd.py", "self.w * x for", "self.w + x for"),
        edited("learning/psd.py", "steps = 3", "steps = 4"),
        edited("learning/psd.py", "raise StriateError(", "raise ValueError("),
        edited("learning/psd.py", "def transform(self, X)", "def transform(self, X=1)"),
        edited("learning/psd.py", "x < 0", "x < 0.0"),
        {"images/data/digits.npz": "other digits"},
        edited("learning/schedule.py", "UNUSED = 1", "FIRST += 1"),
        edited("learning/schedule.py", "UNUSED = 1", "import numpy\nnumpy.seterr(all='raise')"),
    ],
)
def test_what_run_reaches_counts(fingerprint: Fingerprint, change: dict[str, str]) -> None:
    assert fingerprint(change) != fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        edited("experiments/toy.py", "fontsize=8", "fontsize=9"),
        edited("experiments/toy.py", "It learns.", "It learns much."),
        edited("experiments/toy.py", "(1, 2)", "(1, 3)"),
        edited("experiments/toy.py", '"one", {}', '"two", {"n": 2}'),
        edited("experiments/toy.py", '"learning", total=1, unit="steps"', '"learn", total=1, unit="batches"'),
        edited("learning/psd.py", "'''Learns.'''", "'''Learns, slowly.'''"),
        edited("learning/psd.py", "            '''Learns.'''\n", ""),
        edited("learning/psd.py", "X: list) -> PSD", "X: tuple)"),
        edited("learning/psd.py", 'f"x = {x} is negative"', '"give x > 0"'),
        edited("learning/psd.py", "return self\n", "return self  # which has learned\n"),
        edited("learning/schedule.py", "UNUSED = 1", "UNUSED = 2"),
        {"images/canvas.py": "def fit_canvas(): return 3", "learning/rbm.py": "class RBM: units = 1"},
        {"learning/lista.py": "class LISTA: pass"},
        {"images/data/letters.npz": "other letters"},
        {"errors.py": "class StriateError(Exception): exit_code = 1"},
        {"experiments/engine/unit.py": "class Unit: checkpoints = False"},
    ],
)
def test_what_changes_no_number_does_not_count(fingerprint: Fingerprint, change: dict[str, str]) -> None:
    assert fingerprint(change) == fingerprint()


def test_renaming_and_moving_change_nothing(fingerprint: Fingerprint) -> None:
    before = fingerprint()
    moved = {
        "learning/schedule.py": "UNUSED = 1",
        "kernels/__init__.py": "from striate.kernels.pace import speed",
        "kernels/pace.py": "from striate.kernels import falling as f\nSTART = 0.1\n"
        "def speed(n): return START / (1 + f.fall(n))",
        "kernels/falling.py": "def fall(n): return n if n < 2 else 1 + fall(n - 1)",
        "learning/psd.py": FILES["learning/psd.py"]
        .replace("from striate.learning.schedule import rate", "import striate.kernels")
        .replace("rate(n)", "striate.kernels.speed(n)"),
    }
    assert fingerprint(moved) == before
    renamed = {
        "experiments/toy.py": None,
        "experiments/energies/toys.py": FILES["experiments/toy.py"]
        .replace("run", "measure")
        .replace("N = 3", "SAMPLES = 3")
        .replace("[:N]", "[:SAMPLES]")
        .replace("PSD", "PredictiveSparseDecomposition"),
        "learning/__init__.py": "from .predictive import PredictiveSparseDecomposition",
        "learning/psd.py": None,
        "learning/predictive.py": FILES["learning/psd.py"].replace("PSD", "PredictiveSparseDecomposition"),
    }
    assert fingerprint(renamed, "striate.experiments.energies.toys", "measure") == before
    local = FILES["learning/psd.py"].replace("n, x in", "number, x in").replace("rate(n)", "rate(number)")
    assert fingerprint({"learning/psd.py": local}) == before
    transform = "            def transform(self, X): return [self.w * x for x in X]\n"
    first = (
        FILES["learning/psd.py"].replace(transform, "").replace("            steps", f"{transform}            steps")
    )
    assert fingerprint({"learning/psd.py": first}) == before


def of(source: str) -> str:
    return read_source(source.encode()).definitions["f"].text


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("def f(x): return x + 1", "def f(x: int) -> int: return x + 1", False),
        ("def f(x):\n y = x\n return y", "def f(x):\n z: int = x\n return z", False),
        ("def f(x):\n y = x\n return y", "def f(x):\n y = x\n return x", True),
        ("def f(x): return [y for y in x]", "def f(x): return [z for z in x]", False),
        ("y = 1\ndef f(x): return [y for y in x], y", "y = 1\ndef f(x): return [z for z in x], y", False),
        ("def f(x): return x", "def f(y): return y", True),  # callers may name it
        ("def f(x): raise ValueError('wrong')", "def f(x): raise ValueError(f'wrong: {x}')", False),
        ("def f(x): raise ValueError('wrong')", "def f(x): raise ValueError('wrong', x)", True),
        ("def f(x): raise ValueError('wrong')", "def f(x): raise TypeError('wrong')", True),
        ("def f(x): assert x, 'wrong'", "def f(x): assert x", False),
        ("import warnings\ndef f(x): warnings.warn('a', stacklevel=2)",
         "import warnings\ndef f(x): warnings.warn('b ' + str(x), stacklevel=2)", False),
        ("def f(x, n=1): return x", "def f(x, n=2): return x", True),
        ("f = 'a text that a program may need'", "f = 'another text'", True),
        ("class f:\n    x = 1\n    'what x is'", "class f:\n    x = 1", False),
        ("class f:\n    x: int = 1", "class f:\n    x: float = 1", False),
        ("class f:\n    x: int = 1", "class f:\n    x: ClassVar[int] = 1", True),
        ("class f:\n    x: int\n    y: int", "class f:\n    y: int\n    x: int", True),
        ("async def f(x): return x", "async def f(x) -> int: return x", False),
        ("import numpy as np\ndef f(x): return np.linalg.norm(x)", "from numpy import linalg\n"
         "def f(x): return linalg.norm(x)", False),
        ("import numpy as np\ndef f(x): return np.sin(x)", "import numpy as np\ndef f(x): return np.cos(x)", True),
        ("def f(x): return 1", "def f(x): return True", True),
    ],
)  # fmt: skip
def test_only_what_computes_is_part_of_the_text(old: str, new: str, changes: bool) -> None:
    assert (of(old) != of(new)) == changes


def test_a_lazy_name_leads_to_the_file_that_defines_it(fingerprint: Fingerprint) -> None:
    for name, path in {"PSD": "learning/psd.py", "RBM": "learning/rbm.py"}.items():
        toy = {"experiments/toy.py": f"def run(settings, context):\n    from striate import {name}\n    {name}()"}
        assert fingerprint(toy) != fingerprint(toy | {path: f"class {name}: new = 1"}), name


def test_modules_that_strings_or_values_name_count_whole(fingerprint: Fingerprint) -> None:
    for text in (
        "KINDS = {'rbm': 'striate.learning.rbm:RBM'}\ndef run(settings, context): return KINDS",
        "from striate.learning import rbm\ndef run(settings, context): return getattr(rbm, settings['kind'])",
        "import striate.learning\ndef run(settings, context): return vars(striate.learning)",
    ):
        toy = {"experiments/toy.py": text}
        assert fingerprint(toy) != fingerprint(toy | {"learning/rbm.py": "class RBM: new = 1"}), text


@pytest.mark.parametrize(
    "registration",
    [
        "@register\nclass Max:\n    size = 1",
        "class Max:\n    size = 1\nregister(Max)",
        "class Max:\n    size = 1\nLAYERS.update(max=Max)",
        "class Max(Base):\n    size = 1",
    ],
)
def test_what_registers_itself_in_a_table_counts_with_the_table(fingerprint: Fingerprint, registration: str) -> None:
    files = {
        "hierarchy/__init__.py": "from striate.hierarchy import pooling",
        "hierarchy/table.py": "LAYERS = {}\n\ndef register(kind):\n    LAYERS[kind.__name__] = kind\n    return kind\n"
        "class Base:\n    def __init_subclass__(cls): LAYERS[cls.__name__] = cls",
        "hierarchy/pooling.py": f"from striate.hierarchy.table import LAYERS, Base, register\n{registration}",
        "experiments/toy.py": "from striate.hierarchy.table import LAYERS\n"
        "def run(settings, context): return LAYERS[settings['kind']]()",
    }
    other = files | {"hierarchy/pooling.py": files["hierarchy/pooling.py"].replace("size = 1", "size = 2")}
    assert fingerprint(files) != fingerprint(other)


def test_names_of_phases_count_where_their_records_are_read(fingerprint: Fingerprint) -> None:
    reading = edited("experiments/toy.py", "return {", "names = context.progress.records\n                return {")
    other = {"experiments/toy.py": reading["experiments/toy.py"].replace('phase("learning"', 'phase("fitting"')}
    assert fingerprint(reading) != fingerprint(other)


def test_definitions_that_reach_each_other_have_one_fingerprint_each(fingerprint: Fingerprint) -> None:
    even = "def even(n): return n == 0 or odd(n - 1)"
    odd = "def odd(n): return n != 0 and even(n - 1)"
    run = "def run(settings, context): return {}(9), {}(9)"
    one = {"experiments/toy.py": "\n".join((even, odd, run.format("even", "odd")))}
    two = {
        "experiments/toy.py": "from striate.parity import even, odd\n" + run.format("even", "odd"),
        "parity.py": "\n".join((odd, even)),
    }
    swapped = {"experiments/toy.py": "\n".join((even, odd, run.format("odd", "even")))}
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(swapped)
    assert fingerprint(one) != fingerprint({"experiments/toy.py": one["experiments/toy.py"].replace("n != 0", "n > 0")})


def test_a_file_is_taken_apart_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "own"))
    path = tmp_path / "module.py"
    path.write_text(
        "import numpy as np\nfrom .x import y\n@y.z\ndef f(x): return np.sin(x) + y.a\nH = {'a': 'striate.b'}"
    )
    first = source_cache.read_file(path)
    assert first == read_source(path.read_bytes())
    source_cache._read.cache_clear()

    def refuse(source: bytes) -> None:
        raise AssertionError("it was taken apart again")

    monkeypatch.setattr(source_cache, "read_source", refuse)
    assert source_cache.read_file(path) == first
    source_cache._read.cache_clear()
    for note in (tmp_path / "own" / "definitions").iterdir():
        note.write_text(note.read_text()[:20])
    with pytest.raises(AssertionError, match="again"):
        source_cache.read_file(path)


def test_twins_count_where_an_experiment_asks_for_one(fingerprint: Fingerprint) -> None:
    def of(twin: str, ask: str = "") -> str:
        files = {
            "hierarchy/_torch.py": f"def twin_of(): return {twin}",
            "hierarchy/__init__.py": """
        class Hierarchy:
            def transform(self): return 1
            def to_torch(self):
                from striate.hierarchy._torch import twin_of
                return twin_of()
        """,
            "experiments/toy.py": f"""
        from striate.hierarchy import Hierarchy
        def run(settings, context):
            "Not refine, nor to_torch."
            return Hierarchy(){ask}
        """,
        }
        return fingerprint(files)

    assert of("1") == of("2")
    assert of("1", ".transform()") == of("2", ".transform()")
    assert of("1", ".to_torch()") != of("2", ".to_torch()")


def test_refined_networks_reach_their_twins() -> None:
    tree = SourceTree()
    for name, is_refined in (("caltech101-refined", True), ("caltech101-two-stage", False), ("few-labels", False)):
        for unit in load_experiment(name).units("full"):
            modules = {module for module, _ in tree.reached(unit.run)}
            assert ("striate.hierarchy._trained_stage" in modules) == is_refined, unit.name


def test_a_real_experiment_reaches_the_real_package() -> None:
    tree = SourceTree()
    (unit, *_) = load_experiment("rbm-mnist").units("full")
    reached = tree.reached(unit.run)
    assert ("striate.learning.rbm", "RBM") in reached
    assert ("striate.images.digits", "load_mnist_digits") in reached
    modules = {module for module, _ in reached}
    assert not modules & {"striate.errors", "striate.learning.psd", "striate.experiments.engine.runner"}
    assert not {name for module, name in reached if module.endswith("rbm_mnist")} & {
        "FIGURES",
        "draw",
        "CLAIM",
        "units",
    }
    assert tree.fingerprint(unit.run) == SourceTree().fingerprint(unit.run)
