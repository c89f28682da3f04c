"""Commands about parties: who is registered, who acts for one, who holds whom, who is related and may not act, and agreements."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    identified,
    instant_us,
    line,
    moment,
)
from exchange.errors import Malformed

if TYPE_CHECKING:
    from exchange.messages.market import AgreementPartsMessage, HolderMessage, Role
    from exchange.messages.views import AgreementView, MayView

app = typer.Typer(
    help="Who is registered and who acts for it, who holds whom, who is related and so may not act, and operating agreements.",
    no_args_is_help=True,
)

Duty = Literal["system", "security", "audit", "business"]
Kind = Literal["controls", "runs", "same", "kin"]

Party = Annotated[str, typer.Argument(help="The party, as `org-…`.", metavar="PARTY")]

YES = ("yes", "true", "1", "是")

COLUMNS = ("name", "percent", "party", "state_owned", "account")

KINDS = {
    "holds": ("持有", "holds"),
    "controls": ("实际控制", "controls"),
    "runs": ("任职管理", "runs"),
    "same": ("同一人", "is the same as"),
    "kin": ("近亲属", "is of the kin of"),
    "deputy": ("代理", "is a deputy of"),
}

MEMBERS = {"active": ("在任", "acts"), "ended": ("任期已满", "term over"), "left": ("已离任", "left")}

DOCUMENTS = {
    "filed": ("待审核", "waits for review"),
    "accepted": ("已通过", "accepted"),
    "rejected": ("已退回", "rejected"),
    "expired": ("已过期", "expired"),
}

STEPS = {
    "documents": (
        "材料审核通过:exchange parties file …,再由管理员审核",
        "documents accepted: exchange parties file …, then an administrator reviews them",
    ),
    "second_person": (
        "第二人持有密钥(评估与授权须由两人完成):exchange parties invite …",
        "a second person with a key (one assesses, another authorizes): exchange parties invite …",
    ),
    "holders": (
        "股东合计 100 %:exchange parties declare …,否则不分红",
        "holders that sum to 100 %: exchange parties declare …; until then nothing is paid",
    ),
    "agreement": (
        "与部门的授权运营协议有效:由部门执行 exchange parties agree …",
        "an operating agreement in force: the department runs exchange parties agree …",
    ),
    "money": ("账户有可用资金:向银行汇款", "money on the account: pay it in at the bank"),
    "signing_key": (
        "评估报告的签名密钥:SDK 的 Exchange.add_signing_key",
        "a key that signs reports: the SDK's Exchange.add_signing_key",
    ),
}

ACTS = {"bid": ("竞买", "bid"), "approve": ("审批", "approve"), "appraise": ("评估", "appraise")}

STATES = {
    "to_come": ("未生效", "to come"),
    "in_force": ("有效", "in force"),
    "expired": ("已到期", "expired"),
}


def ppm_of(percent: str) -> int:
    """A share as people type it, in millionths, exactly: 16.5, 16.5 % or 100."""
    found = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?\s*%?", percent.strip())
    if found is None:
        raise Malformed(
            "share.form",
            f"{percent!r} is no share",
            field="percent",
            rule="a number of percent with four decimals at most",
            remedy="write 16.5",
        )
    return int(found[1]) * 10_000 + int((found[2] or "").ljust(4, "0"))


def percent_of(ppm: int) -> str:
    """Millionths as people read them."""
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


@app.command()
def register(
    code: Annotated[
        str,
        typer.Argument(help="Its unified social credit code (GB 32100); abroad its LEI.", metavar="CODE"),
    ],
    name: Annotated[str, typer.Argument(help="Its name, as the certificate has it.", metavar="NAME")],
    role: Annotated[list[str], typer.Option("--role", help="What it is here; again for a further role.")],
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--holders",
            help="An operator's holders from now on: the same CSV as for `declare`.",
            exists=True,
            dir_okay=False,
            metavar="HOLDERS",
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
    """Register an organisation by its code, which is checked (administrator). Then invite its first person.

    Roles: supplier, buyer, operator, regulator, administrator, bank, governing_body, service_provider, affiliate.
    """
    roles = _roles(role)
    said = [] if sheet is None else _holders(sheet)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.register_party(code, name, roles, said, identifier=identified(identifier, lang))
    party, waits = came.outcome["id"], came.outcome["state"] == "applicant"
    done(
        came,
        f"{party} 已登记{':材料审核通过后方可交易' if waits else ''}",
        f"{party} is registered{': it trades once its documents are accepted' if waits else ''}",
        lang,
        json=json,
    )


def _roles(said: list[str]) -> list[Role]:
    from typing import get_args

    from exchange.messages.market import Role

    known: dict[str, Role] = {role: role for role in get_args(Role)}
    unknown = [role for role in said if role not in known]
    if unknown:
        raise Malformed(
            "party.roles",
            f"no role {', '.join(unknown)}",
            field="--role",
            rule=f"one or more of {', '.join(known)}",
            remedy="name a known role",
        )
    return [known[role] for role in said]


@app.command()
def suspend(
    party: Party,
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes on the record, sealed.")],
    lift: Annotated[bool, typer.Option("--lift", help="Let it trade again.")] = False,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Suspend a party's trading, or let it trade again (regulator, administrator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.set_party_state(
            party, "active" if lift else "suspended", reason, identifier=identified(identifier, lang)
        )
    done(
        came,
        f"{party} {'已恢复' if lift else '已暂停'}",
        f"{party} {'trades again' if lift else 'is suspended'}",
        lang,
        json=json,
    )


@app.command()
def steps(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show what your party still has to do before it can act in its roles. Exit status 1: it cannot yet."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.onboarding()
    if json:
        line(found.model_dump(mode="json"))
    else:
        for one in found.steps:
            mark = "[green]✓[/]" if one.done else "[bold red]✗[/]" if one.needed else "[dim]·[/]"
            lacking = f" ({', '.join(one.missing)})" if one.missing else ""
            console.print(f"{mark} {escape(STEPS[one.step][lang == 'en'] + lacking)}", soft_wrap=True)
    if not found.ready:
        raise typer.Exit(1)


@app.command()
def people(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the people of your party: who acts, who is a deputy until when, who has left."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.people()
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        state = MEMBERS[one.state][lang == "en"]
        deputy = ""
        if one.deputy_of is not None and one.until_us is not None:
            term = "代理 {}，至 {}" if lang == "zh" else "deputy of {} until {}"
            deputy = f" [dim]{term.format(one.deputy_of, moment(one.until_us))}[/]"
        console.print(f"{one.person} {escape(one.name)} {state}{deputy}", soft_wrap=True)


@app.command()
def invite(
    party: Party,
    name: Annotated[str, typer.Argument(help="The person's name.", metavar="NAME")],
    deputy_of: Annotated[
        str | None,
        typer.Option(help="The person of that party whom this one stands in for.", metavar="PERSON"),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="A deputy's term: the day or moment with which it is over.", metavar="DAY"),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Invite a person to your party (an administrator: to any), and print the one-time link, which lives 72 hours."""
    until_us = None if until is None else instant_us(until)
    with connected(url, key_file, vkey, remember, lang) as market:
        invited = market.invite(
            party, name, deputy_of=deputy_of, until_us=until_us, identifier=identified(identifier, lang)
        )
    if json:
        line({"person": invited.person, "link": invited.link})
        return
    console.print(f"[green]✓[/] {invited.person} {escape(name)}", soft_wrap=True)
    console.print(escape(invited.link), soft_wrap=True)


@app.command()
def leave(
    person: Annotated[str, typer.Argument(help="The person, as `per-…`.", metavar="PERSON")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Somebody leaves: every key, signing key and open link ends within a second (a colleague, administrator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.end_membership(person, identifier=identified(identifier, lang))
    ended = len(came.outcome["keys"]) + len(came.outcome["signing_keys"])
    done(
        came,
        f"{person} 已离任，{ended} 把密钥失效",
        f"{person} has left, {ended} keys ended",
        lang,
        json=json,
    )


@app.command()
def charge(
    person: Annotated[str, typer.Argument(help="A colleague, as `per-…`.", metavar="PERSON")],
    duty: Annotated[
        Duty,
        typer.Argument(help="`system`, `security` or `audit`; `business` takes one away.", metavar="DUTY"),
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Charge a colleague of the venue with a duty: three persons hold the three, apart (administrator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.assign_duty(person, duty, identifier=identified(identifier, lang))
    rest = len(came.outcome["others"])
    also_zh = f"；三员已分立，其余 {rest} 人办理业务" if rest else ""
    also_en = f"; the duties are divided, {rest} others do the business" if rest else ""
    done(came, f"{person} 职责为 {duty}{also_zh}", f"{person} holds {duty}{also_en}", lang, json=json)


@app.command()
def documents(
    party: Party,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List a party's documents and what was found of each (the party itself, administrator, regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.documents(party)
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        state = DOCUMENTS[one.state][lang == "en"]
        until = "" if one.expires_us is None else f" [dim]→ {moment(one.expires_us)}[/]"
        why = "" if one.reason is None else f": {one.reason}"
        console.print(f"{one.digest} {one.kind} {state}{escape(why)}{until}", soft_wrap=True)


@app.command()
def file(
    party: Party,
    kind: Annotated[str, typer.Argument(help="What it is: business_licence, authorization_letter …")],
    document: Annotated[
        Path,
        typer.Argument(
            help="The document: only its SHA-256 is sent.", exists=True, dir_okay=False, metavar="FILE"
        ),
    ],
    expires: Annotated[
        str | None, typer.Option(help="The day or moment with which it is over.", metavar="DAY")
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show a document of a party, for somebody else to review (the party itself, administrator)."""
    digest = _digest(document)
    expires_us = None if expires is None else instant_us(expires)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.file_document(
            party, kind, digest, expires_us=expires_us, identifier=identified(identifier, lang)
        )
    done(came, f"{digest} 待审核", f"{digest} waits for review", lang, json=json)


@app.command()
def review(
    party: Party,
    document: Annotated[
        Path,
        typer.Argument(help="The document as you got it.", exists=True, dir_okay=False, metavar="FILE"),
    ],
    decision: Annotated[Literal["accept", "refuse"], typer.Argument(help="What you found.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes on the record, sealed.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Accept or refuse a document that somebody else filed (administrator)."""
    digest = _digest(document)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.review_document(
            party, digest, decision, reason, identifier=identified(identifier, lang)
        )
    zh, en = DOCUMENTS[came.outcome["state"]]
    done(came, f"{digest} {zh}", f"{digest} {en}", lang, json=json)


def _digest(document: Path) -> str:
    import hashlib

    with document.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@app.command()
def holders(
    party: Party,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show who holds a party now and what else relates it to others (the party itself, administrator, regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.holders(party)
    if json:
        line(found.model_dump(mode="json"))
        return
    zh = lang == "zh"
    table = Table(box=None, pad_edge=False)
    head = (
        ("份额", "股东", "机构", "国有", "自", "分红账户")
        if zh
        else ("share", "holder", "party", "state", "since", "account")
    )
    for at, name in enumerate(head):
        table.add_column(name, justify="left" if at else "right", overflow="fold")
    for one in found.holders:
        owned = ("是" if zh else "yes") if one.state_owned else ""
        table.add_row(
            percent_of(one.share_ppm),
            escape(one.name),
            one.party or "",
            owned,
            moment(one.since_us),
            one.account,
        )
    console.print(table)
    if found.declared_ppm != 1_000_000:
        rest = percent_of(1_000_000 - found.declared_ppm)
        said = (
            f"尚有 {rest} 未申报:申报之前不分红"
            if zh
            else f"{rest} is undeclared: until it is declared, nothing is paid"
        )
        console.print(f"[yellow]![/] {said}", soft_wrap=True)
    for each in found.relations:
        ended = "" if each.stands else (" (已终止)" if zh else " (ended)")
        console.print(
            f"{each.subject} {KINDS[each.relation][lang == 'en']} {each.object}{ended}", soft_wrap=True
        )


@app.command()
def declare(
    party: Party,
    sheet: Annotated[
        Path,
        typer.Argument(
            help="The sheet of holders: CSV, UTF-8, columns name,percent and, where they apply, party,state_owned,account.",
            exists=True,
            dir_okay=False,
            metavar="HOLDERS",
        ),
    ],
    since: Annotated[str, typer.Option(help="From which day, or moment, on they hold it.", metavar="DAY")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Declare all holders of a party from a day on (the party itself what was undeclared, an administrator anything).

    `party` names a holder that is known here. `account` is that of an earlier declaration, for a holder without `party`
    (see `exchange parties holders`), so that its dividends go on there.
    """
    said = _holders(sheet)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.declare_holders(party, instant_us(since), said, identifier=identified(identifier, lang))
    declared = percent_of(sum(one.share_ppm for one in said))
    done(
        came,
        f"{party} 的 {len(said)} 名股东已申报,合计 {declared}",
        f"{len(said)} holders of {party} declared, {declared} in all",
        lang,
        json=json,
    )


def _holders(sheet: Path) -> list[HolderMessage]:
    from pydantic import ValidationError

    from exchange.messages.market import HolderMessage

    try:
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restkey="more", restval=""))
    except (UnicodeError, csv.Error) as error:
        raise _unread(sheet, str(error)) from error
    if not rows or not {"name", "percent"} <= set(rows[0]) <= set(COLUMNS):
        raise _unread(sheet, f"columns {', '.join(map(str, rows[0])) if rows else 'and lines are missing'}")
    found = []
    for number, row in enumerate(rows, 2):
        try:
            found.append(
                HolderMessage(
                    name=row["name"],
                    share_ppm=ppm_of(row["percent"]),
                    party=row.get("party") or None,
                    state_owned=row.get("state_owned", "").strip().lower() in YES,
                    account=row.get("account") or None,
                )
            )
        except ValidationError as error:
            wrong = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
            raise _unread(sheet, f"line {number}: {wrong}") from error
    return found


def _unread(sheet: Path, detail: str) -> Malformed:
    return Malformed(
        "holders.form",
        f"{sheet}: {detail}",
        field="HOLDERS",
        rule=f"CSV in UTF-8, a header of {', '.join(COLUMNS)} (the first two at least), a line a holder",
        remedy="write the table so",
    )


@app.command()
def relate(
    subject: Annotated[str, typer.Argument(help="A party or person.")],
    relation: Annotated[
        Kind,
        typer.Argument(
            help="It controls or runs the other; a person is the same as, or kin of, another person."
        ),
    ],
    object: Annotated[str, typer.Argument(help="The other one.")],  # as the route calls it
    ended: Annotated[bool, typer.Option("--ended", help="The relation stands no longer.")] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(
            help="The document that shows it: only its SHA-256 is sent.", exists=True, dir_okay=False
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
    """Declare that two parties or persons are related, or no longer (administrator, regulator)."""
    digest = None if evidence is None else _digest(evidence)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.declare_relation(
            subject, object, relation, stands=not ended, evidence=digest, identifier=identifier
        )
    zh, en = KINDS[relation]
    done(
        came,
        f"{subject} {zh} {object}:{'已终止' if ended else '存在'}",
        f"{subject} {en} {object}: {'ended' if ended else 'stands'}",
        lang,
        json=json,
    )


@app.command()
def conflicts(
    asset: Annotated[str, typer.Argument(help="The asset.", metavar="ASSET")],
    who: Annotated[str, typer.Argument(help="A party or person.")],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Say whether somebody may bid for an asset, approve or appraise it, and by which path not (administrator, regulator).

    Exit status 1: one of the three is barred.
    """
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.conflicts(asset, who)
    told: dict[str, MayView] = {"bid": found.bid, "approve": found.approve, "appraise": found.appraise}
    if json:
        line(found.model_dump(mode="json"))
    else:
        for name, may in told.items():
            _may(name, may, lang)
    if not all(may.may for may in told.values()):
        raise typer.Exit(1)


def _may(name: str, may: MayView, lang: Lang) -> None:
    zh = lang == "zh"
    act = ACTS[name][lang == "en"]
    if may.may:
        console.print(f"[green]✓[/] {act}")
        return
    way = "; ".join(_step(step, lang) for step in may.path)
    said = f"不得{act}:{may.to}" if zh else f"may not {act}: {may.office}, {may.to}"
    console.print(f"[bold red]✗[/] {escape(said)}{': ' if way else ''}{escape(way)}", soft_wrap=True)


def _step(step: dict[str, str], lang: Lang) -> str:
    verb = KINDS[step["relation"]][lang == "en"]
    if step["relation"] == "holds":
        share = percent_of(int(step["share_ppm"]))
        verb = f"持有 {share}:" if lang == "zh" else f"holds {share} of"
    return f"{step['holder']} {verb} {step['held']}"


@app.command()
def agreements(
    expired: Annotated[
        bool, typer.Option("--expired", help="Only those that are over; exit status 1 where there are any.")
    ] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List your operating agreements, when each ends and what that touches; all of them for a regulator."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.agreements() if not expired or one.state == "expired"]
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        else:
            _agreement(one, lang)
    if expired and found:
        raise typer.Exit(1)


def _agreement(one: AgreementView, lang: Lang) -> None:
    zh = lang == "zh"
    mark = {"to_come": "[dim]·[/]", "in_force": "[green]✓[/]", "expired": "[bold red]![/]"}[one.state]
    state = STATES[one.state][lang == "en"]
    console.print(
        f"{mark} {one.supplier} → {one.operator} {percent_of(one.share_ppm)} {state} "
        f"[dim]{moment(one.starts_us)} – {moment(one.ends_us)}[/]",
        soft_wrap=True,
    )
    assets, listings = (", ".join(one.touches[name]) for name in ("assets", "listings"))
    remind = moment(one.remind_us)
    said = (
        f"到期涉及资产 {assets or '无'};挂牌 {listings or '无'};自 {remind} 起提醒"
        if zh
        else f"its end touches assets {assets or 'none'}, listings {listings or 'none'}; reminder from {remind}"
    )
    console.print(f"  {said}", soft_wrap=True)


@app.command()
def agree(
    operator: Annotated[str, typer.Argument(help="The operator, as `org-…`.", metavar="OPERATOR")],
    terms: Annotated[
        Path,
        typer.Argument(
            help="TOML with scope, products, duties, security, evaluation, exit, each in words.",
            exists=True,
            dir_okay=False,
            metavar="TERMS",
        ),
    ],
    percent: Annotated[str, typer.Option(help="The operator's part of each price net of tax.")],
    starts: Annotated[str, typer.Option("--from", help="First day or moment of the term.", metavar="DAY")],
    ends: Annotated[
        str, typer.Option("--until", help="The day or moment with which it is over.", metavar="DAY")
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Let an operator run your department's data on terms with all seven parts (supplier)."""
    said = _parts(terms)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.agree_operation(
            operator,
            ppm_of(percent),
            said,
            starts_us=instant_us(starts),
            ends_us=instant_us(ends),
            identifier=identified(identifier, lang),
        )
    done(came, f"与 {operator} 的协议已签订", f"agreed with {operator}", lang, json=json)


def _parts(terms: Path) -> AgreementPartsMessage:
    import tomllib

    from pydantic import ValidationError

    from exchange.messages.market import AgreementPartsMessage

    try:
        said: dict[str, Any] = tomllib.loads(terms.read_text(encoding="utf-8"))
        return AgreementPartsMessage.model_validate(said)
    except (tomllib.TOMLDecodeError, UnicodeError, ValidationError) as error:
        wrong = (
            ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise Malformed(
            "agreement.parts",
            f"{terms}: {wrong}",
            field="TERMS",
            rule=f"TOML with {', '.join(AgreementPartsMessage.model_fields)}, each in words",
            remedy="complete the file",
        ) from error
