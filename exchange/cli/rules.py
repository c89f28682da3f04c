"""Commands about the market's rules: show them with their sources, compare and check versions, propose and sign changes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from exchange.errors import Malformed

if TYPE_CHECKING:
    from exchange.client import Exchange
    from exchange.messages.rules import RuleMessage
    from exchange.rulebook import Rulebook

app = typer.Typer(
    help="The market's rules as data, each with its source: show, compare, check, propose, sign.",
    no_args_is_help=True,
)
console = Console(highlight=False)

Language = Literal["zh", "en"]

Url = Annotated[str | None, typer.Option(help="A running exchange, whose rules are meant.")]
Key = Annotated[
    Path,
    typer.Option(help="A file that holds your API key.", exists=True, dir_okay=False, show_default=False),
]
Lang = Annotated[Language, typer.Option(help="Language of what is printed.")]
Profile = Annotated[str, typer.Option(help="A profile that ships: cn-venue or generic.")]
Preset = Annotated[
    str | None, typer.Option(help="One of the three models: top-level, cooperation, data-driven.")
]

WORDS = {
    "rule": ("规则", "rule"),
    "value": ("取值", "value"),
    "source": ("出处", "source"),
    "effective": ("施行", "in force since"),
    "verified": ("已核原文", "source read"),
    "old": ("原值", "old"),
    "new": ("新值", "new"),
    "same": ("两个版本没有不同", "the two versions say the same"),
    "calendar": ("工作日历", "calendar"),
    "gates": ("{count} 道关口各有条款", "{count} gates of the code have their clauses"),
    "sources": ("{count} 条中 {read} 条已核原文", "{read} of {count} rules: their source was read"),
    "bounds": ("各条互不矛盾", "no rule contradicts another"),
    "digest": ("摘要与全文一致", "the digest is that of the document"),
    "year": ("{year} 年的节假日安排尚未收录", "the holidays of {year} are not in the calendar yet"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
}


def say(word: str, lang: Language, **values: object) -> str:
    """A word in the reader's language."""
    zh, en = WORDS[word]
    return (zh if lang == "zh" else en).format(**values)


@app.command()
def show(
    rules: Annotated[
        list[str] | None, typer.Argument(help="Rules, or sections (auction), to show alone.")
    ] = None,
    url: Url = None,
    version: Annotated[str | None, typer.Option(help="A version of that exchange, by its digest.")] = None,
    profile: Profile = "cn-venue",
    preset: Preset = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the document whose digest is the version's.")
    ] = False,
    lang: Lang = "en",
) -> None:
    """Show rules with value, source, clause, date, and whether the original was read."""
    book = _of_exchange(url, version) if url else _shipped(profile, preset)
    if as_json:
        sys.stdout.write(
            orjson.dumps(book.document(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
        )
        return
    wanted = [
        rule
        for name, rule in book.rules.items()
        if not rules or any(name == one or name.startswith(f"{one}.") for one in rules)
    ]
    if not wanted:
        raise Malformed(
            "rulebook.unknown",
            f"no rule {' '.join(rules or ())}",
            field="rules",
            rule="a rule is named section.rule, a section alone means all of its rules",
            remedy="`exchange rulebook show` lists them",
        )
    table = Table(title=f"{book.version}  {book.digest}", title_justify="left")
    for word in ("rule", "value", "source", "effective", "verified"):
        table.add_column(say(word, lang), overflow="fold", no_wrap=word == "rule")
    for rule in wanted:
        verified = say("yes" if rule.verified else "no", lang)
        table.add_row(rule.name, text_of(rule.value), rule.cite(), rule.effective, verified)
    console.print(table)
    console.print(f"{say('calendar', lang)}: {book.calendar.version}")


def text_of(value: Any) -> str:
    """A rule's value as a person reads and writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case tuple():
            return ", ".join(value)
        case _:
            return str(value)


@app.command()
def diff(
    old: Annotated[
        str,
        typer.Argument(
            help="A profile (cn-venue, generic/top-level), a file, or with --url a digest or `in-force`."
        ),
    ],
    new: Annotated[str, typer.Argument(help="The same, of the other one.")],
    url: Url = None,
    lang: Lang = "en",
) -> None:
    """Show what one version states otherwise than another; exit status 1 where they differ."""
    from exchange.rulebook import differences

    first, second = _named(old, url), _named(new, url)
    found = differences(first, second)
    if not found and first.calendar == second.calendar:
        console.print(say("same", lang))
        return
    table = Table(title=f"{first.version} → {second.version}", title_justify="left")
    for word in ("rule", "old", "new", "source"):
        table.add_column(say(word, lang), overflow="fold", no_wrap=word == "rule")
    for each in found:
        sides = [None if rule is None else text_of(rule.value) for rule in (each.old, each.new)]
        source = each.new or each.old
        table.add_row(each.name, sides[0] or "—", sides[1] or "—", "" if source is None else source.cite())
    if first.calendar != second.calendar:
        table.add_row(say("calendar", lang), first.calendar.version, second.calendar.version, "")
    console.print(table)
    raise typer.Exit(1)


@app.command()
def check(
    what: Annotated[
        str, typer.Argument(help="A profile, or a document as `show --json` prints it.")
    ] = "cn-venue",
    url: Url = None,
    lang: Lang = "en",
) -> None:
    """Check that a version holds together: form, bounds, a clause for each gate, its digest, the calendar's next year."""
    import time

    from exchange.rulebook import GATES, day_of, require_consistent

    book = _of_exchange(url, None) if url else _named(what, None)
    require_consistent(book)
    read = sum(rule.verified for rule in book.rules.values())
    console.print(f"[bold]{book.version}[/] {book.digest}", soft_wrap=True)
    for line in (
        say("digest", lang),
        say("bounds", lang),
        say("gates", lang, count=len(GATES)),
        say("sources", lang, count=len(book.rules), read=read),
    ):
        console.print(f"  [green]✓[/] {line}")
    year = day_of(time.time_ns() // 1000).year + 1
    if book.calendar.years and year not in book.calendar.years:
        console.print(f"  [yellow]![/] {say('year', lang, year=year)}")


@app.command()
def propose(
    change: Annotated[
        list[str],
        typer.Argument(help="NAME=VALUE each, as `fees.buyer_commission_ppm=9000`; lists parted by commas."),
    ],
    url: Annotated[str, typer.Option(help="The exchange.")],
    key_file: Key,
    effective: Annotated[str, typer.Option(help="Day (YYYY-MM-DD, in China) from which it is in force.")],
    reason: Annotated[str, typer.Option(help="Why the rules have to change.")],
    source: Annotated[str | None, typer.Option(help="Source, where it is another than before.")] = None,
    clause: Annotated[str | None, typer.Option(help="Clause of the source.")] = None,
    verified: Annotated[bool | None, typer.Option(help="Whether you read the source.")] = None,
) -> None:
    """Propose other figures from a day on; somebody else signs them with `exchange rulebook sign`."""
    from datetime import date

    from exchange.client import Exchange
    from exchange.rulebook.days import first_us

    try:
        day = date.fromisoformat(effective)
    except ValueError as error:
        raise Malformed(
            "rulebook.effective",
            effective,
            field="--effective",
            rule="YYYY-MM-DD",
            remedy="name a day to come",
        ) from error
    with Exchange(url, key=key_file.read_text("utf-8").strip()) as market:
        found = market.rulebook()
        rules = {
            name: _message(found.document["rules"], name, value, effective, source, clause, verified)
            for name, _, value in (one.partition("=") for one in change)
        }
        done = market.propose_rule_change(rules, first_us(day), reason)
    outcome = done.outcome
    console.print(
        f"[green]✓[/] {outcome['id']}: {outcome['base']['version']} → {outcome['result']['version']}"
    )
    console.print(f"  digest  {outcome['result']['digest']}", soft_wrap=True)
    console.print(f"Next: somebody else runs [bold]exchange rulebook sign {outcome['id']}[/]", soft_wrap=True)


def _message(
    rules: dict[str, Any],
    name: str,
    value: str,
    effective: str,
    source: str | None,
    clause: str | None,
    verified: bool | None,
) -> RuleMessage:
    """A rule of the exchange with another value, and another source where one is given."""
    from exchange.messages.rules import RuleMessage

    old = rules.get(name)
    if old is None or not value:
        raise Malformed(
            "rulebook.unknown",
            f"no rule {name!r}" if old is None else f"no value for {name}",
            field=name,
            rule="NAME=VALUE, of a rule that is there",
            remedy="`exchange rulebook show` lists them",
        )
    said: Any = value
    if isinstance(old["value"], bool):
        said = {"true": True, "false": False}.get(value, value)
    elif isinstance(old["value"], list):
        said = [each.strip() for each in value.split(",")]
    return RuleMessage(
        value=said,
        source=old["source"] if source is None else source,
        clause=old["clause"] if clause is None else clause,
        effective=effective,
        verified=old["verified"] if verified is None else verified,
    )


@app.command()
def proposals(
    url: Annotated[str, typer.Option(help="The exchange.")], key_file: Key, lang: Lang = "en"
) -> None:
    """List the proposed changes and what came of them."""
    from exchange.client import Exchange

    with Exchange(url, key=key_file.read_text("utf-8").strip()) as market:
        for each in market.rule_changes():
            console.print(f"[bold]{each.id}[/] {each.state} → {each.version} {each.digest}", soft_wrap=True)
            console.print(f"  {each.reason}", soft_wrap=True)
            for name, rule in each.rules.items():
                value = rule["value"]
                shown = ", ".join(value) if isinstance(value, list) else text_of(value)
                console.print(f"  {name} = {shown} ({rule['source']} {rule['clause']})", soft_wrap=True)


@app.command()
def sign(
    proposal: Annotated[str, typer.Argument(help="The proposed change.")],
    url: Annotated[str, typer.Option(help="The exchange.")],
    key_file: Key,
    reject: Annotated[bool, typer.Option("--reject", help="Reject it instead.")] = False,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Sign a change that somebody else proposed, after reading what it says; it takes effect at its date."""
    from exchange.client import Exchange

    with Exchange(url, key=key_file.read_text("utf-8").strip()) as market:
        change = market.rule_change(proposal)
        _shown(market, change.rules)
        if not yes and not typer.confirm(
            f"{'Reject' if reject else 'Sign'} {change.version} {change.digest}?"
        ):
            raise typer.Exit(1)
        done = market.decide_rule_change(proposal, change.digest, "reject" if reject else "sign", reason)
    console.print(f"[green]✓[/] {change.version} {done.outcome['state']}, entry {done.index}")


def _shown(market: Exchange, rules: dict[str, Any]) -> None:
    now = market.rulebook().document["rules"]
    for name, rule in rules.items():
        was = now.get(name, {}).get("value")
        console.print(
            f"  {name}: {was} → {rule['value']} ({rule['source']} {rule['clause']})", soft_wrap=True
        )


def _shipped(profile: str, preset: str | None) -> Rulebook:
    from exchange.rulebook import load

    return load(profile, preset)


def _of_exchange(url: str, version: str | None) -> Rulebook:
    from exchange.client import Exchange
    from exchange.rulebook import Rulebook

    with Exchange(url) as market:
        return Rulebook.from_document(market.rulebook(version).document)


def _named(name: str, url: str | None) -> Rulebook:
    """A version by what a person calls it."""
    from exchange.rulebook import Rulebook, parse

    if url is not None and (name == "in-force" or (len(name) == 64 and not Path(name).exists())):
        return _of_exchange(url, None if name == "in-force" else name)
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return parse(path.stem, path.read_bytes())
    if path.is_file():
        try:
            return Rulebook.from_document(orjson.loads(path.read_bytes()))
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
            raise Malformed(
                "rulebook.form",
                f"{name} is no rulebook: {error!r}",
                field=name,
                rule="a document as `exchange rulebook show --json` prints it, or a profile as TOML",
                remedy="print it again",
            ) from error
    profile, _, preset = name.partition("/")
    return _shipped(profile, preset or None)
