"""Wire shapes of the market's statistics."""

from __future__ import annotations

from exchange.messages.assets import FacetView
from exchange.messages.views import View


class SalesView(View):
    """Sales that stood: how many, for how much, and how many licences they gave."""

    trades: int
    volume_fen: str
    licences: str


class ModeView(SalesView):
    """Sales by one form of price: fixed, auction and others."""

    mode: str


class MonthView(SalesView):
    """Sales of one month of China's calendar, as 2026-11."""

    month: str


class LotsView(View):
    """Lots in one state."""

    state: str
    lots: int


class RoleView(View):
    """Active parties with one role."""

    role: str
    parties: int


class AssetsByView(View):
    """Assets that everybody may see, by what they are; of suppliers the 20 with the most."""

    kind: list[FacetView]
    base_library: list[FacetView]
    opening: list[FacetView]
    grade: list[FacetView]
    supplier: list[FacetView]


class StatisticsView(View):
    """What the market came to at `now_us`; an annulled sale counts as annulled and for no volume."""

    now_us: str
    assets: int
    facets: AssetsByView
    trades: int
    volume_fen: str
    annulled: int
    licences_in_force: int
    modes: list[ModeView]
    months: list[MonthView]
    lots: list[LotsView]
    parties: list[RoleView]
