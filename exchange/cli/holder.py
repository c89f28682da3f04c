"""Commands of whoever holds a key to sealed bids, on the holder's own machine, and of whoever opens a lot with them."""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from exchange.errors import Conflict, Malformed, Misconfigured

if TYPE_CHECKING:
    from pricing.sealed_bids import Dispute, HolderKey, SealedLot, Share

app = typer.Typer(
    help=(
        "Hold a key to sealed bids: only so many holders together open a lot, and nobody alone.\n\n"
        "1. [bold]keygen[/bold], once: hand the public line to the market, keep the file on this machine.\n\n"
        "2. [bold]open[/bold], after the close: publish what it writes.\n\n"
        "3. [bold]combine[/bold]: anybody opens the lot from what the holders published."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
)
console = Console(highlight=False)
progress_console = Console(stderr=True, highlight=False)

KEY_FORMAT: Final = "holder-key@1"
OPENED_FORMAT: Final = "holder-opened@1"

LotFile = Annotated[
    Path,
    typer.Argument(
        help="The sealed lot, as the market publishes it at the close.", exists=True, dir_okay=False
    ),
]


@app.command()
def keygen(
    name: Annotated[str, typer.Option(help="Who holds the key, as lots will name it.")],
    out: Annotated[Path, typer.Option(help="File for the private key; it never leaves this machine.")],
) -> None:
    """Make a key from this machine's random source; prints the public half for the market."""
    from pricing.sealed_bids import Committee, HolderKey

    key = HolderKey.from_seed(secrets.token_bytes(32))
    Committee(1, ((name, key.public),))  # refuses a name that no lot could carry
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Misconfigured(
            "holder.key_file",
            f"{out}: {error.strerror}",
            field="--out",
            rule="a key is written to a new file, and replaces none",
            remedy="name a file that does not exist, in a folder that you may write",
        ) from error
    with os.fdopen(descriptor, "w") as file:
        json.dump({"format": KEY_FORMAT, "name": name, "scalar": key.scalar.hex()}, file)
        file.flush()
        os.fsync(file.fileno())
    print(json.dumps({"name": name, "public": key.public.hex()}, ensure_ascii=False))
    progress_console.print(
        f"[green]✓[/] {out} is private: copy it to a second medium that you keep, and to nobody else; the line above is public",
        soft_wrap=True,
    )


@app.command("open")
def open_(
    lot: LotFile,
    key: Annotated[Path, typer.Option(help="Your private key.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="File to write and to publish.")],
) -> None:
    """Decrypt your share of every bid of a lot, after its close. A bid that was dealt badly is disputed instead."""
    from pricing.sealed_bids import Dispute, check, open_share

    sealed, holder = _lot_in(lot), key_in(key)
    now_us = time.time_ns() // 1000
    if now_us < sealed.ceremony.opens_at_us:
        raise Conflict(
            "holder.before_close",
            f"lot {sealed.lot} closes in {(sealed.ceremony.opens_at_us - now_us) // 1_000_000 + 1} s",
            field="lot",
            rule="no share is opened before the close: it would help to open a bid early",
            remedy="come back after the close",
        )
    if now_us >= sealed.ceremony.ends_at_us:
        progress_console.print("[yellow]the ceremony is over: what is published now does not count[/]")
    submissions: dict[str, Any] = {}
    disputes = 0
    for bid in track(
        sealed.bids,
        "opening shares",
        console=progress_console,
        transient=True,
        disable=not progress_console.is_terminal,
    ):
        check(bid, bid.context, sealed.committee)
        submission = open_share(bid, sealed.committee, holder)
        disputes += isinstance(submission, Dispute)
        submissions[bid.digest] = submission.to_json()
    out.write_text(
        json.dumps({"format": OPENED_FORMAT, "lot": sealed.lot, "submissions": submissions}, indent=1)
    )
    console.print(
        f"[green]✓[/] {out}: {len(submissions) - disputes} shares, {disputes} disputes; publish it",
        soft_wrap=True,
    )


@app.command()
def combine(
    lot: LotFile,
    opened: Annotated[
        list[Path],
        typer.Argument(help="What holders published, one file each.", exists=True, dir_okay=False),
    ],
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the table.")] = "en",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Open a lot from what its holders published, and say who did not do their part. Exit status 1 while a bid is shut."""
    from pricing.sealed_bids import Opened, Unopened, Void, check, open_bid

    sealed = _lot_in(lot)
    published = [_opened_in(path, sealed) for path in opened]
    found: list[dict[str, Any]] = []
    for bid in sealed.bids:
        check(bid, bid.context, sealed.committee)
        submissions = [one[bid.digest] for one in published if bid.digest in one]
        opening = open_bid(bid, sealed.committee, submissions)
        row: dict[str, Any] = {
            "bid_id": bid.context.bid_id,
            "code": bid.context.code,
            "faults": [
                {"fault": fault.value, "holder": _name(sealed, number), "words": fault.words(lang)}
                for number, fault in opening.faults
            ],
        }
        match opening:
            case Opened(price):
                row |= {"price_fen": str(price.price_fen), "quantity": str(price.quantity), "state": "opened"}
            case Void(reason):
                row |= {"reason": reason.value, "state": "void", "words": reason.words(lang)}
            case Unopened(missing):
                row |= {"missing": [_name(sealed, number) for number in missing], "state": "unopened"}
        found.append(row)
    if as_json:
        print(json.dumps({"bids": found, "lot": sealed.lot}, ensure_ascii=False))
    else:
        console.print(_table(found, lang))
    if any(row["state"] == "unopened" for row in found):
        raise typer.Exit(1)


_HEADINGS: Final = {
    "zh": ("代码", "报价编号", "状态", "单价(元)", "数量", "说明"),
    "en": ("code", "bid", "state", "price, yuan", "quantity", "remarks"),
}
_STATES: Final = {
    "zh": {"opened": "已开启", "void": "无效", "unopened": "未开启"},
    "en": {"opened": "opened", "void": "void", "unopened": "shut"},
}


def _table(found: list[dict[str, Any]], lang: Literal["zh", "en"]) -> Table:
    table = Table(*_HEADINGS[lang])
    for row in found:
        remarks = [f"{fault['holder']}: {fault['words']}" for fault in row["faults"]]
        if "words" in row:
            remarks.insert(0, row["words"])
        if row.get("missing"):
            remarks.insert(0, ("等待 " if lang == "zh" else "waiting for ") + ", ".join(row["missing"]))
        price = row.get("price_fen")
        table.add_row(
            row["code"],
            row["bid_id"],
            _STATES[lang][row["state"]],
            "" if price is None else f"{int(price) // 100:,}.{int(price) % 100:02}",
            row.get("quantity", ""),
            "; ".join(remarks),
        )
    return table


def _name(lot: SealedLot, number: int) -> str:
    return lot.committee.holders[number - 1][0]


def _json_in(path: Path, field: str) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Malformed(
            "holder.file",
            f"{path} is no JSON file: {error}",
            field=field,
            rule="files go from machine to machine unchanged",
            remedy="fetch it again from whoever wrote it",
        ) from error


def _lot_in(path: Path) -> SealedLot:
    from pricing.sealed_bids import SealedLot

    return SealedLot.from_json(_json_in(path, "lot"))


def _opened_in(path: Path, lot: SealedLot) -> dict[str, Share | Dispute]:
    from pricing.sealed_bids import submission_from_json

    value = _json_in(path, "opened")
    if not isinstance(value, dict) or value.get("format") != OPENED_FORMAT or value.get("lot") != lot.lot:
        raise Malformed(
            "holder.opened",
            f"{path} is not what a holder opened of lot {lot.lot}",
            field="opened",
            rule=f"a file of format {OPENED_FORMAT}, of this lot",
            remedy="give the files that the lot's holders published",
        )
    submissions = value.get("submissions")
    return {
        str(digest): submission_from_json(one)
        for digest, one in (submissions.items() if isinstance(submissions, dict) else ())
    }


def key_in(path: Path) -> HolderKey:
    """A holder's private key from its file, which nobody else may read."""
    from pricing.sealed_bids import HolderKey

    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Misconfigured(
            "holder.permissions",
            f"{path} can be read by others (mode {mode:o})",
            field="--key",
            rule="a private key has mode 0600",
            remedy=f"chmod 600 {path}; if others may have read it, make a new key and tell the market",
        )
    value = _json_in(path, "--key")
    try:
        if value["format"] != KEY_FORMAT:
            raise ValueError(value["format"])
        return HolderKey(bytes.fromhex(value["scalar"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(
            "holder.key",
            f"{path} holds no holder's key",
            field="--key",
            rule=f"a file of format {KEY_FORMAT}",
            remedy="give the file that `exchange holder keygen` wrote, or its copy",
        ) from error
