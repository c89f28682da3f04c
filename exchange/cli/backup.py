"""Commands of whoever keeps an exchange: back it up, bring it back."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from exchange.cli.audit import note_in
from exchange.errors import Misconfigured
from exchange.settings import Settings

if TYPE_CHECKING:
    from exchange.backup import Proof
    from exchange.embedded import Postgres
    from ledger.checkpoint import Signer

console = Console(highlight=False)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def backup(
    target: Annotated[
        Path, typer.Argument(help="Directory that takes the backup; on another disk, if you can.")
    ],
) -> None:
    """Copy database and products of this exchange, whether it runs or not, and verify the copy."""
    from exchange import keys
    from exchange.backup import backup as back_up
    from exchange.embedded import own_cluster

    settings = _own_cluster_settings()
    signer = keys.load(settings.keys_dir).signer(settings.origin)
    with own_cluster(settings.data_dir, beside=True, say=_say) as postgres:
        made = back_up(
            postgres,
            settings.vault_dir,
            target,
            now_us=time.time_ns() // 1000,
            checkpoint=asyncio.run(_newest_checkpoint(postgres, signer)),
            say=_say,
        )
    console.print(f"[green]✓[/] {made.folder}", soft_wrap=True)
    console.print(
        f"  {made.size_bytes / 2**20:,.1f} MiB, {made.products} products, verified against its manifest"
    )
    console.print(
        f"  [yellow]private keys are not in it[/]: copy {settings.keys_dir} to another place, mode 0600",
        soft_wrap=True,
    )


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `exchange backup` made.")],
    wal: Annotated[
        list[Path] | None,
        typer.Option(
            help="Later write-ahead log: postgres/wal_archive of the lost cluster, then its postgres/data/pg_wal.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    to_time: Annotated[
        str | None, typer.Option(help="Recover up to this moment, such as 2026-01-31T12:00:00+08:00.")
    ] = None,
    held: Annotated[
        list[Path] | None,
        typer.Option(
            help="A signed checkpoint kept elsewhere, such as a witness's; what comes back has to contain it.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Bring a backup back into EXCHANGE_DATA_DIR, and keep it only when an audit proves it."""
    from exchange import keys
    from exchange.backup import restore as bring_back

    settings = _own_cluster_settings()
    signer = keys.load(settings.keys_dir).signer(settings.origin)

    def judge(postgres: Postgres, kept: Sequence[str]) -> Proof:
        return asyncio.run(_audit(postgres, signer, kept))

    proof = bring_back(
        folder,
        settings.data_dir,
        settings.vault_dir,
        judge=judge,
        held=[note_in(path) for path in held or ()],
        segments=wal or (),
        to_time_us=None if to_time is None else _microseconds(to_time),
        say=_say,
    )
    console.print(
        f"[green]✓[/] restored and proven: {proof.size} entries, root {proof.root.hex()}", soft_wrap=True
    )
    console.print(proof.words, markup=False, soft_wrap=True)
    console.print("Next: [bold]exchange serve[/bold].")


async def _newest_checkpoint(postgres: Postgres, signer: Signer) -> str:
    from exchange.database import Database
    from ledger.checkpoint import sign
    from ledger.log import read_head

    database = Database(postgres.app_url)
    async with await database.connect() as connection:
        return sign((await read_head(connection)).checkpoint(), signer)


async def _audit(postgres: Postgres, signer: Signer, kept: Sequence[str]) -> Proof:
    """Export what came back and judge it like a stranger would, but with the keys and checkpoints kept here."""
    from exchange.backup import Proof
    from exchange.database import Database, upgrade
    from exchange.oversight import export
    from ledger.audit import audit

    upgrade(postgres.app_url, postgres.owner_url)
    database = Database(postgres.app_url)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle.zip"
        async with database.reader() as session:
            await export(session, bundle, signer)
        await database.close()
        verdict = audit(bundle, [signer.vkey], held=kept)
    return Proof(verdict.size, verdict.root, verdict.ok, verdict.explain("en"))


def _own_cluster_settings() -> Settings:
    settings = Settings.from_environment(os.environ)
    if settings.database_url is not None:
        raise Misconfigured(
            "backup.other_cluster",
            "this exchange uses a cluster that it does not run",
            field="EXCHANGE_DATABASE_URL",
            rule="a cluster is backed up and restored by whoever runs it",
            remedy="use that cluster's own tools, then prove it with `exchange audit export` and `audit verify`",
        )
    return settings


def _microseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Misconfigured(
            "backup.time",
            f"{text!r} is no moment",
            field="--to-time",
            rule="a moment is written after ISO 8601, with its offset from UTC",
            remedy="write it like 2026-01-31T12:00:00+08:00",
        )
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _say(line: str) -> None:
    console.print(f"  [dim]{line}[/]")
