"""Trades with a client that `openapi-python-client` generated from the contract; runs in the environment of the peers.

Reads an order from standard input (where the client is, the server, keys by role, asset and party), sells a licence at a
fixed price and a second one by auction, and writes what came of it. The contract of the first is signed by whoever started it,
since keys that sign are no part of a generated client: its trade is written in a line, and a line is awaited.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from typing import Any
from urllib.parse import urlsplit

order = json.loads(sys.stdin.readline())
sys.path.insert(0, order["folder"])
client_of = importlib.import_module("generated.client").AuthenticatedClient
models = importlib.import_module("generated.models")


def call(role: str, route: str, *arguments: Any, **named: Any) -> Any:
    """Call one operation as `role`; its parsed answer, which has to be the one of success."""
    client = client_of(order["url"], order["keys"][role], raise_on_unexpected_status=True)
    answer = importlib.import_module(f"generated.api.{route}").sync_detailed(
        *arguments, client=client, **named
    )
    if answer.status_code >= 300:
        raise SystemExit(f"{route}: {answer.status_code} {answer.content!r}")
    return answer.parsed


def offer(price_fen: str) -> Any:
    return models.OfferMessage(
        grant=models.OfferMessageGrant.LICENCE, term_days="30", price_fen=price_fen, licences="1"
    )


call(
    "bank",
    "parties_and_money.top_up",
    body=models.TopUpMessage(party=order["party"], amount_fen="9000000", bank_reference="slip-9"),
    idempotency_key="g-top-up",
)
listed = call(
    "supplier",
    "market.offer",
    body=models.ListingMessage(asset=order["asset"], offer=offer("500000")),
    idempotency_key="g-offer",
)
found = [row for row in call("buyer", "market.all_listings") if row.id == listed.outcome.id]
order_of_one = models.PurchaseMessage(licences="1")
told = call("buyer", "market.rehearse_purchase", found[0].id, body=order_of_one)
before = int(call("buyer", "parties_and_money.me").available_fen)
bought = call("buyer", "market.buy", found[0].id, body=order_of_one, idempotency_key="g-buy")
paid = before - int(call("buyer", "parties_and_money.me").available_fen)
again = call("buyer", "market.look_up", "g-buy")
trade = call("buyer", "market.trade", bought.outcome.voucher.trade)
print(trade.trade, flush=True)
sys.stdin.readline()
link = call(
    "buyer",
    "delivery.make_link",
    trade.licence,
    body=models.LinkMessage(valid_seconds="600"),
    idempotency_key="g-link",
)
with client_of(order["url"], order["keys"]["buyer"]).get_httpx_client() as http:
    product = http.get(order["url"] + link.link)
accesses = call("buyer", "delivery.accesses", trade.licence)

now_us = int(call("buyer", "market.market").now_us)
lot = call(
    "supplier",
    "market.open_lot",
    body=models.LotMessage(
        asset=order["asset"],
        offer=offer("1000000"),
        increment_fen="10000",
        deposit_fen="100000",
        opens_us=str(now_us + 10_000_000),
        closes_us=str(now_us + 10_000_000 + 86_400_000_000),
    ),
    idempotency_key="g-lot",
).outcome.id
joined = call("buyer", "market.join_lot", lot, idempotency_key="g-join")
clock = models.ClockMessage(by_us="20000000")
call("administrator", "sandbox.move_clock", body=clock, idempotency_key="g-clock")
bid = call(
    "buyer",
    "market.place_bid",
    lot,
    body=models.BidMessage(client_bid_id="g-bid", price_fen="1000000"),
)
batch = call(
    "buyer",
    "market.place_bid_batch",
    lot,
    body=models.BidBatchMessage(
        bids=[
            models.BidMessage(client_bid_id="g-bid-2", price_fen="1010000"),
            models.BidMessage(client_bid_id="g-bid-3", price_fen="1"),
        ]
    ),
)
book = call("nobody", "market.lot_bids", lot)
json.dump(
    {
        "accesses": [row.act for row in accesses.accesses],
        "batch": [item.status for item in batch.items],
        "book": [row.reason for row in book],
        "codes": [joined.outcome.code, bid.outcome.code],
        "host": urlsplit(link.link).netloc,
        "paid": paid,
        "product": hashlib.sha256(product.content).hexdigest(),
        "receipts": [bought.receipt.to_dict(), bid.receipt.to_dict(), again.receipt.to_dict()],
        "standing": call("nobody", "market.one_lot", lot).standing_price_fen,
        "total": int(told.cost.total_fen),
        "would": told.would,
    },
    sys.stdout,
)
