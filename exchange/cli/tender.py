"""Commands of sealed tenders: look, ask and answer, bid under seal, open as a holder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from exchange.cli.connection import (
    DEFAULT_URL,
    IdOption,
    JsonOption,
    KeyOption,
    Lang,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    done,
    fen_of,
    identified,
    line,
    moment,
    yuan,
)
from exchange.cli.holder import key_in
from exchange.errors import Conflict, Malformed

if TYPE_CHECKING:
    from exchange.messages.tenders import TenderDetail

app = typer.Typer(
    help=(
        "Sealed tenders: look and ask, bid under a seal that nobody opens alone, and open as a holder.\n\n"
        "A bid is sealed on this machine; the exchange never sees its price before the opening."
    ),
    no_args_is_help=True,
)

TenderArgument = Annotated[
    str, typer.Argument(help="The tender, such as tdr-5f0c3a9e7d21b846.", metavar="TENDER")
]


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what is tendered, the newest first."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.tenders()
    going = ("published", "halted", "opening", "opened", "awarded")
    table = Table(box=None, pad_edge=False)
    head = ("招标", "资产", "状态", "估价(元)", "保证金(元)", "投标截止(UTC+8)") if lang == "zh" else (
        "tender", "asset", "state", "estimate (yuan)", "deposit (yuan)", "deadline (UTC+8)"
    )  # fmt: skip
    for name in head:
        table.add_column(name, no_wrap=name == head[0], overflow="fold")
    for one in found:
        if not every and one.state not in going:
            continue
        if json:
            line(one.model_dump(mode="json"))
        table.add_row(
            one.id,
            escape(one.asset_title),
            getattr(one.words, lang),
            yuan(one.estimate_fen),
            yuan(one.deposit_fen),
            moment(one.deadline_us),
        )
    if not json:
        console.print(table)


@app.command()
def show(
    tender: TenderArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show a tender whole: its rule and holders, what was asked and answered, its opening, award and protests."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.tender(tender)
    if json:
        line(found.model_dump(mode="json"))
        return
    for said in _told(found, lang):
        console.print(said, soft_wrap=True)


def _told(found: TenderDetail, lang: Lang) -> list[str]:
    """A tender in lines."""
    zh = lang == "zh"
    rules, committee = found.rules, found.committee
    criteria = "".join(f", {escape(name)} {int(ppm) / 10_000:g} %" for name, ppm, _ in rules["criteria"])
    lines = [
        f"[bold]{found.id}[/] {escape(found.asset_title)}  {getattr(found.words, lang)}",
        escape(found.terms or ("(已删除)" if zh else "(erased)")),
        f"{'估价' if zh else 'estimate'} {yuan(found.estimate_fen)}, {'保证金' if zh else 'deposit'} {yuan(found.deposit_fen)},"
        f" {'投标截止' if zh else 'deadline'} {moment(found.deadline_us)}",
        f"{'评分' if zh else 'rule'}: {'价格' if zh else 'price'} {int(rules['price_weight_ppm']) / 10_000:g} %{criteria}",
        f"{'持钥人' if zh else 'holders'}: {committee['threshold']} / {len(committee['holders'])}  "
        + ", ".join(holder["name"] for holder in committee["holders"]),
    ]
    for asked in found.questions:
        lines.append(f"{'问' if zh else 'Q'} {asked.id} {escape(asked.question or '-')}")
        if asked.answer is not None:
            lines.append(f"{'答' if zh else 'A'} {escape(asked.answer)}")
    for share in found.shares:
        mark = "[green]✓[/]" if share.state == "verified" else "[red]✗[/]"
        lines.append(f"{mark} {escape(getattr(share.words, lang))}")
    for row in found.opened or ():
        price = "-" if row.price_fen is None else yuan(row.price_fen)
        lines.append(f"  {row.code} {price} {getattr(row.words, lang)}")
    for score in found.scores or ():
        lines.append(f"  {score.code} {'总分' if zh else 'score'} {score.total_ppm / 10_000:g}")
    if found.winner_code is not None:
        price = yuan(found.price_fen or 0)
        lines.append(f"[bold]{'中标' if zh else 'awarded to'} {found.winner_code}[/] {price}")
    for one in found.protests:
        said = escape(f"{getattr(one.words, lang)} {one.answer or ''}")
        lines.append(f"{'异议' if zh else 'protest'} {one.id} {one.code} {said}")
    return lines


@app.command()
def halt(
    tender: TenderArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is sealed for the regulator.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Halt a tender before its deadline: nobody joins or bids, its clock stands still (administrator, regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.halt_tender(tender, reason, identifier=identified(identifier, lang))
    until = moment(int(came.outcome["resume_by_us"]))
    zh = f"{tender} 已中止,须在 {until} 前恢复或终止"
    done(came, zh, f"{tender} is halted; resume it or call it off by {until}", lang, json=json)


@app.command()
def resume(
    tender: TenderArgument,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Let a halted tender go on; its deadline moves by the time that it stood still (administrator, regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.resume_tender(tender, identifier=identified(identifier, lang))
    deadline = moment(int(came.outcome["deadline_us"]))
    zh, en = f"{tender} 已恢复,{deadline} 投标截止", f"{tender} goes on; its deadline is {deadline}"
    done(came, zh, en, lang, json=json)


@app.command()
def ask(
    tender: TenderArgument,
    question: Annotated[str, typer.Argument(help="What you want to know; your name is not told.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Ask what a tender's terms mean; the answer is for everybody."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.ask_tender(tender, question, identifier=identified(identifier, lang))
    until = moment(int(came.outcome["due_us"]))
    done(came, f"已提问,{until} 前答复", f"asked; answered by {until}", lang, json=json)


@app.command()
def answer(
    tender: TenderArgument,
    question: Annotated[str, typer.Argument(help="The question's identifier.", metavar="QUESTION")],
    text: Annotated[str, typer.Argument(help="The answer, for everybody.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Answer a question about your tender, for everybody to read."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.answer_tender(tender, question, text, identifier=identified(identifier, lang))
    done(came, f"{question} 已答复", f"{question} is answered", lang, json=json)


@app.command()
def join(
    tender: TenderArgument,
    drafter: Annotated[str, typer.Option("--drafter", help="Who drafted the bid.")],
    agent: Annotated[str, typer.Option("--agent", help="Who hands it in for you.")],
    manager: Annotated[str, typer.Option("--manager", help="Who would run the work.")],
    account: Annotated[str, typer.Option("--account", help="Bank account that the deposit comes from.")],
    purpose: Annotated[
        str, typer.Option("--purpose", help="What for, where the data is opened for some purposes alone.")
    ] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Have the deposit held and get a code; what you say of who bids is sealed for the regulator."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.join_tender(
            tender,
            drafter=drafter,
            agent=agent,
            manager=manager,
            account=account,
            purpose=purpose,
            identifier=identified(identifier, lang),
        )
    code = came.outcome["code"]
    done(came, f"已准入,代号 {code}", f"admitted, your code is {code}", lang, json=json)


@app.command()
def bid(
    tender: TenderArgument,
    price: Annotated[str, typer.Argument(help="Your price in yuan; it is sealed here.", metavar="YUAN")],
    proposal: Annotated[
        Path | None,
        typer.Option(
            "--proposal",
            help="The document that the assessors mark; its digest alone is sent.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    holders: Annotated[
        Path | None,
        typer.Option(
            "--holders",
            help='JSON of party to public key, {"org-…": "hex"}, got elsewhere than from the exchange.',
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Seal a price on this machine and hand the envelope in, in the place of the one before."""
    digest = None if proposal is None else hashlib.sha256(proposal.read_bytes()).hexdigest()
    known: dict[str, str] | None = None if holders is None else _json_in(holders)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.bid_sealed(
            tender, fen_of(price), digest, holders=known, identifier=identified(identifier, lang)
        )
    seal = came.outcome["digest"][:16]
    done(came, f"已密封递交,摘要 {seal}…", f"sealed and handed in, digest {seal}…", lang, json=json)


@app.command("hand-in")
def hand_in(
    tender: TenderArgument,
    proposal: Annotated[
        Path,
        typer.Argument(
            help="The document whose digest you sealed, unchanged.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Hand your proposal in after the opening, for the assessors; another file than was sealed is refused."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.hand_in_proposal(tender, proposal, identifier=identified(identifier, lang))
    done(came, "投标文件已提交", "the proposal is handed in", lang, json=json)


@app.command("proposal")
def proposal_(
    tender: TenderArgument,
    code: Annotated[str, typer.Argument(help="The bidder's code.", metavar="CODE")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Fetch a bidder's proposal to mark it, checked against what was sealed (its department, assessors, the regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        market.tender_proposal(tender, code, out)
    said = "与密封的摘要相符" if lang == "zh" else "the file that was sealed"
    console.print(f"[green]✓[/] {escape(str(out))}: {said}", soft_wrap=True)


@app.command()
def withdraw(
    tender: TenderArgument,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take your envelope back before the deadline."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.withdraw_envelope(tender, identifier=identified(identifier, lang))
    done(came, "密封件已撤回", "the envelope is taken back", lang, json=json)


@app.command()
def publish_key(
    public: Annotated[
        str, typer.Argument(help="The public key, as `exchange holder keygen` printed it.", metavar="PUBLIC")
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Publish the public half of your holder's key; tenders that are published from then on seal to it."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.publish_holder_key(public, identifier=identified(identifier, lang))
    done(came, "公钥已公布", "the key is published", lang, json=json)


@app.command()
def sealed(
    tender: TenderArgument,
    out: Annotated[
        Path, typer.Option("--out", help="File to write, for `exchange holder open` and `combine`.")
    ],
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Fetch the sealed bids once the deadline is over: what holders and strangers open a tender from."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.sealed_tender(tender)
    out.write_text(orjson.dumps(found.to_json()).decode())
    said = f"{len(found.bids)} 份密封件" if lang == "zh" else f"{len(found.bids)} envelopes"
    console.print(f"[green]✓[/] {escape(str(out))}: {said}", soft_wrap=True)


@app.command("open")
def open_(
    tender: TenderArgument,
    holder_key: Annotated[
        Path | None,
        typer.Option(
            "--holder-key",
            help="Your private holder's key; it does not leave this machine.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    opened: Annotated[
        Path | None,
        typer.Option(
            "--opened",
            help="Or what `exchange holder open` wrote on another machine.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    market_clock: Annotated[
        bool,
        typer.Option(
            "--market-clock", help="Go by the exchange's clock instead of this machine's, as in a sandbox."
        ),
    ] = False,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Hand in your shares of every envelope (a holder). A forged one is refused on the record, and named."""
    if (holder_key is None) is (opened is None):
        raise Malformed(
            "tender.open",
            "give one of the two",
            field="--holder-key",
            rule="shares are opened here with a key, or were opened elsewhere",
            remedy="pass --holder-key FILE, or --opened FILE",
        )
    with connected(url, key_file, vkey, remember, lang) as market:
        if opened is not None:
            submissions = _json_in(opened).get("submissions", {})
            came = market.hand_submissions(tender, submissions, identifier=identified(identifier, lang))
        else:
            assert holder_key is not None
            at_us = market.market().now_us if market_clock else None
            try:
                came = market.hand_shares(
                    tender, key_in(holder_key), at_us=at_us, identifier=identified(identifier, lang)
                )
            except ValueError as error:
                raise Conflict(
                    "holder.before_close",
                    str(error),
                    field="tender",
                    rule="no share is opened before the close: it would help to open a bid early",
                    remedy="come back after the deadline",
                ) from error
    good, needed = came.outcome["good"], came.outcome["needed"]
    done(
        came,
        f"份额已验证,{good} / {needed}",
        f"shares verified, {good} of {needed} are in",
        lang,
        json=json,
    )


@app.command()
def assess(
    tender: TenderArgument,
    people: Annotated[
        list[str], typer.Argument(help="The persons, by their identifiers here.", metavar="PEOPLE…")
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Name who marks the bids of your tender; whoever is related to a bidder or a side is refused, with the way."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.appoint_assessors(tender, people, identifier=identified(identifier, lang))
    done(came, f"已指定 {len(people)} 名评标人", f"{len(people)} assessors are named", lang, json=json)


@app.command()
def mark(
    tender: TenderArgument,
    marks: Annotated[
        Path,
        typer.Argument(
            help='JSON of code to criterion to points, {"B…": {"security": 80}}.', exists=True, dir_okay=False
        ),
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Mark every valid bid, as an assessor who was named; once all marks are in, the rule decides."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.mark_tender(tender, _json_in(marks), identifier=identified(identifier, lang))
    done(came, "评分已提交", "your marks are in", lang, json=json)


@app.command()
def why(
    tender: TenderArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Say why you won or lost a tender, from the opened bids and the marks alone."""
    with connected(url, key_file, vkey, remember, lang) as market:
        told = market.why_tender(tender)
    if json:
        line(told.model_dump(mode="json"))
        return
    console.print(escape(told.zh if lang == "zh" else told.en), soft_wrap=True)


@app.command()
def protest(
    tender: TenderArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is sealed for the regulator.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Protest against an award while the time for it runs; nothing is settled before it is decided."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.file_protest(tender, reason, identifier=identified(identifier, lang))
    until = moment(int(came.outcome["due_us"]))
    done(came, f"已提出异议,{until} 前处理", f"filed; decided by {until}", lang, json=json)


@app.command()
def decide(
    tender: TenderArgument,
    protest: Annotated[str, typer.Argument(help="The protest's identifier.", metavar="PROTEST")],
    decision: Annotated[str, typer.Argument(help="uphold or dismiss.", metavar="DECISION")],
    words: Annotated[str, typer.Argument(help="The answer, for everybody.", metavar="WORDS")],
    remedy: Annotated[
        str | None,
        typer.Option("--remedy", help="Of one that is upheld: rescore, or annul."),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Uphold a protest, so that the bids are marked anew or the tender is undone, or dismiss it (regulator)."""
    from exchange.messages.tenders import STATES, ProtestDecisionMessage

    said = ProtestDecisionMessage.model_validate({"decision": decision, "answer": words, "remedy": remedy})
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.decide_protest(
            tender,
            protest,
            said.decision,
            words,
            remedy=said.remedy,
            identifier=identified(identifier, lang),
        )
    zh, en = STATES[came.outcome["tender_state"]]
    done(came, f"已处理,招标{zh}", f"decided; the tender is now: {en}", lang, json=json)


@app.command()
def signs(
    tender: TenderArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show the signs of a rigged tender that the screens found at its opening (regulator). A sign accuses nobody."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.tender_signs(tender)
    if json:
        line(found.model_dump(mode="json"))
        return
    if found.signs is None:
        console.print("尚未开标" if lang == "zh" else "not opened yet")
        return
    for sign in found.signs:
        console.print(escape(sign[lang]), soft_wrap=True)
    if not found.signs:
        console.print("未见串标迹象" if lang == "zh" else "no sign of rigging")


def _json_in(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found
    except ValueError as error:
        raise Malformed(
            "tender.file",
            f"{path}: {error}",
            field=str(path),
            rule="a JSON object",
            remedy="give the file unchanged",
        ) from error
