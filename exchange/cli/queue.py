"""The department's queue in a shell: put in what is to be sent, see where it stands, send it; and fetch an authorization."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from exchange.cli.connection import (
    DEFAULT_URL,
    NO,
    UNKNOWN,
    JsonOption,
    KeyOption,
    Lang,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    line,
    notes,
)
from exchange.desensitization.grade import Degree, Harmed
from exchange.errors import Conflict, Malformed, Misconfigured

if TYPE_CHECKING:
    from exchange.client.queue import Item, Queue, Sent, State, Told
    from exchange.messages.assets import ImpactMessage

app = typer.Typer(
    help=(
        "Keep what is to be sent to the exchange in a folder, also while it cannot be reached.\n\n"
        "Each item bears its own identifier, so that it takes effect once, however often and from wherever it is sent: after "
        "a crash, from two shells, from a copy of the folder. [bold]exchange desensitize send[/bold] sends it. A folder is "
        "one person's; whoever approves keeps another one."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Opening = Literal["open", "conditional", "closed"]

Work = Annotated[
    Path,
    typer.Argument(
        help="The asset's directory, which `exchange desensitize scan` wrote to.",
        exists=True,
        file_okay=False,
    ),
]
Folder = Annotated[
    Path, typer.Option("--queue", help="The folder of the queue, yours alone.", file_okay=False)
]
DEFAULT_FOLDER = Path("queue")
QUEUED = "queued.json"
"""In an asset's directory: which items of which queue are about it."""

ACTS = {
    "declare": ("申报资产", "declare the asset"),
    "assess": ("提交风险评估", "file the risk assessment"),
    "approve": ("审批", "approve the assessment"),
    "release": ("交付脱敏产品", "release the product"),
    "theme": ("归入主题", "assign the theme"),
    "register": ("申请登记", "apply for the registration"),
}
STEPS = {
    "declared": ("已申报", "declared"),
    "assessed": ("已评估,待审批", "assessed, waits for approval"),
    "authorized": ("已授权", "authorized"),
    "released": ("已交付", "released"),
    "themed": ("已归集", "under its theme"),
    "applied": ("登记申请中", "before the registrar"),
    "registered": ("已登记", "registered"),
}
OPENINGS = {
    "open": ("无条件开放", "open"),
    "conditional": ("有条件开放", "open on conditions"),
    "closed": ("非开放", "closed"),
}
APPROVALS = {"given": ("同意", "approved"), "returned": ("退回", "returned"), "void": ("已失效", "void")}
STATES = {
    "waiting": ("待发送", "waits"),
    "unknown": ("结果未知,重发即可", "unknown: send again"),
    "done": ("已完成", "done"),
    "refused": ("被拒绝(已入日志)", "refused, on the record"),
}


@app.command("assessment")
def assess(
    work: Work,
    harm: Annotated[
        list[str],
        typer.Option(
            help="Whom a leak would harm, how badly and why, as WHOM:DEGREE:REASON; may be repeated. WHOM is one of "
            + ", ".join(get_args(Harmed))
            + "; DEGREE one of "
            + ", ".join(get_args(Degree))
            + "."
        ),
    ],
    title: Annotated[
        str, typer.Option(help="What the data is called; for an asset that is not declared yet.")
    ] = "",
    kind: Annotated[
        str,
        typer.Option(
            help="enterprise_registration, health, transport, city, education or meteorology; goes with --title."
        ),
    ] = "",
    summary: Annotated[str, typer.Option(help="A few words about it.")] = "",
    operator: Annotated[str | None, typer.Option(help="The party that runs the data, as org-…")] = None,
    opening: Annotated[
        Opening | None,
        typer.Option(help="How far it is to be opened; left out, as the market's model has it."),
    ] = None,
    opening_reason: Annotated[
        str, typer.Option(help="Why wider than the market's model has it, where it is.")
    ] = "",
    purpose: Annotated[
        list[str] | None,
        typer.Option(
            help="The condition: for what it is opened (industry, research, …); may be repeated. Left out: for anything."
        ),
    ] = None,
    qualified: Annotated[
        bool,
        typer.Option("--qualified", help="The condition: only for buyers whose qualification was reviewed."),
    ] = False,
    state_secret: Annotated[
        bool | None,
        typer.Option(
            "--state-secret/--no-state-secret",
            help="Whether it holds state secrets. What is not answered closes.",
        ),
    ] = None,
    trade_secret: Annotated[
        bool | None,
        typer.Option("--trade-secret/--no-trade-secret", help="Whether it holds trade secrets."),
    ] = None,
    consented: Annotated[
        bool | None,
        typer.Option("--consented/--not-consented", help="Whether the persons in it consented."),
    ] = None,
    queue: Folder = DEFAULT_FOLDER,
    json: JsonOption = False,
    lang: LangOption = "en",
) -> None:
    """Queue the declaration of an asset and its risk assessment, from what scan wrote.

    For an asset that was declared before, a new assessment alone: what was approved of the old one is void by it.
    """
    from exchange.messages.assets import AssessmentMessage, AssetMessage, DeclarationsMessage

    kept = _queue(queue)
    report, policy = _object(work / "report.json"), _object(work / "policy.json")
    message = AssessmentMessage(
        raw_digest=report["raw"]["digest"],
        policy_digest=report["policy_digest"],
        policy=policy,
        report=report,
        impacts=[_impact(one) for one in harm],
        declared=DeclarationsMessage(
            state_secret=state_secret, trade_secret=trade_secret, privacy_consented=consented
        ),
        exempt_from_k=policy["exempt_from_k"] is True,
    )
    asset, put = _asset_of(work, kept), []
    if asset is None:
        if not title or not kind:
            raise Malformed(
                "queue.title",
                f"{work} is no asset yet",
                field="--title",
                rule="an asset is declared with its title and kind",
                remedy="pass --title and --kind",
            )
        declared = kept.declare(
            AssetMessage(
                title=title,
                kind=kind,
                summary=summary,
                operator=operator,
                opening=opening,
                opening_reason=opening_reason,
                purposes=purpose or [],
                qualified=qualified,
            )
        )
        put.append(declared)
        asset = _told(declared, "asset")
        (work / QUEUED).write_text(json_text.dumps({"declare": declared, "queue": str(queue.absolute())}))
    put.append(kept.assess(asset, message))
    _said(kept, put, lang, json=json)


@app.command()
def approval(
    asset: Annotated[str, typer.Argument(help="The asset, as ast-…", metavar="ASSET")],
    assessment: Annotated[str, typer.Argument(help="Its newest assessment, as ras-…", metavar="ASSESSMENT")],
    returned_for: Annotated[
        str | None, typer.Option("--return", help="Do not approve: return the file, for this reason.")
    ] = None,
    queue: Folder = DEFAULT_FOLDER,
    json: JsonOption = False,
    lang: LangOption = "en",
) -> None:
    """Queue your approval of an assessment, or the return of the file. Read the report and the policy first."""
    kept = _queue(queue)
    _said(kept, [kept.approve(asset, assessment, returned_for=returned_for)], lang, json=json)


@app.command()
def release(
    work: Work,
    theme: Annotated[str, typer.Option(help="The theme that it joins: travel, weather, medical_care, …")],
    queue: Folder = DEFAULT_FOLDER,
    json: JsonOption = False,
    lang: LangOption = "en",
) -> None:
    """Queue product and certificate as apply wrote them, the theme, and the application for the registration.

    The product is measured first, as the exchange will: a raw table does not come into the queue.
    """
    kept = _queue(queue)
    certificate = _object(work / "certificate.json")
    with notes.status("…"):
        put = [kept.release(work / "product.parquet", certificate)]
    asset = kept.item(put[0]).asset
    assert asset is not None
    put += [kept.theme(asset, theme), kept.register(asset)]
    _said(kept, put, lang, json=json)


@app.command("list")
def list_(queue: Folder = DEFAULT_FOLDER, json: JsonOption = False, lang: LangOption = "en") -> None:
    """Show every item and where it stands. Exit status 1 while one waits."""
    kept = _kept_queue(queue)
    found = [(item, kept.state(item)) for item in kept.items()]
    _shown(kept, found, lang, json=json)
    if any(state in ("waiting", "unknown") for _, state in found):
        raise typer.Exit(NO)


@app.command()
def drop(
    item: Annotated[str, typer.Argument(help="Its identifier.", metavar="ITEM")],
    queue: Folder = DEFAULT_FOLDER,
) -> None:
    """Take back an item that was never sent."""
    _kept_queue(queue).drop(item)
    console.print(f"[green]✓[/] {escape(item)}", soft_wrap=True)


def send(
    queue: Folder = DEFAULT_FOLDER,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for an answer before the rest is left for later.")
    ] = 60.0,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Send what waits in your queue, in order; each answer is kept with its receipt before the next is sent.

    Exit status 1: something was refused, or waits for that; 3: no answer came. Send again, as often as you like.
    """
    kept = _kept_queue(queue)

    def seen(item: Item, state: State) -> None:
        if not json:
            _line(kept, item, state, lang)

    sending = "正在发送…" if lang == "zh" else "sending …"
    with connected(url, key_file, vkey, remember, lang, timeout_s=timeout) as market, notes.status(sending):
        sent = kept.send(market, seen)
    if json:
        _shown(kept, [(item, kept.state(item)) for item in kept.items()], lang, json=True)
    _left(sent, lang)
    if sent.cut_off is not None:
        raise typer.Exit(UNKNOWN)
    if sent.refused or sent.problems or sent.held:
        raise typer.Exit(NO)


def show(
    asset: Annotated[str, typer.Argument(help="The asset, as ast-…", metavar="ASSET")],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show the file of an asset before you approve it: what was assessed, what is done to each column, who approved so far.

    With --json all of it, the report and the policy too.
    """
    with connected(url, key_file, vkey, remember, lang) as market:
        file = market.asset(asset)
    if json:
        line(file.model_dump(mode="json"))
        return
    zh = lang == "zh"
    one = file.asset
    console.print(f"[bold]{escape(one.title)}[/]  {one.id}", soft_wrap=True)
    declared, now = OPENINGS[one.opening_declared][not zh], OPENINGS[one.opening][not zh]
    said = "申报" if zh else "declared"
    console.print(
        f"{STEPS.get(one.state, (one.state, one.state))[not zh]}; {now} ({said}: {declared}) {escape(one.opening_reason)}",
        soft_wrap=True,
    )
    if file.assessments:
        newest = file.assessments[-1]
        graded = "级别" if zh else "grade"
        console.print(f"{newest.id}  {graded} {newest.grade}  raw {newest.raw_digest}", soft_wrap=True)
        heads = ("列", "角色", "处理", "结果示例") if zh else ("column", "role", "what is done", "becomes")
        table = Table(*heads)
        for column in newest.report["columns"]:
            shown = ", ".join(map(str, column.get("becomes") or ()))
            table.add_row(
                Text(str(column["name"])), str(column["role"]), str(column["technique"]), Text(shown)
            )
        console.print(table)
    for given in file.approvals:
        words = APPROVALS[given.state][not zh]
        level = f"第 {given.level}/{given.levels} 级" if zh else f"level {given.level} of {given.levels}"
        console.print(
            f"{level} {given.assessment} {given.approver}: {words} {escape(given.reason)}", soft_wrap=True
        )


def fetch(
    work: Work,
    queue: Folder = DEFAULT_FOLDER,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Fetch the authorization of an asset for apply, once every level has approved: writes authorization.json.

    Exit status 1 while a level is missing, and where the file was returned: it says why.
    """
    kept = _kept_queue(queue)
    asset = _asset_of(work, kept)
    name = None if asset is None else kept.told(asset)
    if name is None:
        raise Conflict(
            "queue.not_declared",
            f"{work} is no asset of the exchange yet",
            field="work",
            rule="an asset is declared before it is authorized",
            remedy="queue its assessment, and send the queue",
        )
    with connected(url, key_file, vkey, remember, lang) as market:
        file = market.asset(name)
        granted = [one for one in file.authorizations if one.state in ("granted", "used")]
        document = market.authorization_document(name, granted[-1].id) if granted else None
    if document is not None:
        path = work / "authorization.json"
        path.write_text(json_text.dumps(document))
        console.print(f"[green]✓[/] {path}", soft_wrap=True)
        return
    zh = lang == "zh"
    newest = file.assessments[-1].id if file.assessments else None
    said = [one for one in file.approvals if one.assessment == newest]
    returned = [one for one in said if one.state == "returned"]
    if returned:
        words = "文件被退回" if zh else "the file was returned"
        notes.print(f"[yellow]![/] {words}: {escape(returned[-1].reason)}", soft_wrap=True)
    else:
        given = len([one for one in said if one.state == "given"])
        words = (
            f"已有 {given} 级审批,尚未完成" if zh else f"approved by {given} levels so far, and not by all"
        )
        notes.print(f"[yellow]![/] {words} ({name}, {newest})", soft_wrap=True)
    raise typer.Exit(NO)


def _queue(folder: Path) -> Queue:
    """The queue to put into: made where there is none."""
    from exchange.client.queue import Queue

    return Queue(folder)


def _kept_queue(folder: Path) -> Queue:
    """A queue that something was put into; a misspelt folder is no empty queue."""
    if not (folder / "answers").is_dir():
        raise Misconfigured(
            "queue.folder",
            f"{folder} holds no queue",
            field="--queue",
            rule="a queue is the folder that `exchange desensitize queue` made",
            remedy="name that folder, or put something into it first",
        )
    return _queue(folder)


def _told(identifier: str, member: str) -> Told:
    from exchange.client.queue import Told

    return Told(identifier, member)


def _asset_of(work: Path, queue: Queue) -> str | Told | None:
    """The asset that a directory became, or will become; None where nothing of it was queued."""
    path = work / QUEUED
    if not path.is_file():
        return None
    declared = _object(path)["declare"]
    queue.item(declared)
    return _told(declared, "asset")


def _impact(text: str) -> ImpactMessage:
    from exchange.messages.assets import ImpactMessage

    whom, _, rest = text.partition(":")
    degree, _, reason = rest.partition(":")
    if whom not in get_args(Harmed) or degree not in get_args(Degree) or not reason.strip():
        raise Malformed(
            "queue.harm",
            f"{text!r} is no harm",
            field="--harm",
            rule=f"WHOM:DEGREE:REASON; WHOM is one of {', '.join(get_args(Harmed))}, "
            f"DEGREE one of {', '.join(get_args(Degree))}",
            remedy="write personal_rights:ordinary:a stay could be recognised",
        )
    return ImpactMessage(harmed=whom, degree=degree, reason=reason.strip())


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json_text.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(type(found).__name__)
    except (OSError, ValueError) as error:
        raise Malformed(
            "queue.work",
            f"{path} cannot be read: {error}",
            field=path.name,
            rule="a JSON object that `exchange desensitize` wrote",
            remedy="run scan, and for a release apply, with --out this directory",
        ) from error
    return found


def _said(queue: Queue, put: list[str], lang: Lang, *, json: bool) -> None:
    _shown(queue, [(queue.item(one), "waiting") for one in put], lang, json=json)


def _shown(queue: Queue, found: list[tuple[Item, State]], lang: Lang, *, json: bool) -> None:
    if json:
        for item, state in found:
            answer = queue.answer(item.identifier) or {}
            line(
                {
                    "act": item.act,
                    "identifier": item.identifier,
                    "index": answer.get("index"),
                    "outcome": answer.get("outcome"),
                    "state": state,
                }
            )
        return
    table = Table(box=None)
    heads = ("", "事项", "标识", "状态", "") if lang == "zh" else ("", "what", "item", "state", "")
    for head in heads:
        table.add_column(head, overflow="fold")
    for item, state in found:
        words = 0 if lang == "zh" else 1
        table.add_row(
            str(item.place), ACTS[item.act][words], item.identifier, STATES[state][words], _came(queue, item)
        )
    console.print(table)


def _line(queue: Queue, item: Item, state: State, lang: Lang) -> None:
    words = ACTS[item.act][0 if lang == "zh" else 1]
    mark = "[green]✓[/]" if state == "done" else "[bold red]✗[/]"
    console.print(f"{mark} {words} {escape(_came(queue, item))}", soft_wrap=True)


def _came(queue: Queue, item: Item) -> str:
    """What an answered item came to, in a few words."""
    answer = queue.answer(item.identifier)
    if answer is None:
        return ""
    outcome = answer["outcome"]
    if outcome["state"] == "refused":
        return f"#{answer['index']} {outcome['reason']['code']}: {outcome['reason']['detail']}"
    named = next(
        (
            outcome[name]
            for name in ("code", "release", "approval", "assessment", "asset")
            if outcome.get(name)
        ),
        "",
    )
    return f"#{answer['index']} {named}"


def _left(sent: Sent, lang: Lang) -> None:
    """Why what is left waits."""
    zh = lang == "zh"
    for identifier, problem in sent.problems.items():
        nothing = "未产生任何效果" if zh else "nothing took effect"
        notes.print(
            f"[bold red]✗[/] {escape(identifier)}: {escape(str(problem))} ({nothing})", soft_wrap=True
        )
    for identifier, other in sent.held.items():
        words = "在等待" if zh else "waits for"
        notes.print(f"[yellow]–[/] {escape(identifier)} {words} {escape(other)}", soft_wrap=True)
    if sent.cut_off is not None:
        words = "没有回音;稍后再发即可" if zh else "no answer; send again later"
        notes.print(f"[yellow]![/] {words}: {escape(sent.cut_off)}", soft_wrap=True)
