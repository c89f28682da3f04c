"""What a sandbox says of itself when it is ready: where it is, who is there with which key, and what is on offer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Player(BaseModel):
    """A person of the sandbox: the party that it acts for, and its key."""

    model_config = ConfigDict(frozen=True)

    party: str
    key: str


class SandboxMessage(BaseModel):
    """A sandbox that runs. `people` are by name: administrator, regulator, bank, assessor, approver, clerk and
    reviewer (of the registrar), enterprise, rival.

    `listing` sells licences of the first of the `assets` at a fixed price, `lot` auctions the second; the third is the
    seller's to offer. In `folder` lies NAME.key for each person, and NAME.env, which a shell reads for the command line.
    """

    model_config = ConfigDict(frozen=True)

    url: str
    vkey: str
    chain_url: str
    bank_url: str
    folder: str
    people: dict[str, Player]
    assets: list[str] = []
    listing: str = ""
    lot: str = ""
