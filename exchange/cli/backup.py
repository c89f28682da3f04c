"""Commands of whoever keeps an exchange: back it up, see what there is, bring it back."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.console import Console
from rich.table import Table

from exchange.cli.audit import note_in
from exchange.cli.recall import TokenFile, take_back
from exchange.errors import ExchangeError, Misconfigured, Unavailable
from exchange.settings import Settings, store_address
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from exchange.backup import Aim, Proof, Store
    from exchange.database import Database
    from exchange.embedded import Postgres
    from ledger.checkpoint import Signer

app = typer.Typer(
    help="Back the exchange up, whether it runs or not; without a word behind it: one backup, now.",
)
console = Console(highlight=False)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STORE_HELP: Final = "A directory, or s3://BUCKET/PREFIX; default EXCHANGE_BACKUP_TARGET."
_DAY_US: Final = 86_400_000_000


@app.callback(invoke_without_command=True)
def backup(
    context: typer.Context,
    store: Annotated[str | None, typer.Option(help=_STORE_HELP)] = None,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only what changed since the newest backup there.")
    ] = False,
) -> None:
    """Copy database, log and products, encrypted, and read the copy back to verify it."""
    if context.invoked_subcommand is not None:
        return
    from exchange import keys
    from exchange.backup import Keeper
    from exchange.embedded import own_cluster

    settings = _own_cluster_settings()
    signer = keys.load(settings.keys_dir).signer(settings.origin)
    kept = _store(settings, store, keys.backup_key(settings.keys_dir, make=True), make=True)
    with own_cluster(settings.data_dir, beside=True, say=_say) as postgres:
        keeper = Keeper(
            kept,
            postgres,
            settings.data_dir,
            tip=lambda: asyncio.run(newest_checkpoint(postgres.app_url, signer)),
            clock_us=lambda: time.time_ns() // 1000,
            say=_say,
        )
        made = keeper.take(incremental=incremental)
        gone = keeper.prune(made.started_us - settings.backup_keep_days * _DAY_US)
    console.print(f"[green]✓[/] {made.name} in {kept.address}", soft_wrap=True)
    console.print(
        f"  {made.stored_bytes / 2**20:,.1f} MiB, {made.products} products, up to entry {made.size_after}, "
        "read back and verified"
    )
    if gone:
        console.print(f"  {len(gone)} older than {settings.backup_keep_days} days removed")
    console.print(
        f"  [yellow]private keys are not in it[/]: share them among officers with `exchange keys split`,"
        f" or copy {settings.keys_dir} to a place of its own",
        soft_wrap=True,
    )


@app.command("list")
def list_backups(store: Annotated[str | None, typer.Option(help=_STORE_HELP)] = None) -> None:
    """Show the backups of a store, and from when to when every moment can be restored."""
    from exchange import keys
    from exchange.backup import backups, forks, living, reached

    settings = Settings.from_environment(os.environ)
    kept = _store(settings, store, keys.backup_key(settings.keys_dir))
    among = backups(kept)
    usable = living(among, forks(kept))
    table = Table(title=str(kept.address), title_justify="left")
    for name in ("backup", "kind", "MiB", "entries", "begun", "verified"):
        table.add_column(name, no_wrap=True, justify="right" if name in {"MiB", "entries"} else "left")
    for made in among:
        kind = "full" if made.below is None else f"on {made.below}"
        table.add_row(
            made.name,
            kind if made in usable else f"{kind}, left behind by a restore",
            f"{made.stored_bytes / 2**20:,.1f}",
            f"0-{made.size_after}",
            _iso(made.started_us),
            _iso(made.verified_us),
        )
    console.print(table)
    upto = reached(kept)
    if usable and upto is not None:
        console.print(
            f"Every moment from {_iso(usable[0].ended_us)} to {_iso(upto.time_us)}, every entry from"
            f" {usable[0].size_after} to {upto.size - 1}: [bold]exchange restore --to[/bold].",
            soft_wrap=True,
        )


def restore(
    store: Annotated[str | None, typer.Argument(help=_STORE_HELP, show_default=False)] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="Recover up to this moment, such as 2026-01-31T12:00:00+08:00, or up to the act that brought this"
            " entry of the log, such as 1234; default: everything.",
        ),
    ] = None,
    wal: Annotated[
        list[Path] | None,
        typer.Option(
            help="Log that the store may lack: postgres/wal_archive of the lost cluster, then its postgres/data/pg_wal.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    held: Annotated[
        list[Path] | None,
        typer.Option(
            help="A signed checkpoint kept elsewhere; what comes back has to contain it. Repeatable.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(
            help="A witness's address, or its folder: its newest checkpoint has to be contained, and what is missing is"
            " taken back from it. Repeatable."
        ),
    ] = None,
    token_file: TokenFile = None,
    keep_behind: Annotated[
        bool,
        typer.Option(
            "--keep-behind",
            help="Keep what came back although more was seen outside and nobody has it: to end the log, not to serve.",
        ),
    ] = False,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the verdict.")] = "en",
) -> None:
    """Bring a backup back into EXCHANGE_DATA_DIR, and keep it only when it is proven against what was seen outside."""
    from exchange import keys
    from exchange.backup import restore as bring_back
    from ledger.checkpoint import Verifier, open_note

    settings = _own_cluster_settings()
    ours = keys.load(settings.keys_dir)
    signer = ours.signer(settings.origin)
    aim = None if to is None else _aim(to)
    outside = [note_in(path) for path in held or ()] + [newest_note(place) for place in witness or ()]
    for note in outside:  # before anything is fetched
        open_note(note, [Verifier.parse(signer.vkey)])

    def judge(postgres: Postgres, inside: Sequence[str]) -> Proof:
        return asyncio.run(prove(postgres, settings, signer, inside, outside, lang))

    def take(postgres: Postgres, seen: int) -> int:
        size = 0
        for place in witness or ():
            try:
                size = take_back(postgres.app_url, ours, settings, place, token_file)
            except (ExchangeError, LedgerError) as error:
                _say(f"nothing is taken back from {place}: {error}")
            if size >= seen:
                break
        return size

    proof = bring_back(
        _store(settings, store, keys.backup_key(settings.keys_dir)),
        settings.data_dir,
        judge=judge,
        aim=aim,
        segments=wal or (),
        recall=take if witness else None,
        keep_behind=keep_behind,
        say=_say,
    )
    if not proof.ok:
        console.print(
            f"[yellow]kept, behind[/]: {proof.size} entries of {proof.seen_size} that were seen outside",
            soft_wrap=True,
        )
        console.print("No exchange serves it. Next: [bold]exchange succeed[/bold].")
        return
    console.print(
        f"[green]✓[/] restored and proven: {proof.size} entries, root {proof.root.hex()}", soft_wrap=True
    )
    console.print(proof.words, markup=False, soft_wrap=True)
    console.print("Next: [bold]exchange serve[/bold].")


async def newest_checkpoint(app_url: str, signer: Signer) -> str:
    """The signed checkpoint of the newest committed head."""
    from exchange.database import Database
    from ledger.checkpoint import sign
    from ledger.log import read_head

    async with await Database(app_url).connect() as connection:
        return sign((await read_head(connection)).checkpoint(), signer)


async def prove(
    postgres: Postgres,
    settings: Settings,
    signer: Signer,
    inside: Sequence[str],
    outside: Sequence[str],
    lang: Literal["zh", "en"],
) -> Proof:
    """Export what came back and judge it like a stranger would, but with the keys and checkpoints kept here, and with
    the last anchor where a chain is set.

    NoteError where a checkpoint is not one that this log signed.
    """
    from exchange.backup import Proof
    from exchange.database import Database, upgrade
    from exchange.oversight import export
    from ledger.anchor import anchor_reader
    from ledger.audit import audit
    from ledger.checkpoint import Verifier, open_note

    upgrade(postgres.app_url, postgres.owner_url)
    verifiers = [Verifier.parse(signer.vkey)]
    sizes = {note: open_note(note, verifiers).checkpoint.size for note in (*inside, *outside)}
    database = Database(postgres.app_url)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle.zip"
        size = open_note(await newest_checkpoint(postgres.app_url, signer), verifiers).checkpoint.size
        async with database.reader() as session:
            await export(session, bundle, signer)
        anchored, agrees = await _anchored(database, settings)
        await database.close()
        verdict = audit(
            bundle,
            [signer.vkey],
            None if settings.chain_url is None else anchor_reader(settings.chain_url),
            held=[note for note in sizes if sizes[note] <= size],
        )
    words = verdict.explain(lang)
    if anchored:
        words += "\n" + _chain_words(anchored, size, agrees, lang)
    # What the store itself has seen and the log lacks is a loss like any other.
    return Proof(verdict.size, verdict.root, verdict.ok and agrees, words, max([anchored, *sizes.values()]))


async def _anchored(database: Database, settings: Settings) -> tuple[int, bool]:
    """The size that the chain holds (0: none, or no chain is set), and whether the log, as far as it goes, agrees."""
    from ledger.anchor import Anchor
    from ledger.anchors import anchors
    from ledger.log import read_head, root_at

    if settings.chain_url is None:
        return 0, True
    async with await database.connect() as connection:
        known = await anchors(connection)
        if not known:
            return 0, True
        size, root = await asyncio.to_thread(Anchor(settings.chain_url, known[-1]["contract"]).read)
        newest = (await read_head(connection)).edge.size
        agrees = not 0 < size <= newest or await root_at(connection, size) == root
    return size, agrees


def _chain_words(anchored: int, size: int, agrees: bool, lang: Literal["zh", "en"]) -> str:
    if not agrees:
        return (
            f"[不通过] 链上最后锚定的 {anchored} 条与此日志不一致"
            if lang == "zh"
            else f"[FAILED] The chain's last anchor, of {anchored} entries, is not of this log"
        )
    if anchored > size:
        return (
            f"[不通过] 链上已锚定 {anchored} 条,恢复后只有 {size} 条"
            if lang == "zh"
            else f"[FAILED] The chain has anchored {anchored} entries, what came back has {size}"
        )
    return (
        f"[通过] 链上最后锚定的 {anchored} 条在此日志上"
        if lang == "zh"
        else f"[passed] The chain's last anchor, of {anchored} entries, lies on this log"
    )


def newest_note(place: str) -> str:
    """The newest checkpoint of a witness: what its address serves, or what lies in its folder."""
    if not place.startswith(("http://", "https://")):
        return note_in(Path(place) / "checkpoint")
    import httpx

    try:
        answer = httpx.get(f"{place.rstrip('/')}/checkpoint", timeout=10.0)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(
            "backup.witness",
            f"the witness at {place} gives no checkpoint: {error}",
            remedy="see whether it runs, or name its folder; without a witness's word a restore is not proven",
        ) from error
    return answer.text


def _store(settings: Settings, text: str | None, key: bytes, *, make: bool = False) -> Store:
    from exchange.backup import Store

    address = settings.backup_target if text is None else store_address("--store", text, os.environ)
    if address is None:
        raise Misconfigured(
            "backup.no_target",
            "no store was named",
            field="EXCHANGE_BACKUP_TARGET",
            rule="a backup lies in a store: a directory, on another disk if you can, or s3://BUCKET/PREFIX",
            remedy="name one, or set EXCHANGE_BACKUP_TARGET",
        )
    return Store(address, key, make=make)


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


def _aim(text: str) -> Aim:
    from exchange.backup import Index, Moment

    if re.fullmatch("[0-9]{1,18}", text):
        return Index(int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Misconfigured(
            "backup.time",
            f"{text!r} is no moment and no entry",
            field="--to",
            rule="a moment is written after ISO 8601, with its offset from UTC; an entry by its index in the log",
            remedy="write it like 2026-01-31T12:00:00+08:00, or like 1234",
        )
    return Moment((moment - _EPOCH) // timedelta(microseconds=1))


def _iso(time_us: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%SZ}"


def _say(line: str) -> None:
    console.print(f"  [dim]{line}[/]")
