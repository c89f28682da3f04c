"""Commands for the recovery of the exchange's private keys: shares for officers, and the way back from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from exchange.errors import Malformed, Misconfigured
from exchange.settings import Settings

app = typer.Typer(
    help="Share the private keys among officers, and bring them back from enough shares.",
    no_args_is_help=True,
)
console = Console(highlight=False)


@app.command()
def split(
    out: Annotated[
        Path, typer.Option(help="New directory for the sheets, one file a share.", file_okay=False)
    ],
    shares: Annotated[int, typer.Option(help="How many shares to make, one an officer.")] = 5,
    threshold: Annotated[int, typer.Option(help="How many of them recover the keys.")] = 3,
) -> None:
    """Make officers' shares of all private keys: any THRESHOLD recover them, fewer say nothing."""
    from exchange import keys

    settings = Settings.from_environment(os.environ)
    made = keys.split(settings.keys_dir, settings.origin, count=shares, threshold=threshold)
    try:
        out.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise Misconfigured(
            "keys.out",
            f"{out} cannot be made: {error.strerror}",
            field="--out",
            rule="sheets go into a new directory, so that none is left of another set",
            remedy="name one that does not exist, on a medium that you can destroy",
        ) from error
    for share in made:
        path = out / f"share-{share.number}-of-{share.count}.txt"
        with open(path, "x", encoding="utf-8", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(share.text())
    console.print(f"[green]✓[/] {shares} sheets in {out}, set {made[0].set_id.hex()}", soft_wrap=True)
    console.print(
        f"  Give each officer one, on paper; any {threshold} recover the keys. Then delete {out}:"
        " whoever holds the files holds the keys.",
        soft_wrap=True,
    )


@app.command()
def join(
    sheets: Annotated[
        list[Path],
        typer.Argument(help="The officers' sheets, as many as they say.", exists=True, dir_okay=False),
    ],
    into: Annotated[
        Path, typer.Option(help="Directory that takes the keys, such as market/keys.", file_okay=False)
    ],
    vkey: Annotated[
        str | None,
        typer.Option(help="The log's verifier key, or a file that holds it, from where it was published."),
    ] = None,
) -> None:
    """Bring the private keys back from officers' shares; nothing is written over."""
    from exchange import keys, shares

    def read(path: Path) -> shares.Share:
        try:
            return shares.parse(path.read_text("utf-8"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            raise Malformed(
                "shares.damaged",
                f"{path} cannot be read",
                field=str(path),
                rule="a sheet is a text file in UTF-8",
                remedy="type it from the paper as it was printed",
            ) from error

    if vkey is not None and Path(vkey).is_file():
        vkey = Path(vkey).read_text("utf-8").strip()
    brought = [read(path) for path in sheets]
    names = keys.join(brought, into, vkey=vkey)
    console.print(f"[green]✓[/] {', '.join(names)} in {into}, of log {brought[0].key}", soft_wrap=True)
    if vkey is None:
        console.print(
            "  [yellow]not compared with the published log key[/]: pass --vkey from the regulator's site",
            soft_wrap=True,
        )
