"""Commands of the anchor: make its key, see what became of anchors and what the chain says, hand the contract over."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from exchange.errors import Misconfigured
from exchange.settings import Settings

if TYPE_CHECKING:
    from rich.console import JustifyMethod

app = typer.Typer(
    help=(
        "Put checkpoints on an EVM chain: the key that signs, the contract that keeps them, and its owner.\n\n"
        "Anchoring itself is the work of [bold]exchange serve[/bold], wherever EXCHANGE_CHAIN_URL names a node."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
)
console = Console(highlight=False)

UrlOption = Annotated[
    str | None, typer.Option(help="JSON-RPC address of the chain; else that of EXCHANGE_CHAIN_URL.")
]
ContractOption = Annotated[
    str | None,
    typer.Option(help="Address of the contract; else the one in the data directory's anchor.json."),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(help="File with the private key; else the one in the keys directory.", dir_okay=False),
]


@app.command("new-key")
def make_key(
    file: Annotated[
        Path | None, typer.Argument(help="New file; else anchor.key in the keys directory.")
    ] = None,
) -> None:
    """Make a private key that only its owner can read, and print the address which is to be given money for gas."""
    from ledger.anchor import address_of, new_key

    path = file or Settings.from_environment(os.environ).keys_dir / "anchor.key"
    key = new_key()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(path, "x", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as out:
            out.write(key.hex() + "\n")
    except OSError as error:
        raise Misconfigured(
            "anchor.key",
            f"{path} cannot be made: {error.strerror}",
            field="file",
            rule="a key is written to a new file, so that none is lost",
            remedy="name another file, or move the old key away",
        ) from error
    console.print(f"[green]✓[/] key in {path}", soft_wrap=True)
    console.print(f"  address  {address_of(key)}", soft_wrap=True)
    console.print("  Give it some of the chain's coin: an anchor takes at most 36,000 gas.")


@app.command("list")
def show(
    url: Annotated[
        str | None,
        typer.Argument(help="Address of the exchange; else where this one listens."),
    ] = None,
) -> None:
    """What an exchange says of its anchors: the state, block and gas of each, and what was amiss with the chain.

    Exit status 3 while something is. What the chain says is shown by [bold]exchange anchor status[/bold].
    """
    from exchange.client import Exchange, NotFound

    settings = Settings.from_environment(os.environ)
    with Exchange(url or f"http://{settings.host}:{settings.port}") as exchange:
        anchors = exchange.anchors()
        try:
            watch = exchange.anchor_watch()
        except NotFound:
            console.print("This exchange has no chain, or has not looked at it yet.")
            return
    table = Table()
    for name, justify in _COLUMNS.items():
        table.add_column(name, justify=justify, no_wrap=True)
    for one in anchors:
        table.add_row(
            f"{int(one['size']):,}",
            one["state"],
            "—" if one["block"] is None else f"{int(one['block']):,}",
            "—" if one["gas_used"] is None else f"{int(one['gas_used']):,}",
            one["reorganised"],
            one["tx"],
        )
    console.print(table)
    console.print(f"  looked at  {_iso(watch['looked_us'])}")
    for one in watch["troubles"]:
        until = "[red]now[/]" if one["ended_us"] is None else _iso(one["ended_us"])
        console.print(f"  {one['trouble']:<12} {_iso(one['began_us'])} – {until}", soft_wrap=True)
    raise typer.Exit(0 if watch["trouble"] is None else 3)


@app.command()
def status(url: UrlOption = None, contract: ContractOption = None) -> None:
    """What the chain says: whose the contract is, the newest anchored size and root. Needs no key, and no exchange."""
    from ledger.anchor import Anchor

    anchor = Anchor(*_where(url, contract))
    size, root = anchor.read()
    console.print(f"  contract  {anchor.address}", soft_wrap=True)
    console.print(f"  owner     {anchor.owner()}", soft_wrap=True)
    console.print(f"  proposed  {anchor.proposed_owner() or '—'}", soft_wrap=True)
    console.print(f"  entries   {size:,}")
    console.print(f"  root      {root.hex() if size else '—'}", soft_wrap=True)
    console.print(f"  height    {anchor.height():,}")


@app.command("propose-owner")
def propose_owner(
    address: Annotated[str, typer.Argument(help="Address of the next key; that of zeros withdraws.")],
    url: UrlOption = None,
    contract: ContractOption = None,
    key: KeyOption = None,
) -> None:
    """Announce on the chain which key comes next; it has no power until it accepts."""
    from ledger.anchor import Anchor

    tx = Anchor(*_where(url, contract), _key(key)).propose_owner(address)
    console.print(f"[green]✓[/] {address.lower()} is announced ({tx})", soft_wrap=True)
    console.print("Next: [bold]exchange anchor accept-owner --key FILE[/bold] with that key.")


@app.command("accept-owner")
def accept_owner(key: KeyOption = None, url: UrlOption = None, contract: ContractOption = None) -> None:
    """Take the contract over with the key that was announced."""
    from ledger.anchor import Anchor

    anchor = Anchor(*_where(url, contract), _key(key))
    tx = anchor.accept_owner()
    console.print(f"[green]✓[/] the contract belongs to {anchor.owner()} ({tx})", soft_wrap=True)
    console.print("Next: put that key into keys/anchor.key, and start the exchange again.")


_COLUMNS: dict[str, JustifyMethod] = {
    "entries": "right",
    "state": "left",
    "block": "right",
    "gas": "right",
    "taken back": "right",
    "transaction": "left",
}


def _iso(us: str) -> str:
    return datetime.fromtimestamp(int(us) / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _where(url: str | None, contract: str | None) -> tuple[str, str]:
    """The node's address and the contract's, as given or as this exchange has them."""
    settings = Settings.from_environment(os.environ)
    found = url or settings.chain_url
    if found is None:
        raise Misconfigured(
            "anchor.chain",
            "no chain is named",
            field="--url",
            rule="a node of the chain is asked over JSON-RPC",
            remedy="give --url, or set EXCHANGE_CHAIN_URL",
        )
    kept = settings.data_dir / "anchor.json"
    if contract is None and not kept.exists():
        raise Misconfigured(
            "anchor.contract",
            "no contract is named",
            field="--contract",
            rule="anchors are kept by one contract, whose address GET /v1/anchors tells",
            remedy="give --contract, or start the exchange once, which deploys it",
        )
    return found, contract or json.loads(kept.read_bytes())["contract"]


def _key(file: Path | None) -> bytes:
    from ledger.anchor import load_key

    return load_key(file or Settings.from_environment(os.environ).keys_dir / "anchor.key")
