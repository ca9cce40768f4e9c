"""Runs a command of striate in this process."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from striate.cli.main import app


class Done(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def striate(capsys: pytest.CaptureFixture[str], *arguments: object) -> Done:
    """Run ``striate ARGUMENTS``."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        app([str(argument) for argument in arguments], prog_name="striate")
    out, err = capsys.readouterr()
    return Done(int(ended.value.code or 0), out, err)
