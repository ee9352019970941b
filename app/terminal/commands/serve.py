"""`querist serve` and `querist mcp`: a workspace for browsers, and for coding agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from querist.app.terminal import options as o


def serve(
    *,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where it listens.")] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="Beyond this machine only with TLS or behind a proxy.")
    ] = "127.0.0.1",
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
    works: Annotated[
        bool, typer.Option("--work/--no-work", help="Keep a worker for jobs and drive runs.")
    ] = True,
    certificate: Annotated[
        Path | None, typer.Option("--tls-cert", exists=True, dir_okay=False, help="For HTTPS.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--tls-key", exists=True, dir_okay=False, help="For HTTPS.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="HOST", help="How browsers call it, if from elsewhere.")
    ] = "",
    is_proxied: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy before it speaks HTTPS.")
    ] = False,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Show runs, the inbox and jobs in the browser, and work jobs off.

    It prints a link that lets you in; others get links of their own on the page *People*.
    """
    from querist.app.actions.serving import Address, serve
    from querist.app.terminal.place import Place

    address = Address(host, port, certificate, key, name, is_proxied)
    serve(Place(workspace, database or None), address, opens=opens, works=works)


def mcp(
    *,
    commands: Annotated[
        bool, typer.Option("--commands", help="Offer tools that change runs, too.")
    ] = False,
    skill: Annotated[
        bool, typer.Option("--skill", help="Print SKILL.md for your agent, and exit.")
    ] = False,
    workspace: o.Workspace = Path(".querist"),
    database: o.Database = None,
) -> None:
    """Let a coding agent read runs, over the Model Context Protocol.

    It speaks on standard input and output, so an agent starts it, not you.
    """
    from querist.app.mcp import server
    from querist.app.terminal.place import Place

    if skill:
        typer.echo(server.skill().rstrip())
        return
    server.make_server(Place(workspace, database or None), may_command=commands).run("stdio")
