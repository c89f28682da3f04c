"""Opening 1,000 sealed bids with 3 of 4 holders' shares, against as many X25519 operations of libsodium.

Ours is all that happens after the close: three holders decrypt and check their shares of every bid, and whoever opens
combines them, derives every bid again, and decrypts it. Against it stands one X25519 operation for each of the 3,000
shares: what decrypting them costs at least.
"""

from __future__ import annotations

import secrets
import time

from _ratio import report, say  # type: ignore[import-not-found]  # beside this script
from nacl import bindings as sodium

from pricing.sealed_bids import Committee, Context, HolderKey, Opened, SealedPrice, open_bid, open_share, seal

BIDS, HOLDERS, THRESHOLD, REPETITIONS = 1_000, 4, 3, 7


def main() -> None:
    """Measure and report."""
    keys = [HolderKey.from_seed(secrets.token_bytes(32)) for _ in range(HOLDERS)]
    committee = Committee(THRESHOLD, tuple((f"holder {n}", key.public) for n, key in enumerate(keys)))
    prices = [SealedPrice(1 + secrets.randbelow(10**12)) for _ in range(BIDS)]
    sealed = [
        seal(price, Context("lot", f"code {n}", "bid"), committee, secrets.token_bytes(32))
        for n, price in enumerate(prices)
    ]
    scalar, point = keys[0].scalar, sodium.crypto_scalarmult_base(keys[1].scalar)
    ratios = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        for _ in range(BIDS * THRESHOLD):
            sodium.crypto_scalarmult(scalar, point)
        base = time.perf_counter() - begun
        begun = time.perf_counter()
        shares = [[open_share(bid, committee, key) for bid in sealed] for key in keys[:THRESHOLD]]
        opened = [
            open_bid(bid, committee, given)
            for bid, given in zip(sealed, zip(*shares, strict=True), strict=True)
        ]
        ours = time.perf_counter() - begun
        assert opened == [Opened(price) for price in prices]
        say(f"3,000 X25519 {base * 1e3:,.0f} ms, opening {ours * 1e3:,.0f} ms")
        ratios.append(ours / base)
    report(
        "open_sealed",
        ratios,
        better="lower",
        against="one X25519 operation of libsodium a share",
        bids=BIDS,
        shares=f"{THRESHOLD} of {HOLDERS}",
    )


if __name__ == "__main__":
    main()
