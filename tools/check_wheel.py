"""Build wheel and sdist, check them, install the wheel into an empty environment and run the demo there.

Run as ``python tools/check_wheel.py FOLDER``: the files go to FOLDER. Ends with 1, and says why, if a file lacks a part
or has one too many, if the environment needs torch, or if the demo does not write its report.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TORCH = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"


def main(arguments: list[str]) -> int:
    """Build into the folder and check; return the exit code."""
    if len(arguments) != 1:
        print("usage: python tools/check_wheel.py FOLDER")
        return 2
    folder = Path(arguments[0]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("striate-*.whl"), *folder.glob("striate-*.tar.gz")):
        old.unlink()
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    (wheel,), (sdist,) = folder.glob("striate-*.whl"), folder.glob("striate-*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist))
    check_contents(wheel, sdist)
    with tempfile.TemporaryDirectory() as empty:
        try_wheel(wheel, Path(empty))
    print(f"{wheel.name} and {sdist.name} are in {folder}; the demo ran from the wheel")
    return 0


def check_contents(wheel: Path, sdist: Path) -> None:
    """Compare the files of both with those of the package."""
    if not wheel.name.endswith("-py3-none-any.whl"):
        raise SystemExit(f"{wheel.name} is not a pure Python wheel")
    package = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "striate").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in {".pyc", ".nbi", ".nbc"}
    }
    with zipfile.ZipFile(wheel) as opened:
        in_wheel = {name for name in opened.namelist() if ".dist-info/" not in name}
    with tarfile.open(sdist) as opened_sdist:
        in_sdist = {name.split("/src/", 1)[1] for name in opened_sdist.getnames() if "/src/striate/" in name}
    for name, found in ((wheel.name, in_wheel), (sdist.name, in_sdist)):
        if package - found:
            raise SystemExit(f"{name} lacks {', '.join(sorted(package - found)[:5])}")
        if found - package:
            raise SystemExit(f"{name} has {', '.join(sorted(found - package)[:5])}, which the package has not")


def try_wheel(wheel: Path, folder: Path) -> None:
    """Install the wheel into an empty environment and run the demo from an empty folder."""
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = str(programs / "python")
    constraints = str(ROOT / "constraints.txt")
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        constraints,
        str(wheel),
    )
    run(python, "-c", TORCH, failure="the core needs torch")
    work = folder / "work"
    work.mkdir()
    run(str(programs / "striate"), "demo", "--quiet", "--out", str(work / "demo"), folder=work)
    report = work / "demo" / "report.html"
    if not report.exists():
        raise SystemExit(f"the demo wrote no {report.name}, but {sorted(path.name for path in work.rglob('*'))}")


def run(*command: str, folder: Path | None = None, failure: str = "") -> None:
    """Run a command without the paths of this process; end with its last lines if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STRIATE"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        output = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise SystemExit(f"{failure or ' '.join(command[:4]) + ' failed'}:\n{output}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
