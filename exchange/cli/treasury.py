"""`exchange treasury`: what a department's treasury account has, paid out under two persons."""

from __future__ import annotations

from typing import Annotated, Literal

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
    fen_of,
    identified,
    line,
    moment,
    yuan,
)

app = typer.Typer(
    help="Pay your treasury account out to the treasury's bank account: one person proposes, another decides.",
    no_args_is_help=True,
)


@app.command()
def propose(
    amount: Annotated[str, typer.Argument(help="The amount in yuan, as 1234.56.", metavar="YUAN")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Propose a payout; nothing moves until another person of your department decides."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.propose_treasury_payout(fen_of(amount), identifier=identified(identifier, lang))
    proposal = came.outcome["proposal"]
    done(
        came,
        f"已提议支付国库款 {amount} 元:{proposal},待另一人决定",
        f"{amount} yuan of treasury money proposed as {proposal}: another person decides",
        lang,
        json=json,
    )


@app.command()
def decide(
    proposal: Annotated[str, typer.Argument(help="The proposal.", metavar="PROPOSAL")],
    decision: Annotated[Literal["approve", "reject"], typer.Argument(help="What you decide.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Order what another person proposed, or reject it."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.decide_treasury_payout(proposal, decision, identifier=identified(identifier, lang))
    if decision == "approve":
        payout = came.outcome["payout"]
        done(came, f"已下达支付:{payout}", f"ordered to be paid out as {payout}", lang, json=json)
    else:
        done(came, f"{proposal} 已否决", f"{proposal} is rejected", lang, json=json)


@app.command("list")
def proposed(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what was proposed, newest first, and what became of it."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.treasury_payouts()
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
        return
    states = {"proposed": "待决定", "approved": "已批准", "rejected": "已否决"}
    table = Table(box=None, padding=(0, 2))
    for name in (
        ("提议", "时间(UTC+8)", "金额(元)", "状态")
        if lang == "zh"
        else ("proposal", "time (UTC+8)", "yuan", "state")
    ):
        table.add_column(name)
    for one in found:
        state = states[one.state] if lang == "zh" else one.state
        table.add_row(one.proposal, moment(one.time_us), yuan(one.amount_fen), state)
    console.print(table)
