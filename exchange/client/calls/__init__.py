"""What the SDK does, written once: requests built, answers judged, receipts and checkpoints verified; nothing is sent here."""

from __future__ import annotations

from exchange.client.calls.accounts import Accounts
from exchange.client.calls.aftersale import AfterSale
from exchange.client.calls.assets import Assets
from exchange.client.calls.books import Books
from exchange.client.calls.contracts import Contracts
from exchange.client.calls.contributions import Contributions
from exchange.client.calls.delivery import Delivery
from exchange.client.calls.demanding import Demanding
from exchange.client.calls.events import Events
from exchange.client.calls.identity import Identity
from exchange.client.calls.listings import Listings
from exchange.client.calls.metering import Metering
from exchange.client.calls.offers import Offers
from exchange.client.calls.parties import Parties
from exchange.client.calls.record import TheRecord
from exchange.client.calls.registration import Registration
from exchange.client.calls.revenue import Revenue
from exchange.client.calls.rules import Rules
from exchange.client.calls.signin import SignIn
from exchange.client.calls.tendering import Tendering
from exchange.client.calls.trading import Trading


class Calls(
    Identity,
    SignIn,
    Events,
    Parties,
    Rules,
    Accounts,
    Books,
    Assets,
    Contributions,
    Registration,
    Trading,
    Offers,
    Revenue,
    Metering,
    Listings,
    Tendering,
    Demanding,
    Contracts,
    Delivery,
    AfterSale,
    TheRecord,
):
    """One exchange, seen with one key. Guarantees as `Exchange` states them; each call is steps for a carrier."""
