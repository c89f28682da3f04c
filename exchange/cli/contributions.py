"""`exchange contributions`: what each department's data adds to an asset made of several, and how sales are shared by it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from exchange.cli.connection import (
    DEFAULT_URL,
    IdOption,
    JsonOption,
    KeyOption,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    done,
    identified,
    line,
    moment,
)
from exchange.errors import Malformed

app = typer.Typer(
    help="Share what sales leave among departments, by what each one's data was measured to add.",
    no_args_is_help=True,
)


@app.command("file")
def put(
    asset: Annotated[str, typer.Argument(help="The asset that was made of several.", metavar="ASSET")],
    game: Annotated[
        Path,
        typer.Argument(
            help='JSON: {"departments": [A, B], "worths": [0, a, b, ab]}, the worth of each coalition by its mask.',
            exists=True,
            dir_okay=False,
        ),
    ],
    report: Annotated[
        Path,
        typer.Option(
            help="The report of the measurement, whose SHA-256 is logged.", exists=True, dir_okay=False
        ),
    ],
    measure: Annotated[str, typer.Option(help="How it was measured.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Put a measurement before the departments; the shares are Shapley's values, and hold once all have accepted."""
    try:
        said = orjson.loads(game.read_bytes())
        departments, worths = list(said["departments"]), [int(worth) for worth in said["worths"]]
    except (ValueError, TypeError, KeyError) as error:
        raise Malformed(
            "contributions.game",
            f"{game} is no game: {error}",
            field="GAME",
            rule='JSON with "departments", and "worths" of their coalitions, the empty one first, whole numbers',
            remedy="write worths[mask], where bit k of the mask stands for the k-th department",
        ) from error
    evidence = hashlib.sha256(report.read_bytes()).hexdigest()
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.file_contributions(
            asset, departments, worths, measure, evidence, identifier=identified(identifier, lang)
        )
    name = came.outcome["contributions"]
    done(came, f"已提交测算 {name},待各部门确认", f"filed as {name}: the departments answer", lang, json=json)


@app.command()
def answer(
    contributions: Annotated[str, typer.Argument(help="The measurement.", metavar="CONTRIBUTIONS")],
    accept: Annotated[bool, typer.Option("--accept/--reject", help="What your department says.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Accept a measurement for your department, or reject it."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.answer_contributions(
            contributions, accept=accept, identifier=identified(identifier, lang)
        )
    states = {"accepted": "已接受,待其他部门", "agreed": "各部门均已接受,份额生效", "rejected": "已否决"}
    state = came.outcome["state"]
    done(came, states[state], f"{contributions} is {state}", lang, json=json)


@app.command("list")
def measured(
    asset: Annotated[str, typer.Argument(help="The asset.", metavar="ASSET")],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what was measured of an asset, newest first, with everybody's share."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.contributions(asset)
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
        return
    states = {"proposed": "待确认", "agreed": "生效", "rejected": "已否决", "replaced": "已被取代"}
    head = ("部门", "份额", "已接受") if lang == "zh" else ("department", "share", "accepted")
    for one in found:
        state = states[one.state] if lang == "zh" else one.state
        console.print(
            f"[bold]{one.contributions}[/] {moment(one.time_us)} {state}: {one.measure}", soft_wrap=True
        )
        table = Table(box=None, padding=(0, 2))
        for name in head:
            table.add_column(name)
        for department in one.departments:
            share = f"{one.shares_ppm[department] / 10_000:.4f} %"
            table.add_row(department, share, "✓" if department in one.accepted else "")
        console.print(table)
