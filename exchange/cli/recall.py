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


def _say(line: str) -> None:
    console.print(f"  [dim]{line}[/]", soft_wrap=True)
