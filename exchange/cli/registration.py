"""Commands of the register: applications and what registrars decide of them, public notices, certificates that verify offline."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from exchange.cli.connection import (
    DEFAULT_URL,
    UNTRUSTED,
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
    notes,
)
from exchange.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from exchange.messages.registration import ApplicationView, CertificateDetail, CounterMessage

app = typer.Typer(
    help="Registration: apply, acceptance, formal review, public notice, code; and what becomes of it afterwards.",
    no_args_is_help=True,
)

Application = Annotated[
    str, typer.Argument(help="The application, such as app-5f0c3a9e7d21b846.", metavar="APPLICATION")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is sealed in the log.")]

ACTS_ZH = {
    "initial": "首次登记",
    "permit": "许可登记",
    "transfer": "转移登记",
    "change": "变更登记",
    "correct": "更正登记",
    "renew": "续展登记",
    "cancel": "注销登记",
}
STATES_ZH = {
    "applied": "待受理",
    "accepted": "待审核",
    "noticed": "公示中",
    "concluded": "已生效",
    "returned": "已退回",
    "rejected": "已驳回",
    "withdrawn": "已撤回",
    "valid": "有效",
    "expired": "已到期",
    "cancelled": "已注销",
    "revoked": "已撤销",
}
RIGHTS_ZH = {"right_hold": "持有权", "right_use": "使用权", "right_operate": "经营权"}


@app.command()
def apply(
    asset: Annotated[str, typer.Argument(help="The asset, such as ast-5f0c3a9e7d21b846.", metavar="ASSET")],
    act: Annotated[
        Literal["initial", "permit", "transfer", "change", "correct", "renew", "cancel"],
        typer.Argument(
            help="What is applied for; the first registration unless you say otherwise.", metavar="ACT"
        ),
    ] = "initial",
    rights: Annotated[
        list[str] | None,
        typer.Option(
            "--right",
            help="A right that a first registration claims (right_hold, right_use, right_operate); all three unless given.",
        ),
    ] = None,
    grant: Annotated[
        str | None, typer.Option(help="The right that is permitted or moved.", metavar="RIGHT")
    ] = None,
    to: Annotated[str | None, typer.Option(help="The party that gets it.", metavar="PARTY")] = None,
    until: Annotated[
        str | None, typer.Option(help="The end of a permit: a day or a moment.", metavar="WHEN")
    ] = None,
    exclusive: Annotated[
        bool, typer.Option("--exclusive", help="Nobody else gets the right meanwhile.")
    ] = False,
    title: Annotated[str | None, typer.Option(help="The title that is to stand (change, correct).")] = None,
    summary: Annotated[str | None, typer.Option(help="The summary that is to stand.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why (change, correct, cancel).")] = None,
    scan: Annotated[
        Path | None,
        typer.Option(
            help="At the counter: the scanned paper form; its digest alone is sent.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    party: Annotated[
        str | None, typer.Option(help="At the counter: whose form it is.", metavar="PARTY")
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="At the counter: who signed it.", metavar="PERSON")
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Put an act of registration before the registrar, as a department or holder, or from paper as a registrar's clerk."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.apply(
            asset,
            act,
            rights=[_right(one) for one in rights or ()],
            grant=grant,
            to=to,
            exclusive=exclusive,
            ends_us=None if until is None else instant_us(until),
            title=title,
            summary=summary,
            reason=reason,
            counter=_counter(scan, party, person),
            identifier=identified(identifier, lang),
        )
    name, due = came.outcome["application"], moment(int(came.outcome["due_us"]))
    done(
        came,
        f"已申请{ACTS_ZH[act]}:{name},登记机构应在 {due} 前受理",
        f"applied for: {name}; the registrar has to take it in by {due}",
        lang,
        json=json,
    )


@app.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="Only those that stand so: applied, accepted, noticed …")
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List your party's applications; for a registrar or regulator all of them, the one that is due first on top.

    Exit status 1 says that one is overdue.
    """
    with connected(url, key_file, vkey, remember, lang) as market:
        found = sorted(
            market.applications(state=state), key=lambda one: (one.due_us is None, one.due_us, one.id)
        )
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
    else:
        _applications(found, lang)
    if any(one.overdue for one in found):
        raise typer.Exit(1)


def _applications(found: list[ApplicationView], lang: Lang) -> None:
    zh = lang == "zh"
    head = ("申请", "事项", "资产", "状态", "办理期限(UTC+8)", "公示至(UTC+8)") if zh else (
        "application", "act", "asset", "state", "due (UTC+8)", "notice ends (UTC+8)"
    )  # fmt: skip
    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name, no_wrap=name == head[0], overflow="fold")
    for one in found:
        due = "-" if one.due_us is None else moment(one.due_us) + (" !" if one.overdue else "")
        table.add_row(
            one.id,
            ACTS_ZH[one.act] if zh else one.act,
            one.asset,
            STATES_ZH[one.state] if zh else one.state,
            due,
            "-" if one.ends_us is None else moment(one.ends_us),
        )
    console.print(table)


@app.command()
def show(
    application: Application,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show one application with everything in it: who decided what, and the objections."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.application(application)
    _members(found.model_dump(mode="json"), json=json)


@app.command()
def accept(
    application: Application,
    missing: Annotated[
        str | None,
        typer.Option("--return", help="Return it instead, with what is missing.", metavar="REASON"),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take an application in for its formal review, or return it (registrar)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.accept(application, missing=missing, identifier=identified(identifier, lang))
    zh, en = ("已受理", "accepted") if missing is None else ("已退回", "returned")
    done(came, f"{application} {zh}", f"{application} {en}", lang, json=json)


@app.command()
def review(
    application: Application,
    decision: Annotated[
        Literal["pass", "return", "reject"],
        typer.Argument(help="What the review comes to.", metavar="DECISION"),
    ] = "pass",
    reason: Annotated[str | None, typer.Option(help="Why it is returned or rejected.")] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Review an accepted application as the second registrar; passed, its public notice begins."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.review(application, decision, reason=reason, identifier=identified(identifier, lang))
    ends = came.outcome["ends_us"]
    zh, en = {"return": ("退回", "returned"), "reject": ("驳回", "rejected"), "pass": ("", "")}[decision]
    if ends is not None:
        zh, en = f"审核通过,公示至 {moment(int(ends))}", f"passed; its notice runs until {moment(int(ends))}"
    done(came, f"{application} {zh}", f"{application} {en}", lang, json=json)


@app.command()
def withdraw(
    application: Application,
    reason: Reason,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take your application back before it takes effect."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.withdraw_application(application, reason, identifier=identified(identifier, lang))
    done(came, f"{application} 已撤回", f"{application} is withdrawn", lang, json=json)


@app.command()
def notices(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the public notices, the one that ends first on top. Needs no key."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = sorted(market.notices(), key=lambda one: (one.ends_us, one.application))
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
        return
    zh = lang == "zh"
    head = ("公示", "事项", "名称", "申请人", "公示至(UTC+8)") if zh else (
        "notice", "act", "title", "applicant", "ends (UTC+8)"
    )  # fmt: skip
    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name, no_wrap=name == head[0], overflow="fold")
    for one in found:
        act = ACTS_ZH[one.act] if zh else one.act
        table.add_row(
            one.application, act, escape(one.title), escape(one.applicant_name), moment(one.ends_us)
        )
    console.print(table)


@app.command()
def notice(
    application: Application,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show one public notice with what was said to it. Needs no key."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.notice(application)
    _members(found.model_dump(mode="json"), json=json)


@app.command()
def comment(
    application: Application,
    text: Annotated[str, typer.Argument(help="What you have to say; everybody can read it.", metavar="TEXT")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Comment on a public notice while it runs; without a key as anybody."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        came = market.comment(application, text, identifier=identified(identifier, lang))
    done(came, "意见已公开", "your comment is public", lang, json=json)


@app.command("object")
def object_(
    application: Application,
    reason: Reason,
    scan: Annotated[
        Path | None,
        typer.Option(
            help="At the counter: the scanned paper form; its digest alone is sent.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    party: Annotated[
        str | None, typer.Option(help="At the counter: whose form it is.", metavar="PARTY")
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="At the counter: who signed it.", metavar="PERSON")
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Object to a public notice as your party; what it announces waits until the objection is decided."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.file_objection(
            application,
            reason,
            counter=_counter(scan, party, person),
            identifier=identified(identifier, lang),
        )
    name = came.outcome["objection"]
    done(came, f"异议已提出:{name}", f"the objection is filed: {name}", lang, json=json)


@app.command()
def decide(
    objection: Annotated[
        str, typer.Argument(help="The objection, such as obj-5f0c3a9e7d21b846.", metavar="OBJECTION")
    ],
    decision: Annotated[
        Literal["uphold", "dismiss"], typer.Argument(help="uphold or dismiss.", metavar="DECISION")
    ],
    answer: Annotated[str, typer.Option("--answer", help="The answer to it, which everybody can read.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Uphold or dismiss an objection, as another registrar than who let the application pass."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.decide_objection(objection, decision, answer, identifier=identified(identifier, lang))
    zh, en = ("支持", "upheld") if decision == "uphold" else ("驳回", "dismissed")
    done(came, f"异议 {objection} 已{zh}", f"{objection} is {en}", lang, json=json)


@app.command()
def revoke(
    asset: Annotated[str, typer.Argument(help="The asset.", metavar="ASSET")],
    ground: Annotated[
        str, typer.Option("--ground", help="One of the rulebook's grounds (registration.revocation_grounds).")
    ],
    reason: Reason,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take a registration back (registrar, regulator). Its offers end; licences that were bought stand."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.revoke_registration(asset, ground, reason, identifier=identified(identifier, lang))
    done(came, f"{asset} 的登记已撤销", f"the registration of {asset} is revoked", lang, json=json)


@app.command()
def engage(
    asset: Annotated[str, typer.Argument(help="The asset.", metavar="ASSET")],
    provider: Annotated[
        str, typer.Argument(help="The party that assesses its compliance.", metavar="PROVIDER")
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Engage an independent service provider to assess your asset's compliance; one related to you is refused."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.engage_provider(asset, provider, identifier=identified(identifier, lang))
    name = came.outcome["engagement"]
    done(came, f"已委托合规评估:{name}", f"engaged: {name}", lang, json=json)


@app.command()
def assess(
    engagement: Annotated[
        str, typer.Argument(help="The engagement, such as cmp-5f0c3a9e7d21b846.", metavar="ENGAGEMENT")
    ],
    conclusion: Annotated[
        Literal["compliant", "conditional", "not_compliant"],
        typer.Argument(help="compliant, conditional or not_compliant.", metavar="CONCLUSION"),
    ],
    report: Annotated[
        Path,
        typer.Option(help="Your report; its digest alone is sent.", exists=True, dir_okay=False),
    ],
    summary: Annotated[str, typer.Option(help="The finding in a few words; it is sealed in the log.")],
    until: Annotated[str, typer.Option(help="Until when it stands: a day or a moment.", metavar="WHEN")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """File a compliance assessment as the provider that was engaged."""
    from exchange.messages.registration import ComplianceMessage

    finding = ComplianceMessage(
        conclusion=conclusion, report_digest=_digest(report), summary=summary, ends_us=instant_us(until)
    )
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.file_compliance(engagement, finding, identifier=identified(identifier, lang))
    done(came, f"{engagement} 已提交", f"{engagement} is filed", lang, json=json)


@app.command()
def certificate(
    code: Annotated[
        str, typer.Argument(help="The public code, such as DA-2026-TR-1a2b3c4d.", metavar="CODE")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep it as a file that verifies offline.", dir_okay=False)
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Find a certificate by its public code, each hash in it held to the log. Needs no key."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.certificate(code)
        document = None if out is None else market.certificate_document(code)
        page = f"{market.url}/{lang}/certificates/{code}"
    if out is not None:
        out.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        notes.print(f"{'已保存' if lang == 'zh' else 'kept as'} {escape(str(out))}", soft_wrap=True)
    if json:
        line(found.model_dump(mode="json"))
        return
    _certificate(found, page, lang)


def _certificate(found: CertificateDetail, page: str, lang: Lang) -> None:
    zh = lang == "zh"
    ends = "-" if found.ends_us is None else moment(found.ends_us)
    rows = [
        ("编码" if zh else "code", found.code),
        ("名称" if zh else "title", found.title),
        ("登记主体" if zh else "supplier", found.supplier_name),
        ("登记机构" if zh else "registrar", found.registrar_name or "-"),
        ("状态" if zh else "state", STATES_ZH[found.state] if zh else found.state),
        ("有效期至(UTC+8)" if zh else "stands until (UTC+8)", ends),
        ("分级" if zh else "grade", found.grade or "-"),
        *(
            (RIGHTS_ZH[one.right] if zh else one.right, one.holder_name + (" *" if one.exclusive else ""))
            for one in found.rights
            if one.active
        ),
        ("网页" if zh else "page", page),
    ]
    for name, text in rows:
        console.print(f"[dim]{name}[/]  {escape(text)}", soft_wrap=True)


@app.command()
def verify(
    file: Annotated[
        Path,
        typer.Argument(help="What `certificate --out` kept.", metavar="FILE", exists=True, dir_okay=False),
    ],
    vkey: VkeyOption = None,
    json: JsonOption = False,
    lang: LangOption = "en",
) -> None:
    """Verify a certificate's file without the exchange, by the log's key. Exit status 4 says that it does not hold.

    It proves that the registration was made and what it said; whether it still stands only the exchange can tell.
    """
    from exchange.client.certificates import verify_certificate
    from exchange.client.errors import Unproven
    from ledger.checkpoint import Verifier

    if vkey is None:
        raise Misconfigured(
            "certificate.vkey",
            "without the log's key nothing is verified",
            field="--vkey",
            remedy="pass --vkey, or set EXCHANGE_VKEY, to the key that the exchange published",
        )
    try:
        certified = verify_certificate(orjson.loads(file.read_bytes()), [Verifier.parse(vkey)])
    except orjson.JSONDecodeError as error:
        raise Malformed("certificate.form", f"{file} is no JSON: {error}", field="FILE") from error
    except Unproven as error:
        notes.print(f"[bold red]✗[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(UNTRUSTED) from error
    if json:
        line(
            {
                "asset": certified.asset,
                "code": certified.code,
                "ends_us": str(certified.ends_us),
                "holder": certified.holder,
                "index": str(certified.index),
                "title": certified.title,
            }
        )
        return
    title = certified.title or ("(已擦除)" if lang == "zh" else "(erased)")
    held = (
        f"{certified.code} {title}:{moment(certified.time_us)} 登记,日志第 {certified.index} 条,有效期至 {moment(certified.ends_us)}"
        if lang == "zh"
        else f"{certified.code} {title}: registered {moment(certified.time_us)}, entry {certified.index}, "
        f"until {moment(certified.ends_us)}"
    )
    console.print(f"[green]✓[/] {escape(held)}", soft_wrap=True)


def _right(text: str) -> Literal["right_hold", "right_use", "right_operate"]:
    match text:
        case "right_hold" | "right_use" | "right_operate":
            return text
        case _:
            raise Malformed(
                "right.name",
                f"no right {text!r}",
                field="--right",
                rule="right_hold, right_use or right_operate",
                remedy="name one of them",
            )


def _counter(scan: Path | None, party: str | None, person: str | None) -> CounterMessage | None:
    """A paper form as the counter sends it: the scan stays here."""
    if scan is None and party is None and person is None:
        return None
    if scan is None or party is None or person is None:
        raise Malformed(
            "counter.members",
            "a paper form is named in part",
            field="--scan",
            rule="at the counter: --scan, --party and --person together",
            remedy="add what is missing",
        )
    from exchange.messages.registration import CounterMessage

    return CounterMessage(party=party, person=person, scan=_digest(scan))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _members(found: dict[str, Any], *, json: bool) -> None:
    if json:
        line(found)
        return
    for name, value in found.items():
        if value not in (None, [], {}):
            said = value if isinstance(value, str) else orjson.dumps(value).decode()
            told = moment(int(value)) if name.endswith("_us") else said
            console.print(f"[dim]{name.removesuffix('_us')}[/]  {escape(told)}", soft_wrap=True)
