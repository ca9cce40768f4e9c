"""The command ``striate`` and its subcommands.

A command's module is imported only when that command runs, so that ``--help`` and ``--version`` answer at
once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import striate
from striate.cli._errors import check_memory, is_command_line_error, report
from striate.cli._signals import end_as_interrupt
from striate.cli._streams import abandon_stdout, prepare, write_result
from striate.errors import UsageError

__all__ = ["app", "run"]

# Each command's module has a function (or, for several sub-commands, a Typer application) of the command's
# name.
COMMANDS = {
    "demo": ("striate.cli.demo", "Learn digits from few labels, in a minute, and write a report."),
    "train": ("striate.cli.train", "Learn features and a classifier from your images."),
    "predict": ("striate.cli.predict", "Name what is on images."),
    "evaluate": ("striate.cli.evaluate", "Measure a model on labeled images."),
    "features": ("striate.cli.features", "Write a model's features of images."),
    "index": ("striate.cli.index", "Make an index of a folder's images, or bring it up to date."),
    "search": ("striate.cli.search", "Find the images that look like an image."),
    "duplicates": ("striate.cli.duplicates", "Find copies and near-copies among indexed images."),
    "filters": ("striate.cli.filters", "Learn filters alone, and draw them."),
    "code": ("striate.cli.code", "Learn a dictionary, code signals."),
    "restore": ("striate.cli.restore", "Remove noise from images, or fill in missing pixels."),
    "robot": ("striate.cli.robot", "See a recorded drive as a robot does: near by stereo, far by learning."),
    "manifest": ("striate.cli.manifest", "List the images of a very large folder once."),
    "live": ("striate.cli.live", "Learn what a camera sees, on a local page."),
    "warm-up": ("striate.cli.warm_up", "Compile all kernels of striate ahead of their first use."),
    "data": ("striate.cli.data", "List, locate and download data sets."),
    "experiment": ("striate.cli.experiment", "Measure a published result again."),
    "experiments": ("striate.cli.experiments", "List the experiments, published and measured figures."),
}


class LazyCommands(TyperGroup):
    """A group of commands with their names and first lines; it imports the command that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=text) for name, (_, text) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the called command, and import it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, _load(str(name)), rest

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Parse the command line; refuse empty arguments, which come from unset variables of the shell."""
        for before, argument in zip(["", *args], args, strict=False):
            option, equals, value = argument.partition("=")
            if not argument or (option.startswith("--") and equals and not value):
                where = (before if before.startswith("-") else "an argument") if not argument else option
                raise UsageError(f"{where} is empty: leave it out, or give a value.")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the called command, and report its errors."""
        from striate import kernels

        kernels.announce(True)  # on standard error; --quiet turns it off
        try:
            check_memory()
            with end_as_interrupt():
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if is_command_line_error(error):  # reported by `main`
                raise
            raise typer.Exit(report(error)) from error

    def main(self, *args: Any, **settings: Any) -> Any:
        """Parse the command line, run the command, and exit."""
        try:
            result = super().main(*args, **settings | {"standalone_mode": False})
        except typer.Abort:
            sys.exit(1)
        except Exception as error:
            if isinstance(error, BrokenPipeError):
                raise
            if isinstance(error, OSError):  # the help, on a full disk
                abandon_stdout()
            sys.exit(report(error))
        sys.exit(result if isinstance(result, int) else 0)


def _load(name: str) -> Any:
    module, text = COMMANDS[name]
    command = getattr(import_module(module), name.replace("-", "_"))
    if isinstance(command, typer.Typer):
        return typer.main.get_command(command)
    single = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    single.command(name, short_help=text)(command)
    return typer.main.get_command(single)


def _show_version(wanted: bool) -> None:
    if wanted:
        write_result(f"striate {striate.__version__}\n")
        raise typer.Exit


app = typer.Typer(cls=LazyCommands, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.callback()
def _striate(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Learn the visual features of your own images, without labels, on your own computer.

    Start with: striate demo
    """


def run() -> None:
    """Run the command line of this process: the entry point ``striate``."""
    prepare()
    try:
        app(sys.argv[1:] or ["--help"], prog_name="striate")
    except BrokenPipeError:  # as in `striate experiments | head -1`
        abandon_stdout()
        sys.exit(1)
