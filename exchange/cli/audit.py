"""Commands of whoever checks: export the log, judge a bundle offline, decide everything again."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, overload

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from exchange.errors import Malformed

if TYPE_CHECKING:
    from exchange.client.following import Follower, Look
    from exchange.replay import Replay
    from ledger.policy import Policy

app = typer.Typer(
    help="Export the log, judge a bundle without any server, or follow a log: roots, signatures, money, awards.",
    no_args_is_help=True,
)
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        help="Which witnesses have to have cosigned (c2sp.org/tlog-policy); names the log's key as well.",
        exists=True,
        dir_okay=False,
    ),
]
console = Console(highlight=False)
progress_console = Console(stderr=True)


def note_in(path: Path) -> str:
    """A signed checkpoint from a file that somebody kept; what it says is for the judge."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise Malformed("audit.held", f"{path} cannot be read: {error}", field="--held") from error


@overload
def _policy_in(path: Path) -> Policy: ...
@overload
def _policy_in(path: Path | None) -> Policy | None: ...
def _policy_in(path: Path | None) -> Policy | None:
    from ledger.policy import Policy

    return None if path is None else Policy.parse(note_in(path))


def progress_bar() -> Progress:
    """A bar on the terminal that counts entries; nothing where there is no terminal."""
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
    start: Annotated[int, typer.Option("--from", min=0, help="Index of the first entry.")] = 0,
    stop: Annotated[
        int | None, typer.Option("--to", min=1, help="Index behind the last entry; the newest without it.")
    ] = None,
    party: Annotated[str | None, typer.Option(help="Only what this party may see.")] = None,
) -> None:
    """Write the log of this exchange as a bundle: all of it, a period, or one party's (beside a running server too).

    A period is moved outward to where a batch ended, so that signed checkpoints close it.
    """
    from exchange import keys, oversight
    from exchange.database import Database, addresses
    from exchange.settings import Settings

    settings = Settings.from_environment(os.environ)
    signer = keys.load(settings.keys_dir).signer(settings.origin)

    async def write(url: str) -> int:
        database = Database(url)
        with progress_bar() as bar:
            task = bar.add_task("entries")
            try:
                async with database.reader() as session:
                    return await oversight.export(
                        session,
                        out,
                        signer,
                        lambda done, total: bar.update(task, completed=done, total=total),
                        start=start,
                        stop=stop,
                        party=party,
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
    console.print(f"[green]✓[/] up to entry {size} in {out}", soft_wrap=True)
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
    policy: PolicyOption = None,
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
    with progress_bar() as bar:
        task = bar.add_task("entries judged")
        verdict = audit(
            bundle,
            vkey,
            read_anchor,
            lambda done, total: bar.update(task, completed=done, total=total),
            notes,
            policy=_policy_in(policy),
        )
    whole = verdict.start == 0 and verdict.check("bodies").status == "passed"
    again = replay.from_bundle(bundle) if verdict.ok and whole else None
    sound = verdict.ok and (again is None or not again.differences)
    if json:
        typer.echo(orjson.dumps({**verdict.to_json(), "ok": sound, "replay": _replayed_json(again)}).decode())
    else:
        console.print(verdict.explain(lang), markup=False, soft_wrap=True)
        console.print(_replayed_words(again, lang), markup=False, soft_wrap=True)
    raise typer.Exit(0 if sound else 1)


@app.command()
def receipt(
    file: Annotated[Path, typer.Argument(help="The receipt, as JSON.", exists=True, dir_okay=False)],
    policy: Annotated[
        Path,
        typer.Option(
            help="The log's key, and which witnesses have to have cosigned (c2sp.org/tlog-policy).",
            exists=True,
            dir_okay=False,
        ),
    ],
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the answer.")] = "en",
) -> None:
    """Verify a receipt offline, by a policy alone. Exit status 1 where it does not hold, 3 where the quorum is missing.

    A receipt without its quorum holds as far as the exchange's own word goes: it can be completed later.
    """
    from ledger.entries import receipt_from_json, verify_receipt

    trusted = _policy_in(policy)
    try:
        said = orjson.loads(note_in(file))
    except orjson.JSONDecodeError as error:
        raise Malformed("audit.receipt", f"{file} is no JSON: {error}", field="FILE") from error
    if not isinstance(said, dict):
        raise Malformed("audit.receipt", f"{file} holds no receipt", field="FILE", rule="a JSON object")
    kept = receipt_from_json(said)
    verify_receipt(kept, trusted.verifiers)
    _, found = trusted.judge(kept.checkpoint)
    zh = lang == "zh"
    words = (
        f"第 {kept.index} 条在 {kept.size} 条的日志中"
        if zh
        else f"entry {kept.index} is in a log of {kept.size}"
    )
    console.print(f"{words}\n{found.explain(lang)}", markup=False, soft_wrap=True)
    raise typer.Exit(0 if found.met else 3)


@app.command()
def follow(
    url: Annotated[str, typer.Argument(help="Address of the exchange, such as https://exchange.example.cn.")],
    vkey: Annotated[
        list[str] | None,
        typer.Option(
            help="The log key, got elsewhere than from the exchange; then witnesses' keys. Repeatable."
        ),
    ] = None,
    policy: PolicyOption = None,
    folder: Annotated[
        Path, typer.Option(file_okay=False, help="What is remembered: a folder for each log and reader.")
    ] = Path("followed"),
    key_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="File with a regulator's API key: bodies and money too."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds from one look to the next.")] = 10.0,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the verdicts.")] = "en",
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a look instead of words.")
    ] = False,
) -> None:
    """Judge the log of a running exchange as it grows, each time from where the last look ended.

    With a regulator's key bodies, money and all decisions are judged; without one the public leaves, which show
    that the log only grew. Exit status 1, with the evidence kept, as soon as anything is off.
    """
    from exchange.client.errors import ClientError, Untrusted
    from exchange.client.following import Follower
    from exchange.replay import Replay

    key = None if key_file is None else note_in(key_file).strip()
    trusted = _policy_in(policy)
    if not vkey:
        vkey = [] if trusted is None else [peer.verifier.vkey for peer in trusted.logs]
    if not vkey:
        raise Malformed(
            "audit.vkey",
            "no key of the log was given",
            field="--vkey",
            rule="the log's key, or a policy that names it",
            remedy="get it elsewhere than from the exchange",
        )
    follower = Follower(url, folder, vkey, key, policy=trusted)
    again = Replay() if key is not None else None
    try:
        if again is not None:
            for bundle in follower.bundles:
                again.take(bundle)
        while True:
            try:
                look = _look(follower)
            except Untrusted as error:
                _say_of_look({"ok": False, "why": str(error)}, str(error), json)
                raise typer.Exit(1) from error
            except ClientError as error:  # nobody answered: the next look may bring more
                _say_of_look({"ok": None, "why": str(error)}, str(error), json)
                if once:
                    raise typer.Exit(2) from error
                time.sleep(every)
                continue
            sound = _judge_look(look, again, lang, json)
            if not sound or once:
                raise typer.Exit(0 if sound else 1)
            time.sleep(every)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    finally:
        follower.close()


def _look(follower: Follower) -> Look:
    """One look, with a bar for what is fetched and one for what is judged."""
    with progress_bar() as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(f"entries {what}")
            bar.update(tasks[what], completed=done, total=total)

        return follower.look(show)


def _judge_look(look: Look, again: Replay | None, lang: Literal["zh", "en"], json: bool) -> bool:
    """Decide again what a look brought, and say all of it; True where nothing is off."""
    zh = lang == "zh"
    if look.verdict is None or look.bundle is None:
        words = f"没有新条目:{look.size} 条" if zh else f"nothing new behind entry {look.size}"
        _say_of_look({"ok": True, "start": look.start, "size": look.size}, words, json)
        return True
    decided = None
    if look.verdict.ok and again is not None:
        again.take(look.bundle)
        decided = again.market
    sound = look.verdict.ok and (decided is None or not decided.differences)
    words = look.verdict.explain(lang)
    if decided is not None:
        words += "\n" + _replayed_words(decided, lang)
    words += f"\n{'存于' if zh else 'kept in'} {look.bundle}"
    said = {
        **look.verdict.to_json(),
        "ok": sound,
        "replay": _replayed_json(decided),
        "kept": str(look.bundle),
    }
    _say_of_look(said, words, json)
    return sound


def _say_of_look(said: dict[str, object], words: str, json: bool) -> None:
    if json:
        typer.echo(orjson.dumps(said).decode())
    else:
        console.print(words, markup=False, soft_wrap=True)


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
            "[未核对] 决定的重放:须有通过核验的整部日志"
            if zh
            else "[not checked] Decisions: they need the whole log, and that it passed"
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
