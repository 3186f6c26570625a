"""`downup explore`."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from downup.cli.console import output, say
from downup.errors import ArgumentError


def explore(
    network: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]",
            help="Run folder of downup train, or an ONNX file with its metadata: looks inside it too.",
        ),
    ] = None,
    static: Annotated[
        Path | None,
        typer.Option(
            "--static", metavar="DIR", help="Write the page into a folder that any web server can offer."
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Where to listen on this machine; 0 for any port that is free."),
    ] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Show what each operator does, on pictures of yours, in the browser."""
    from downup.explorer import Server, write_page

    console = output()
    if static is not None:
        if network is not None:
            raise ArgumentError(
                f"--static writes a page that no server computes for, so {network} has no use; give one of them"
            )
        write_page(static)
        say(console, f"The page is in {static}: offer that folder with any web server.")
        return
    answers = {}
    if network is not None:
        from downup.explorer.network import Network

        answers = Network(network).answers
    with Server(port, answers) as server:
        say(console, f"The page is at {server.address} until you press Ctrl-C.")
        if not no_open:
            webbrowser.open(server.address)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
