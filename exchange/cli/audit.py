"""Commands of whoever checks: export the log, judge a bundle offline, decide everything again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from exchange.errors import Malformed

app = typer.Typer(
    help="Export the log, and judge a bundle without any server: roots, signatures, money, awards.",
    no_args_is_help=True,
)
console = Console(highlight=False)
progress_console = Console(stderr=True)


def note_in(path: Path) -> str:
    """A signed checkpoint from a file that somebody kept; what it says is for the judge."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise Malformed("audit.held", f"{path} cannot be read: {error}", field="--held") from error


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=progress_console,
        transient=True,
        disable=not progress_console.is_terminal,
    )


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="File to write, a .zip.")],
) -> None:
    """Write the whole log of this exchange, with bodies and openings, as a bundle (beside a running server too)."""
    from exchange import keys, oversight
    from exchange.database import Database, addresses
    from exchange.settings import Settings

    settings = Settings.from_environment(os.environ)
    signer = keys.load(settings.keys_dir).signer(settings.origin)

    async def write(url: str) -> int:
        database = Database(url)
        with _bar() as bar:
            task = bar.add_task("entries")
            try:
                async with database.reader() as session:
                    return await oversight.export(
                        session,
                        out,
                        signer,
                        lambda done, total: bar.update(task, completed=done, total=total),
                    )
            finally:
                await database.close()

    with addresses(settings, beside=True) as reached:
        try:
            size = asyncio.run(write(reached.app_url))
        except OSError as error:
            raise Malformed(
                "audit.out",
                f"{out} cannot be written: {error.strerror}",
                field="out",
                remedy="name a file in a directory that exists and has room",
            ) from error
    console.print(f"[green]✓[/] {size} entries in {out}", soft_wrap=True)
    console.print(f"Judge it anywhere: exchange audit verify {out} --vkey '{signer.vkey}'", soft_wrap=True)


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="The bundle, a .zip.", exists=True, dir_okay=False)],
    vkey: Annotated[
        list[str] | None,
        typer.Option(help="A log key that you trust, got elsewhere than from the bundle. Repeatable."),
    ] = None,
    chain: Annotated[
        str | None, typer.Option(help="JSON-RPC address of the chain, to compare the anchors with.")
    ] = None,
    held: Annotated[
        list[Path] | None, typer.Option(help="A signed checkpoint that you kept from earlier. Repeatable.")
    ] = None,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the verdict.")] = "en",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False,
) -> None:
    """Judge a bundle offline, and say of each thing whether it was checked. Exit status 1 when anything is off."""
    from exchange import replay
    from ledger.audit import audit

    read_anchor = None
    if chain is not None:
        from ledger.anchor import anchor_reader

        read_anchor = anchor_reader(chain)
    notes = [note_in(path) for path in held or ()]
    with _bar() as bar:
        task = bar.add_task("entries judged")
        verdict = audit(
            bundle,
            vkey,
            read_anchor,
            lambda done, total: bar.update(task, completed=done, total=total),
            notes,
        )
    again = replay.from_bundle(bundle) if verdict.ok else None
    sound = verdict.ok and again is not None and not again.differences
    if json:
        typer.echo(orjson.dumps({**verdict.to_json(), "ok": sound, "replay": _replayed_json(again)}).decode())
    else:
        console.print(verdict.explain(lang), markup=False, soft_wrap=True)
        console.print(_replayed_words(again, lang), markup=False, soft_wrap=True)
    raise typer.Exit(0 if sound else 1)


def _replayed_json(again: object) -> object:
    from exchange.replay import Replayed

    if not isinstance(again, Replayed):
        return None
    return {
        "judged": again.judged,
        "not_judged": again.not_judged,
        "differences": [
            {"index": d.index, "what": d.what, "logged": d.logged, "replayed": d.replayed}
            for d in again.differences
        ],
    }


def _replayed_words(again: object, lang: str) -> str:
    from exchange.replay import Replayed

    zh = lang == "zh"
    if not isinstance(again, Replayed):
        return (
            "[未核对] 决定的重放:日志不可信,不再重放"
            if zh
            else "[not checked] Decisions: the log itself failed"
        )
    counts = ", ".join(f"{name} {count}" for name, count in sorted(again.judged.items())) or (
        "尚无需重新作出的决定" if zh else "there is nothing to decide yet"
    )
    if not again.differences:
        rest = (
            (f";{again.not_judged} 项因已删除而未判" if zh else f"; {again.not_judged} not judged: erased")
            if again.not_judged
            else ""
        )
        return (
            f"[通过] 重新作出的决定全部一致:{counts}{rest}"
            if zh
            else f"[passed] Decided again: {counts}{rest}"
        )
    lines = [
        f"  #{d.index} {d.what}: {'日志' if zh else 'logged'} {d.logged}, {'重放' if zh else 'replayed'} {d.replayed}"
        for d in again.differences
    ]
    head = f"[不通过] 重放有 {len(lines)} 处不同" if zh else f"[FAILED] {len(lines)} decisions differ"
    return "\n".join([head, *lines])
