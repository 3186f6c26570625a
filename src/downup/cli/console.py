"""What all commands share: where they print, and how they fail."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from downup.errors import DownupError, MissingPackageError

# Wide enough that no table is cut where nobody can widen the window.
_FILE_WIDTH = 120
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class Commands(TyperGroup):
    """Turns the errors that are meant for the user into one line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DownupError as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail("stopped", _INTERRUPTED)
        except BrokenPipeError:
            # The reader of a pipe (head, less) has seen enough. Python would complain while closing stdout.
            sys.stderr.close()
            raise typer.Exit(1) from None
        except OSError as error:
            if error.strerror is None:
                raise
            fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)


def say_error(message: str) -> None:
    """Print `error: message` on stderr, as one line."""
    line = Text.assemble(("error: ", "bold red"), " ".join(message.split()))
    Console(stderr=True, highlight=False).print(line, soft_wrap=True)


def fail(message: str, status: int = 1) -> NoReturn:
    """Print `error: message` on stderr and leave with `status`."""
    say_error(message)
    raise typer.Exit(status)


def output() -> Console:
    """Return the console for stdout; on anything but a terminal it prints no control codes."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_FILE_WIDTH)


def say(console: Console, text: str, style: str = "") -> None:
    """Print one line as it is, however wide."""
    console.print(Text(text, style=style), soft_wrap=True)


def swatch(color: tuple[int, int, int]) -> Text:
    """Return a small patch of a class's colour."""
    return Text("██", style="#{:02x}{:02x}{:02x}".format(*color))


def table(title: str, *columns: str, text_columns: int = 1) -> Table:
    """Return an empty table; the first `text_columns` columns are words, the others numbers."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for number, name in enumerate(columns):
        made.add_column(name, justify="left" if number < text_columns else "right")
    return made


@contextmanager
def progress_bar(console: Console, doing: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function of (done, total, name) that moves a bar, if there is a terminal to show it."""
    columns = (TextColumn(doing), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    if not console.is_terminal:
        yield lambda done, total, name: None
        return
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(doing, total=1)
        yield lambda done, total, name: bar.update(task, completed=done, total=total)


def keep_memory() -> None:
    """Let a process that runs a network use its large blocks of memory again; where that cannot be, it is only slower."""
    from downup.kernels import reuse_memory

    with suppress(DownupError):
        reuse_memory()


def need_torch(command: str) -> None:
    """Refuse a command that needs torch where there is none.

    Raises:
        MissingPackageError: says what to install.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingPackageError(
            f"downup {command} needs torch; install it with: pip install 'downup[train]'"
        )
