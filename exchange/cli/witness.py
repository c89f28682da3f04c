"""Commands of a regulator's witness: make one, run it, see what it saw, go on after an alarm."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from exchange.errors import Malformed

app = typer.Typer(
    help=(
        "Witness a log: follow it, judge it, cosign it, and refuse a fork.\n\n"
        "On a machine of your own, that the exchange's operator cannot reach: [bold]init[/bold] once, then "
        "[bold]run[/bold]. Hand the verifier key to everybody who is to trust you."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
)
console = Console(highlight=False)

FolderOption = Annotated[Path, typer.Option(help="The witness's own folder.", file_okay=False)]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        help="File with a regulator's API key: bodies and money are judged and kept. Without it, public leaves alone.",
        exists=True,
        dir_okay=False,
    ),
]


@app.command()
def init(
    folder: FolderOption,
    name: Annotated[
        str, typer.Option(help="The witness's name in cosignatures, such as witness.example.cn/w1.")
    ],
    log_vkey: Annotated[
        str, typer.Option(help="The log's verifier key, got elsewhere than from the exchange.")
    ],
    log_url: Annotated[str, typer.Option(help="The exchange's address.")],
) -> None:
    """Make a witness: its key stays in the folder. Prints what to hand out, and the token that opens its bundles."""
    from exchange.witness import make

    vkey, token = make(folder, name=name, log_vkey=log_vkey, url=log_url)
    console.print(f"[green]✓[/] witness made in {folder}", soft_wrap=True)
    console.print(f"  verifier key (publish it)  {vkey}", soft_wrap=True)
    console.print(f"  token for bodies (keep it) {token}", soft_wrap=True)
    console.print("Next: [bold]exchange witness run[/bold].")


@app.command()
def run(
    folder: FolderOption,
    key_file: KeyFileOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8100,
    every: Annotated[float, typer.Option(help="Seconds from one look to the next.", min=0.1)] = 10.0,
    once: Annotated[
        bool,
        typer.Option("--once", help="Look once and end; exit status 1 where that failed, or on an alarm."),
    ] = False,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of an alarm.")] = "en",
) -> None:
    """Follow the log and cosign what holds, until stopped. After an alarm nothing is signed until `resume`."""
    from exchange.witness import Witness, serve

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    witness = Witness(folder, lambda: int(time.time()), _key_in(key_file))
    try:
        if once:
            witness.look()
            found = witness.alarm
            if found is not None:
                console.print(f"[bold red]{'警报' if lang == 'zh' else 'ALARM'}[/]", soft_wrap=True)
                console.print(found.zh if lang == "zh" else found.en, markup=False, soft_wrap=True)
                raise typer.Exit(1)
            if witness.problem:
                console.print(f"[red]✗[/] {witness.problem}", soft_wrap=True)
                raise typer.Exit(1)
            console.print(f"[green]✓[/] {witness.judged} entries judged")
            return
        console.print(f"witnessing {witness.log.name} on http://{host}:{port}", soft_wrap=True)
        asyncio.run(serve(witness, host, port, every_s=every))
    finally:
        witness.close()


@app.command()
def show(folder: FolderOption) -> None:
    """Print what the witness knows as JSON; works beside a running one."""
    said = json.loads((folder / "witness.json").read_bytes())
    del said["token_digest"]
    alarm = folder / "alarm.json"
    note = folder / "checkpoint"
    said["alarm"] = json.loads(alarm.read_bytes()) if alarm.exists() else None
    said["checkpoint"] = note.read_text("utf-8") if note.exists() else None
    said["bundles"] = [path.name for path in sorted((folder / "bundles").glob("*.zip"))]
    typer.echo(json.dumps(said, ensure_ascii=False, indent=1))


@app.command()
def resume(
    folder: FolderOption,
    note: Annotated[str, typer.Option(help="What was found, and why it is right to go on; it is kept.")],
) -> None:
    """Go on after an alarm that was looked into. Stop the witness first."""
    from exchange.witness import Witness

    witness = Witness(folder, lambda: int(time.time()))
    try:
        alarm = witness.resume(note)
    finally:
        witness.close()
    console.print(f"[green]✓[/] the alarm {alarm.kind} of {alarm.time_s} is answered; run the witness again")


def _key_in(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise Malformed("witness.key_file", f"{path} cannot be read: {error}", field="--key-file") from error
