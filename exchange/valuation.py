"""An appraisal on its way in: the quality counted from the kept file, and the value computed from it, before the gate.

Both doors ask alike: the API by a message, the console by a form that makes the same message.
"""

from __future__ import annotations

import asyncio
import hashlib

from exchange import appraisal
from exchange.acts import Caller
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.reading.source import read_table
from exchange.gate import Gate
from exchange.messages.assets import AppraisalMessage
from exchange.vault import Vault
from pricing.appraisal import Report
from pricing.errors import PricingError


async def asked(
    gate: Gate,
    vault: Vault,
    turnstile: asyncio.Semaphore,
    caller: Caller,
    *,
    asset: str,
    message: AppraisalMessage,
) -> appraisal.Appraise:
    """The act that keeps a report, computed in a thread at its turn; Unprocessable names what is missing or cannot be."""
    name, product_digest = await gate.read(appraisal.subject, asset, caller)
    now_us = await gate.now_us()
    async with turnstile:
        report = await asyncio.to_thread(_report, message, name, vault, product_digest, now_us)
    return appraisal.Appraise(
        asset,
        product_digest,
        hashlib.sha256(message.model_dump_json().encode()).hexdigest(),
        report.canonical.decode(),
        report.digest,
    )


def _report(message: AppraisalMessage, name: str, vault: Vault, digest: str, now_us: int) -> Report:
    """Count the quality of the kept file, and compute the value from it and from what the caller states."""
    try:
        with vault.at_hand(digest) as product:
            quality, indicators = message.quality.measured(read_table(product, Limits()), now_us)
        inputs, signature = message.inputs(name, quality, indicators), message.signed()
    except PricingError as refused:
        raise appraisal.refused_by_pricing(refused) from refused
    return appraisal.report_on(inputs, signature)
