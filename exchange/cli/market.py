"""Commands of whoever runs an exchange: open a market, serve it, see its settings."""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import fields, replace
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from exchange.settings import Settings

console = Console(highlight=False)


def init(
    uscc: Annotated[str, typer.Option(help="Unified social credit code of the venue (GB 32100).")],
    name: Annotated[str, typer.Option(help="Name of the venue.")],
    administrator: Annotated[str, typer.Option(help="Name of the first administrator.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="The model whose figures the rulebook takes: top-level (state operator, closed unless planned, three "
            "approvals), cooperation (mixed operator, dividends) or data-driven (open first, no operator)."
        ),
    ] = None,
) -> None:
    """Make the keys, open the market and print a one-time link for the first administrator."""
    from exchange.app import open_market, running
    from exchange.credentials import key_digest
    from exchange.parties import check_uscc
    from exchange.rulebook import load

    check_uscc(uscc)
    settings = Settings.from_environment(os.environ)
    rules = load(settings.profile, preset)
    token = secrets.token_urlsafe(32)

    async def begin() -> str:
        async with running(settings, work=False, make_keys=True, say=console.print) as house:
            await open_market(
                house,
                uscc=uscc,
                name=name,
                person=administrator,
                token_digest=key_digest(token),
                preset=preset,
            )
            return house.gate.signer.vkey

    vkey = asyncio.run(begin())
    console.print(f"[green]✓[/] market opened in {settings.data_dir}", soft_wrap=True)
    console.print(f"  rules                   {rules.version} {rules.digest}", soft_wrap=True)
    console.print(f"  log key (publish it)    {vkey}", soft_wrap=True)
    console.print(
        f"  one-time link (72 h)    {_url(settings.host, settings.port)}/zh/enrol#{token}", soft_wrap=True
    )
    console.print(
        f"  private keys            {settings.keys_dir} — back them up apart from the database",
        soft_wrap=True,
    )
    console.print("Next: [bold]exchange serve[/bold], then open the link.")


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default EXCHANGE_HOST.")] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on, 0 for any free one; default EXCHANGE_PORT.", min=0, max=65535),
    ] = None,
    work: Annotated[bool, typer.Option(help="Close lots, settle and anchor in this process.")] = True,
) -> None:
    """Serve API and console; Ctrl-C finishes what waits and stops."""
    import socket

    import uvloop

    from exchange import app as exchange_app
    from exchange import keys
    from exchange.errors import Misconfigured

    settings = Settings.from_environment(os.environ)
    settings = replace(settings, host=host or settings.host, port=settings.port if port is None else port)
    keys.load(settings.keys_dir)  # where no market was opened, no database is made either
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except socket.gaierror as error:
        raise Misconfigured(
            "serve.host",
            f"{settings.host} is no address of this machine: {error.strerror}",
            field="EXCHANGE_HOST",
            rule="a server listens on an address of its own machine",
            remedy="pass --host 127.0.0.1 (this machine only) or --host 0.0.0.0 (all networks)",
        ) from error
    except OSError as error:
        raise Misconfigured(
            "serve.port",
            f"{settings.host}:{settings.port} cannot be used: {error.strerror}",
            field="EXCHANGE_PORT",
            rule="one program listens on a port",
            remedy="stop the other one, or pass --port",
        ) from error
    listener.listen(2048)
    url = _url(settings.host, listener.getsockname()[1])
    uvloop.run(
        exchange_app.serve(
            settings,
            listener,
            work=work,
            say=console.print,
            started=lambda _: console.print(f"serving on {url} (Ctrl-C stops)", soft_wrap=True),
        )
    )


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def settings() -> None:
    """Show every setting: its variable, what it is now, and what it means."""
    from exchange.settings import MEANINGS

    current = Settings.from_environment(os.environ)
    table = Table(title="EXCHANGE_… variables", title_justify="left")
    table.add_column("variable", no_wrap=True, min_width=len("EXCHANGE_DATABASE_OWNER_URL"))
    table.add_column("now", overflow="fold")
    table.add_column("meaning")
    for field in fields(current):
        value = getattr(current, field.name)
        shown = ("set" if value else "—") if not field.repr else str(value if value is not None else "—")
        table.add_row(f"EXCHANGE_{field.name.upper()}", shown, MEANINGS[field.name])
    console.print(table)
