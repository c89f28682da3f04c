"""The command that shows all of it: a whole trade of real public data in a sandbox of its own."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the sandbox running until Ctrl-C, with its console.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object last, and nothing else.")
    ] = False,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the story.")] = "en",
    six: Annotated[
        bool,
        typer.Option(
            "--six",
            help="Instead: six departments register a real table each by the command line, and their raw tables are tried.",
        ),
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the console; 0 takes a free one.")] = 0,
) -> None:
    """Sell real public data: desensitize, authorize, register, auction, settle, deliver, audit. Under a minute.

    Two departments, an operator with four holders, five enterprises and a regulator, each a client of a real
    server with a database and a chain of its own, in a fresh directory that is removed at the end.
    """
    if six:
        from exchange.demo.six import registered

        raise typer.Exit(registered(json=json, lang=lang))
    from exchange.demo.story import tell

    raise typer.Exit(tell(keep=keep, json=json, lang=lang, port=port))
