"""The command line: parses, calls, prints. Importing it loads neither torch nor NumPy."""

from __future__ import annotations

from typing import Annotated

import typer

from downup import __version__
from downup.cli.bench import bench
from downup.cli.check import check
from downup.cli.console import Commands
from downup.cli.demo import demo
from downup.cli.evaluate import evaluate
from downup.cli.explore import explore
from downup.cli.export import export
from downup.cli.inspect import inspect
from downup.cli.ops import ops
from downup.cli.optimize import optimize
from downup.cli.predict import predict
from downup.cli.train import train
from downup.cli.verify import verify

__all__ = ["app", "main"]

app = typer.Typer(
    name="downup",
    cls=Commands,
    help="Semantic segmentation: learn from pictures and masks, then label every pixel of new pictures.",
    epilog="Begin with: downup demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"downup {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    pass


for command in (
    check,
    train,
    evaluate,
    predict,
    verify,
    export,
    inspect,
    bench,
    optimize,
    demo,
    ops,
    explore,
):
    app.command()(command)


def main() -> None:
    """Run the command line; an error is one line on stderr and exit status 1."""
    app()
