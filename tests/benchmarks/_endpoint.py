"""What a bid is measured against: the same route in FastAPI, with body and bearer, and nothing behind it."""

from __future__ import annotations

import socket
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from exchange.messages.market import BidMessage

app = FastAPI()
bearer = HTTPBearer()


@app.post("/v1/lots/{lot}/bids", status_code=201)
async def place_bid(
    lot: str, body: BidMessage, key: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]
) -> dict[str, str]:
    """Answer with what came in."""
    return {
        "lot": lot,
        "price_fen": str(body.price_fen),
        "client_bid_id": body.client_bid_id,
        "by": key.credentials[:8],
    }


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"serving on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", access_log=False, log_level="warning", lifespan="off"
    )
    uvicorn.Server(config).run(sockets=[listener])
