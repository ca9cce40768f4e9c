"""Carry finished units over to today's code where it provably does the same as the code that they ran.

    python tools/carry_over.py [--write]

Each unit in ``results`` and in the cache says at which commit it was measured. For each, the source at that commit is
taken from git, and the fingerprint of the unit's function there is compared with that of today. Where both are equal,
the unit gets today's fingerprint, and the provenance says from which commit it was carried over. Units that were
measured on uncommitted code are never carried over. Without ``--write`` the tool only says what it would do.
"""

from __future__ import annotations

import ast
import functools
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from striate.cache_folder import cache_folder
from striate.experiments import EXPERIMENTS, Experiment, load_experiment, read_record
from striate.experiments.engine.cache import Finished, UnitCache
from striate.experiments.engine.fingerprint import SourceTree
from striate.experiments.engine.json_file import plain, write_json

ROOT = Path(__file__).resolve().parents[1]


class Commits:
    """Fingerprints of units' functions at earlier commits.

    Parameters
    ----------
    folder : Path
        Where the sources are unpacked.
    repository : Path
        The git repository.
    """

    def __init__(self, folder: Path, repository: Path = ROOT) -> None:
        self.folder = folder
        self.repository = repository

    def fingerprint(self, commit: str, experiment: str, function: str) -> str | None:
        """Return the fingerprint that an experiment's function had; None where the commit has no such function."""
        tree = self._tree(commit)
        module = None if tree is None else _module_at(tree.package, experiment)
        if tree is None or module is None or not tree.has(module, function.partition(".")[0]):
            return None
        return tree.fingerprint_of(module, function)

    @functools.cache  # noqa: B019  one object lives as long as the tool
    def _tree(self, commit: str) -> SourceTree | None:
        command = ["git", "-C", str(self.repository), "archive", commit, "src/striate"]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            return None
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(self.folder / commit, filter="data")
        return SourceTree(self.folder / commit / "src" / "striate")


def _module_at(package: Path, experiment: str) -> str | None:
    """The module that an experiment had: EXPERIMENTS of that time, read without importing it."""
    path = package / "experiments" / "__init__.py"
    if not path.exists():
        return None
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == "EXPERIMENTS":
                return ast.literal_eval(node.value).get(experiment)
    return None


def difference(unit: Mapping[str, Any], experiment: str, code: str, commits: Commits) -> str:
    """Return why a unit cannot be carried over; nothing where it can.

    Parameters
    ----------
    unit : dict
        ``function`` and ``checkout`` of the stored unit.
    experiment : str
        The experiment's name.
    code : str
        Today's fingerprint of the unit's function.
    commits : Commits
    """
    commit = unit["checkout"]["commit"]
    if commit is None or unit["checkout"]["dirty"] is not False:
        return "it was measured on code that was not committed"
    earlier = commits.fingerprint(commit, experiment, unit["function"])
    if earlier is None:
        return f"{commit[:8]} has no function {unit['function']}"
    return "" if earlier == code else f"its code has changed since {commit[:8]}"


def carried_record(
    record: Mapping[str, Any], experiment: Experiment, today: SourceTree, commits: Commits
) -> tuple[dict[str, Any], list[str]]:
    """Return a results file with its units carried over, and for each other unit why it is not.

    Parameters
    ----------
    record : dict
        What the results file holds.
    experiment : Experiment
    today : SourceTree
    commits : Commits
    """
    units = {unit.name: unit for unit in experiment.units(record["scale"])}
    stored, refused, origins = [], [], set(record["provenance"].get("carried_over", ()))
    for entry in record["units"]:
        unit = units.get(entry["name"])
        code = None if unit is None else today.fingerprint(unit.run)
        if unit is None or code is None:
            reason = "there is no such unit any more"
        elif plain(unit.settings, "settings") != entry["settings"]:
            reason = "its settings have changed"
        elif entry.get("code") == code:
            reason = ""
        else:
            reason = difference(entry, record["name"], code, commits)
            if not reason:
                origins.add(f"from {entry['checkout']['commit']}: the syntax trees are equal")
        if reason:
            refused.append(f"{entry['name']}: {reason}")
            stored.append(entry)
        else:
            stored.append({**entry, "code": code})
    kept = {key: value for key, value in record.items() if key != "code"}  # of the whole module, before units had one
    provenance = record["provenance"] | ({"carried_over": sorted(origins)} if origins else {})
    return {**kept, "units": stored, "provenance": provenance}, refused


def carry_cache(
    experiment: Experiment, folder: Path, today: SourceTree, commits: Commits, *, write: bool
) -> tuple[int, int]:
    """Give the cache's units today's key where that is proved; how many, and how many stay behind.

    Parameters
    ----------
    experiment : Experiment
    folder : Path
        The experiment's folder in the cache.
    today : SourceTree
    commits : Commits
    write : bool
        Or only count.
    """
    cache = UnitCache(folder)
    n_carried = n_behind = 0
    for document in list(cache.documents()):
        key, finished = document["key"], document["finished"]
        for unit in experiment.units(key["scale"]):
            if plain(unit.settings, "settings") != key["settings"]:
                continue
            code = today.fingerprint(unit.run)
            if key["code"] == code:
                continue
            entry = {"function": document.get("function", key.get("function")), "checkout": finished["checkout"]}
            if difference(entry, experiment.name, code, commits):
                n_behind += 1
                continue
            n_carried += 1
            kept = {name: key[name] for name in ("experiment", "scale", "seed", "data", "settings")}
            if write and cache.read(kept | {"code": code}) is None:
                cache.write(kept | {"code": code}, unit, Finished(**finished))
    return n_carried, n_behind


@contextmanager
def _commits() -> Iterator[Commits]:
    with tempfile.TemporaryDirectory() as folder:
        yield Commits(Path(folder))


def main(arguments: list[str]) -> int:
    """Carry over, or say what would be; return the exit code."""
    if arguments not in ([], ["--write"]):
        print(f"unknown arguments {' '.join(arguments)}; the only option is --write", file=sys.stderr)
        return 2
    write = bool(arguments)
    today = SourceTree()
    with _commits() as commits:
        for name in EXPERIMENTS:
            experiment = load_experiment(name)
            path = ROOT / "results" / f"{name}.json"
            if path.exists():
                record = read_record(path)
                carried, refused = carried_record(record, experiment, today, commits)
                print(f"{name}: {len(record['units']) - len(refused)} of {len(record['units'])} units are current")
                for reason in refused:
                    print(f"  {reason}")
                if write and json.dumps(carried) != json.dumps(record) and len(refused) < len(record["units"]):
                    write_json(path, carried)
            folder = cache_folder() / "experiments" / name
            n_carried, n_behind = carry_cache(experiment, folder, today, commits, write=write)
            print(f"  in the cache {n_carried} can be carried over, {n_behind} cannot")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
