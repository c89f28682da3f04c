"""Commands of contracts: the four forms, what a listing asks to be signed, signing with a key of one's own, and verifying."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.markup import escape

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
    line,
    moment,
    notes,
)
from exchange.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.messages.contracts import ClauseView

app = typer.Typer(
    help="Read, sign and verify contracts. What you sign is drawn up again on your machine; your signing key stays there.",
    no_args_is_help=True,
)

TradeArgument = Annotated[str, typer.Argument(help="The trade, as `trade-…`.", metavar="TRADE")]
ListingArgument = Annotated[str, typer.Argument(help="The listing, as `lst-…`.", metavar="LISTING")]
SigningOption = Annotated[
    Path,
    typer.Option(
        "--signing-key",
        envvar="EXCHANGE_SIGNING_KEY_FILE",
        help="File with your Ed25519 signing key as 64 hex digits; made and registered where it is not there.",
        dir_okay=False,
    ),
]

STATES = {
    "drawn": ("待签署", "not signed by both yet"),
    "signed": ("双方已签署", "signed by both"),
    "ended": ("已终止", "ended"),
}


@app.command()
def forms(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the four contracts, and the blanks of each that a seller fills when it lists (`terms` of an offer)."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.contract_forms()
    for form in found:
        if json:
            line(form.model_dump(mode="json"))
            continue
        console.print(f"[bold]{form.name}[/]  {escape(form.title[lang])}", soft_wrap=True)
        for blank in form.blanks:
            default = blank.default or ("必填" if lang == "zh" else "has to be filled")
            console.print(
                f"  {blank.name}  {escape(blank.words[lang])}: {escape(blank.rule)} [dim]({escape(default)})[/]",
                soft_wrap=True,
            )


@app.command()
def terms(
    listing: ListingArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show what whoever buys a listing will sign, and whether its seller has signed already."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.listing_contract(listing)
    if json:
        line(found.model_dump(mode="json"))
        return
    _clauses(found.title[lang], found.clauses, lang)
    index = found.seller_index
    if lang == "zh":
        told = "供方尚未签署" if index is None else f"供方已签署,日志第 {index} 条"
    else:
        told = "the seller has not signed yet" if index is None else f"signed by the seller, entry {index}"
    console.print(f"{escape(told)} [dim]{found.digest}[/]", soft_wrap=True)


@app.command()
def offer(
    listing: ListingArgument,
    signing_key: SigningOption,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Sign the standing terms of your listing, so that each purchase needs only the buyer's signature."""
    _registered(signing_key, url, key_file, vkey, remember, lang)
    with connected(url, key_file, vkey, remember, lang, signing_key=_secret(signing_key)) as market:
        came = market.sign_terms(listing, identifier=identified(identifier, lang))
    done(
        came,
        f"挂牌 {listing} 的条款已签署",
        f"the standing terms of {listing} are signed",
        lang,
        json=json,
    )


@app.command()
def show(
    trade: TradeArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show the contract of a trade clause by clause, and who has signed it."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.contract(trade)
    if json:
        line(found.model_dump(mode="json"))
        return
    _clauses(found.title[lang], found.clauses, lang)
    console.print(f"{STATES[found.state][lang == 'en']} [dim]{found.digest}[/]", soft_wrap=True)


@app.command()
def sign(
    trade: TradeArgument,
    signing_key: SigningOption,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Sign the contract of your trade. Delivery begins when both sides have; read it first with `exchange contract show`."""
    _registered(signing_key, url, key_file, vkey, remember, lang)
    with connected(url, key_file, vkey, remember, lang, signing_key=_secret(signing_key)) as market:
        came = market.sign_contract(trade, identifier=identified(identifier, lang))
    zh, en = STATES[came.outcome["state"]]
    done(came, f"{trade} 已签署:{zh}", f"{trade}: {en}", lang, json=json)


@app.command()
def document(
    trade: TradeArgument,
    out: Annotated[Path, typer.Option(help="File that takes it.", dir_okay=False)],
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Keep a contract with its signatures and proofs as a file that anybody verifies: `exchange contract verify`."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.contract_document(trade)
    out.write_bytes(orjson.dumps(found.model_dump(mode="json")))
    told = f"已核验并保存在 {out}" if lang == "zh" else f"verified, and kept in {out}"
    console.print(f"[green]✓[/] {escape(told)}", soft_wrap=True)


@app.command()
def verify(
    file: Annotated[
        Path,
        typer.Argument(
            help="What `exchange contract document` kept.", metavar="FILE", exists=True, dir_okay=False
        ),
    ],
    vkey: VkeyOption = None,
    json: JsonOption = False,
    lang: LangOption = "en",
) -> None:
    """Verify a contract's file without the exchange, by the log's key. Exit status 4 says that it does not hold, 1 that a
    side has not signed.
    """
    from exchange.client.contracts import verify_contract
    from exchange.client.errors import Unproven
    from ledger.checkpoint import Verifier

    if vkey is None:
        raise Misconfigured(
            "contract.vkey",
            "without the log's key nothing is verified",
            field="--vkey",
            remedy="pass --vkey, or set EXCHANGE_VKEY, to the key that the exchange published",
        )
    try:
        agreed = verify_contract(orjson.loads(file.read_bytes()), [Verifier.parse(vkey)])
    except orjson.JSONDecodeError as error:
        raise Malformed("contract.form", f"{file} is no JSON: {error}", field="FILE") from error
    except Unproven as error:
        notes.print(f"[bold red]✗[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(UNTRUSTED) from error
    signed = [
        {"side": one.side, "party": one.party, "key": one.key, "index": str(one.index)}
        for one in agreed.signatures
    ]
    if json:
        line(
            {
                "trade": agreed.trade,
                "template": agreed.template,
                "digest": agreed.digest,
                "signatures": signed,
            }
        )
    else:
        zh = lang == "zh"
        told = (
            f"{agreed.trade},{moment(agreed.time_us)} 成交"
            if zh
            else f"{agreed.trade}, {moment(agreed.time_us)}"
        )
        console.print(f"{'[green]✓[/]' if agreed.signed else '[yellow]–[/]'} {escape(told)}", soft_wrap=True)
        for one in agreed.signatures:
            side = {"seller": ("供方", "seller"), "buyer": ("需方", "buyer")}[one.side][not zh]
            at = f"日志第 {one.index} 条" if zh else f"entry {one.index}"
            console.print(f"  {side} {one.party}: {moment(one.time_us)}, {one.key}, {at}", soft_wrap=True)
    if not agreed.signed:
        raise typer.Exit(1)


def _clauses(title: str, clauses: Sequence[ClauseView], lang: Lang) -> None:
    console.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    for clause in clauses:
        text = clause.zh if lang == "zh" else clause.en
        console.print(f"[dim]{clause.number:>2}[/]  {escape(text)}", soft_wrap=True)


def _secret(file: Path) -> bytes:
    """The 32 bytes of a signing key."""
    try:
        secret = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise _no_key(file) from error
    if len(secret) != 32:
        raise _no_key(file)
    return secret


def _registered(
    file: Path, url: str, key_file: Path | None, vkey: str | None, remember: Path | None, lang: Lang
) -> None:
    """Make a signing key in a file that nobody else reads, and register its public half, where there is none yet."""
    if file.exists():
        return
    secret = secrets.token_bytes(32)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as made:
        made.write(secret.hex() + "\n")
    try:
        with connected(url, key_file, vkey, remember, lang) as market:
            market.add_signing_key("contracts", secret=secret)
    except BaseException:
        file.unlink()
        raise
    told = (
        f"签名密钥已生成并登记:{file}" if lang == "zh" else f"a signing key was made and registered: {file}"
    )
    notes.print(f"[dim]{escape(told)}[/]", soft_wrap=True)


def _no_key(file: Path) -> Misconfigured:
    return Misconfigured(
        "contract.signing_key",
        f"{file} holds no signing key",
        field="--signing-key",
        rule="a file with the 64 hex digits of an Ed25519 key",
        remedy="name the file that an earlier command made, or one that is not there yet to have it made",
    )
