"""Commands of ratings: rate what you bought, reply, read the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
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
)

if TYPE_CHECKING:
    from exchange.messages.ratings import ScoresView

app = typer.Typer(
    help="Rate what you bought on four axes, reply to what was said of your data, read the scores.",
    no_args_is_help=True,
)

AXES = {
    "coverage": ("覆盖度", "coverage"),
    "maturity": ("成熟度", "maturity"),
    "effect": ("成效度", "effect"),
    "accuracy": ("准确度", "accuracy"),
}

Stars = Annotated[int, typer.Argument(min=1, max=5, help="One to five stars.")]


@app.command()
def give(
    licence: Annotated[str, typer.Argument(help="Your licence, as `lic-…`.", metavar="LICENCE")],
    coverage: Stars,
    maturity: Stars,
    effect: Stars,
    accuracy: Stars,
    text: Annotated[str, typer.Option("--text", help="A few words, which everybody can read.")] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Rate by your voucher: coverage, maturity, effect, accuracy; again within the time of the rulebook to change it."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.rate(licence, coverage, maturity, effect, accuracy, text, identifier=identifier)
    changed = came.outcome["state"] == "changed"
    done(
        came,
        f"{licence} 的评价已{'更改' if changed else '提交'}",
        f"your rating of {licence} is {'changed' if changed else 'given'}",
        lang,
        json=json,
    )


@app.command()
def reply(
    rating: Annotated[str, typer.Argument(help="The rating, as `rat-…`.", metavar="RATING")],
    text: Annotated[str, typer.Argument(help="What you have to say to it.", metavar="TEXT")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Reply to a rating of your data, once (supplier)."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.reply_to_rating(rating, text, identifier=identifier)
    done(came, f"已回复评价 {rating}", f"rating {rating} is replied to", lang, json=json)


@app.command()
def show(
    asset: Annotated[
        str,
        typer.Argument(help="An asset, as `ast-…`, or a department, as `org-…`.", metavar="ASSET"),
    ],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show the scores of an asset with what was said of it, or of all that a department sold. Needs no key."""
    with connected(url, None, vkey, remember, lang, keyed=False) as market:
        if not asset.startswith("ast-"):
            department = market.department_ratings(asset)
            if json:
                line(department.model_dump(mode="json"))
            else:
                _table(department.scores, lang)
            return
        found = market.ratings(asset)
    if json:
        line(found.model_dump(mode="json"))
        return
    _table(found.scores, lang)
    for one in found.ratings:
        stars = "/".join(str(getattr(one, axis)) for axis in AXES)
        console.print(f"{one.rating} {stars} {escape(one.text)}", soft_wrap=True)
        if one.reply is not None:
            console.print(f"  → {escape(one.reply)}", soft_wrap=True)


def _table(scores: ScoresView, lang: str) -> None:
    table = Table(box=None, pad_edge=False)
    zh = lang == "zh"
    for head in (
        ("维度", "平均", "人数", "1 2 3 4 5 星") if zh else ("axis", "mean", "ratings", "1 2 3 4 5 stars")
    ):
        table.add_column(head)
    for axis, names in AXES.items():
        score = getattr(scores, axis)
        mean = (
            "–"
            if score.mean_hundredths is None
            else f"{score.mean_hundredths // 100}.{score.mean_hundredths % 100:02d}"
        )
        table.add_row(names[not zh], mean, str(score.count), " ".join(map(str, score.distribution)))
    console.print(table)
