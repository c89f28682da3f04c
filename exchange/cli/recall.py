"""Commands for a log that a loss has cut short: take back what a witness kept, or end it and begin its successor."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from exchange.cli.audit import note_in, progress_bar
from exchange.settings import Settings
from ledger.checkpoint import Signer

if TYPE_CHECKING:
    from exchange.keys import Keys

console = Console(highlight=False)

WITNESS_HELP = "A witness's address, or its folder (or a copy of it)."
TOKEN_HELP = "File with the token that `exchange witness init` printed, which opens the witness's bundles."  # noqa: S105  # a help text

TokenFile = Annotated[Path | None, typer.Option(help=TOKEN_HELP, exists=True, dir_okay=False)]


def recall(
    witness: Annotated[str, typer.Option(help=WITNESS_HELP)],
    token_file: TokenFile = None,
) -> None:
    """Take back what the database has lost and a witness kept, each entry decided again and proven.

    The database may be empty or a restored backup; the exchange must not run. Stopped in the middle, it goes on where it
    was. Product files are not in the log: they come back with `exchange restore`.
    """
    from exchange import crash, keys
    from exchange.backup import behind, no_longer_behind
    from exchange.database import addresses, upgrade

    settings = Settings.from_environment(os.environ)
    ours = keys.load(settings.keys_dir)
    if settings.crash_at is not None:
        crash.arm(settings.crash_at)
    with addresses(settings, say=_say) as reached:
        upgrade(reached.app_url, reached.owner_url)
        size = take_back(reached.app_url, ours, settings, witness, token_file)
    console.print(f"[green]✓[/] recalled and proven: the log has {size} entries", soft_wrap=True)
    seen = behind(settings.data_dir)
    if seen is not None and seen > size:
        console.print(
            f"[yellow]still behind[/]: {seen} entries were seen outside; recall from another witness, or end the log with"
            " [bold]exchange succeed[/bold].",
            soft_wrap=True,
        )
        raise typer.Exit(3)
    no_longer_behind(settings.data_dir)
    console.print("Next: [bold]exchange serve[/bold].")


def take_back(app_url: str, ours: Keys, settings: Settings, witness: str, token_file: Path | None) -> int:
    """Recall from a witness, with a bar; gives the log's size."""
    from exchange.recall import bundles_from, recall

    token = None if token_file is None else note_in(token_file).strip()
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        found = bundles_from(witness, token, Path(folder), say=_say)
        task = progress.add_task("recalling", total=None)
        return asyncio.run(
            recall(
                app_url,
                ours,
                settings,
                found,
                _say,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
        )


def succeed(
    origin: Annotated[
        str, typer.Option(help="Name of the log that goes on; not the one of the log that ends.")
    ],
    reason: Annotated[str, typer.Option(help="Why, in one line; it is signed and published.")],
    held: Annotated[
        list[Path] | None,
        typer.Option(
            help="A signed checkpoint that a witness, a client or you kept: what was seen. Repeatable.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Sign with a new key from now on; the old one is kept.")
    ] = False,
) -> None:
    """End the log here with a signed note, where what others saw of it is lost, and go on under another name.

    The exchange must not run. Everything that is here stays; the note says what is not.
    """
    import time

    from exchange import keys
    from exchange.backup import behind, no_longer_behind
    from exchange.database import addresses, upgrade
    from exchange.settings import log_name
    from exchange.succession import succeed as end_and_go_on

    settings = Settings.from_environment(os.environ)
    log_name("--origin", origin)
    ours = keys.load(settings.keys_dir)
    notes = [note_in(path) for path in held or ()]
    next_key = keys.next_log_key(settings.keys_dir) if new_key else ours.log
    with addresses(settings, say=_say) as reached:
        upgrade(reached.app_url, reached.owner_url)
        done = asyncio.run(
            end_and_go_on(
                reached.app_url,
                ours,
                settings.origin,
                Signer(origin, next_key),
                reason=reason,
                held=notes,
                seen_size=behind(settings.data_dir),
                clock=lambda: time.time_ns() // 1000,
            )
        )
    size = done.ended.size
    if new_key:
        keys.retire_log_key(settings.keys_dir, f"log-ended-at-{size}")
    note = settings.data_dir / f"ended-at-{size}.note"
    note.write_text(done.note, encoding="utf-8")
    anchor = settings.data_dir / "anchor.json"
    if done.ended.lost and anchor.exists():
        # Its contract may hold a larger size, and takes no smaller one: the successor deploys its own.
        anchor.rename(settings.data_dir / f"anchor-ended-at-{size}.json")
    no_longer_behind(settings.data_dir)
    lost = f", {done.ended.lost} more were seen and are lost" if done.ended.lost else ""
    console.print(f"[green]✓[/] {settings.origin} ended with {size} entries{lost}", soft_wrap=True)
    console.print(f"  the signed note, for everybody  {note}", soft_wrap=True)
    console.print(f"  log key (publish it)            {done.ended.successor}", soft_wrap=True)
    console.print(
        f"Next: set EXCHANGE_ORIGIN to {origin}, take a full backup, have witnesses begin anew with the new key"
        f"{', share the keys anew' if new_key else ''}, then [bold]exchange serve[/bold].",
        soft_wrap=True,
    )


def _say(line: str) -> None:
    console.print(f"  [dim]{line}[/]", soft_wrap=True)
