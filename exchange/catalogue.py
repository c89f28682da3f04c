"""Room: search and browse what the market has. Reads only, and shows each caller what that caller may see.

Before registration an asset is its department's own affair: its supplier, its operator, the regulator and the body that
leads the departments see it, and to everyone else it is exactly as if it did not exist.
"""

# ruff: noqa: S608  # the only text put into statements is pieces of this file

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import orjson
from sqlalchemy import text as sql
from sqlmodel import col, select

from exchange.acts import Caller
from exchange.desensitization.child import sample_in_child
from exchange.errors import NotFound
from exchange.segmentation import tsquery
from exchange.tables import (
    Appraisal,
    Approval,
    Asset,
    Certificate,
    DepartmentAuthorization,
    Party,
    Release,
    RiskAssessment,
)
from exchange.taxonomy import BASE_LIBRARIES

if TYPE_CHECKING:
    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncSession

    from exchange.vault import Vault

PAGE_LIMIT: Final = 100

P = TypeVar("P", RiskAssessment, Approval, DepartmentAuthorization, Release, Appraisal)

_OVERSEERS: Final = ("regulator", "governing_body")
"""Who sees every asset from inside: one audits, the other leads the departments and approves."""


def may_see(asset: Asset, caller: Caller | None) -> bool:
    """Whether the asset exists for the caller; None is somebody without a key."""
    return asset.state == "registered" or may_see_inside(asset, caller)


def parties_of(asset: Asset) -> tuple[str, ...]:
    """Whose asset it is: its supplier, and who runs it."""
    return (asset.supplier,) if asset.operator is None else (asset.supplier, asset.operator)


def may_see_inside(asset: Asset, caller: Caller | None) -> bool:
    """Whether the caller may read the asset's assessments, approvals, authorizations and measurements."""
    return caller is not None and (
        not caller.roles.isdisjoint(_OVERSEERS) or caller.party in (asset.supplier, asset.operator)
    )


async def visible_asset(session: AsyncSession, asset: str, caller: Caller | None) -> Asset:
    """The asset, or the same NotFound whether it does not exist or is not the caller's to see."""
    row = await session.get(Asset, asset)
    if row is None or not may_see(row, caller):
        raise NotFound("asset.unknown", f"no asset {asset!r}", field="asset", remedy="check the identifier")
    return row


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: every member that is given narrows. `after` is the cursor of the page before, or None.

    `base_library` is a theme that is one of the four base libraries.
    """

    text: str | None = None
    state: str | None = None
    kind: str | None = None
    theme: str | None = None
    grade: str | None = None
    opening: str | None = None
    price: str | None = None
    freshness: str | None = None
    base_library: str | None = None
    supplier: str | None = None
    after: Place | None = None
    limit: int = 20


class Place(NamedTuple):
    """Where an asset stands among what was found, the best first: all words in its title, what it states, its newest
    change.
    """

    titled: int
    transparency: int
    changed: int
    asset: str

    def __str__(self) -> str:
        return f"{self.titled}.{self.transparency}.{self.changed}.{self.asset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that a cursor of the form of `CURSOR` names."""
        titled, transparency, changed, asset = text.split(".", 3)
        return cls(int(titled), int(transparency), int(changed), asset)


CURSOR: Final = r"^[01]\.[0-9]{1,2}\.[0-9]{1,18}\.[A-Za-z0-9_-]{1,64}$"

SHELF: Final = ("state", "kind", "theme", "grade", "opening", "price", "freshness")
"""What a shelf is named by, in this order; its transparency comes last."""

FACETS: Final = (*SHELF, "base_library")
"""What counts are given of, beside suppliers; an empty value is an asset that has none yet."""

SUPPLIERS_COUNTED: Final = 20

LIMITS: Final = {"price": 1, "source": 2, "update": 4, "limits": 8}
"""The bits of transparency."""

_VISIBLE: Final = "(public OR :all OR supplier = :party OR operator = :party)"
"""`may_see`, as SQL."""

_CARD: Final = tuple(name for name in Asset.model_fields if name not in ("evidence", "stale", "words"))

_OFFERED: Final = ("price_fen", "unit", "unit_price_micro")

_PLACE: Final = "titled DESC, transparency DESC, place DESC, asset DESC"
_CARDS: Final = (
    "SELECT page.*, p.name AS supplier_name, o.listing, o.price_fen, o.unit, o.unit_price_micro,"
    f" {', '.join(f'a.{name}' for name in _CARD)}"
    " FROM page JOIN asset a ON a.id = page.asset JOIN party p ON p.id = a.supplier"
    " LEFT JOIN LATERAL (SELECT id AS listing, price_fen, unit, unit_price_micro FROM listing"
    " WHERE asset = a.id AND state = 'open' AND remaining > 0 ORDER BY log_index DESC LIMIT 1) o ON true"
    f" ORDER BY {', '.join(f'page.{one}' for one in _PLACE.split(', '))}"
)
_SHOWN: Final = (
    "SELECT"
    " (SELECT jsonb_object_agg(shelf, assets) FROM (SELECT shelf, sum(assets) AS assets FROM found"
    "   WHERE CAST(:supplier AS text) IS NULL OR supplier = :supplier GROUP BY shelf) s),"
    " (SELECT jsonb_agg(s ORDER BY s.assets DESC, s.value) FROM (SELECT f.supplier AS value, p.name, sum(assets) AS assets"
    "   FROM found f JOIN party p ON p.id = f.supplier WHERE shelf LIKE :pattern GROUP BY f.supplier, p.name"
    "   ORDER BY 3 DESC, 1 LIMIT :suppliers) s),"
    f" (SELECT json_agg(c) FROM ({_CARDS}) c)"
)
_BY_WORDS: Final = (
    "WITH found AS MATERIALIZED (SELECT asset, supplier, shelf, 1 AS assets, transparency, place,"
    " (title_words @@ CAST(:words AS tsquery))::int AS titled FROM catalogue_entry"
    f" WHERE {_VISIBLE} AND words @@ CAST(:words AS tsquery)),"
    " page AS (SELECT asset, titled, transparency, place, shelf FROM found WHERE shelf LIKE :pattern {narrowed}"
    f" ORDER BY {_PLACE} LIMIT :limit) {_SHOWN}"
)
"""One look at the entries that have the words serves the counts and the page."""
_ALL: Final = (
    "WITH found AS MATERIALIZED (SELECT supplier, shelf, assets FROM catalogue_shelf"
    " WHERE (public OR :all OR supplier = :party)"
    " UNION ALL SELECT supplier, shelf, 1 FROM catalogue_entry"
    " WHERE operator = :party AND NOT public AND supplier <> :party AND NOT :all),"
    # The best shelves, until they hold a page beside what is left of the one where the page before ended.
    " tiers AS (SELECT tier, sum(sum(assets) FILTER (WHERE tier < :transparency)) OVER (ORDER BY tier DESC) AS upto"
    "   FROM (SELECT assets, split_part(shelf, '|', 8)::int AS tier FROM found WHERE {held}) s"
    "   WHERE tier <= :transparency GROUP BY tier),"
    " best AS (SELECT DISTINCT f.shelf FROM found f JOIN ("
    "   SELECT tier, coalesce(lag(upto) OVER (ORDER BY tier DESC), 0) AS before FROM tiers) t"
    "   ON t.tier = split_part(f.shelf, '|', 8)::int AND t.before < :limit WHERE {held}),"
    " page AS (SELECT asset, 0 AS titled, transparency, place, shelf FROM ("
    "   {walks}) e ORDER BY transparency DESC, place DESC, asset DESC LIMIT :limit)"
    f" {_SHOWN}"
)
"""Without words the shelves are counted, and the page is put together from the newest of the best shelves."""
_WALK: Final = (
    "SELECT e.* FROM best b CROSS JOIN LATERAL (SELECT asset, transparency, place, shelf FROM catalogue_entry"
    " WHERE shelf = b.shelf AND {whose} {narrowed} ORDER BY place DESC, asset DESC LIMIT :limit) e"
)
_OPERATED: Final = (
    "(SELECT asset, transparency, place, shelf FROM catalogue_entry WHERE operator = :party AND supplier <> :party"
    " AND NOT public AND shelf LIKE :pattern {narrowed} ORDER BY transparency DESC, place DESC, asset DESC LIMIT :limit)"
)
_ONE: Final = (
    "WITH page AS (SELECT asset, 0 AS titled, transparency, place, shelf FROM catalogue_entry WHERE asset = :asset)"
    f" {_CARDS}"
)


async def search_assets(session: AsyncSession, search: Search, caller: Caller | None) -> dict[str, Any]:
    """A page of the assets that the caller may see, at most 100, with how many there are in all and by facet.

    `text` is looked for by its words in title, summary, code and identifier. First come assets whose title has all of
    them, then those that state more (`transparency`), then what changed last. Each facet is counted under the filters of
    all others; of suppliers the 20 with the most assets. One statement, whatever is found.
    """
    words = None if search.text is None else tsquery(search.text)
    if search.text is not None and words is None:
        return {"assets": [], "total": 0, "facets": {facet: [] for facet in (*FACETS, "supplier")}}
    overseer = caller is not None and not caller.roles.isdisjoint(_OVERSEERS)
    narrowed = "" if search.supplier is None else " AND supplier = :supplier"
    if search.after is not None:
        titled = "" if words is None else "titled, "
        narrowed += (
            f" AND ({titled}transparency, place, asset) <"
            f" ({titled and ':titled, '}:transparency, :changed, CAST(:after AS text))"
        )
    if words is None:
        walks = [_WALK.format(whose="true" if overseer else "public", narrowed=narrowed)]
        if caller is not None and not overseer:
            walks.append(_WALK.format(whose="supplier = :party AND NOT public", narrowed=narrowed))
            walks.append(_OPERATED.format(narrowed=narrowed))
        held = "shelf LIKE :pattern" + ("" if search.supplier is None else " AND supplier = :supplier")
        statement = _ALL.format(held=held, walks=" UNION ALL ".join(walks))
    else:
        statement = _BY_WORDS.format(narrowed=narrowed)
    place = search.after or Place(0, 16, 0, "")
    asked = {
        "all": overseer,
        "party": None if caller is None else caller.party,
        "pattern": _pattern(search),
        "supplier": search.supplier,
        "suppliers": SUPPLIERS_COUNTED,
        "limit": max(1, min(search.limit, PAGE_LIMIT)),
        "words": words,
        "titled": place.titled,
        "transparency": place.transparency,
        "changed": place.changed,
        "after": place.asset,
    }
    used = {name: value for name, value in asked.items() if f":{name}" in statement}
    shelves, suppliers, cards = (await session.execute(sql(statement), used)).one()
    total, facets = _counted(shelves or {}, search)
    return {
        "assets": [_card(card) for card in cards or []],
        "total": total,
        "facets": {**facets, "supplier": suppliers or []},
    }


def _counted(shelves: Mapping[str, int], search: Search) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """How many assets all filters leave, and each facet under the filters of the others.

    A shelf that fails one filter alone counts for that facet alone, and one that fails more for none.
    """
    wanted = [(facet, value) for facet in FACETS if (value := getattr(search, facet)) is not None]
    counts: dict[str, Counter[str]] = {facet: Counter() for facet in FACETS}
    total = 0
    for name, assets in shelves.items():
        shelf = _named(name)
        failed = [facet for facet, value in wanted if shelf[facet] != value]
        if not failed:
            total += assets
        for facet in FACETS if not failed else failed if len(failed) == 1 else ():
            counts[facet][shelf[facet]] += assets
    return total, {
        facet: [
            {"value": value, "name": None, "assets": assets}
            for value, assets in sorted(found.items(), key=lambda one: (-one[1], one[0]))
            if value
        ]
        for facet, found in counts.items()
    }


def _named(shelf: str) -> dict[str, str]:
    named = dict(zip(SHELF, shelf.split("|")[:-1], strict=True))
    named["base_library"] = named["theme"] if named["theme"] in BASE_LIBRARIES else ""
    return named


def _pattern(search: Search) -> str:
    """The shelves that are looked for, as LIKE takes them: no value holds a bar, so each stands at its place."""
    wanted = {facet: getattr(search, facet) for facet in SHELF}
    if search.base_library is not None:
        both = {search.base_library, search.theme or search.base_library}
        wanted["theme"] = (
            search.base_library if len(both) == 1 and search.base_library in BASE_LIBRARIES else "|"
        )
    return "|".join("%" if value is None else _literal(value) for value in wanted.values()) + "|%"


def _literal(text: str) -> str:
    """`text` with the signs of LIKE made ordinary."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def _card_of(session: AsyncSession, asset: str) -> dict[str, Any]:
    card = _card((await session.execute(sql(_ONE), {"asset": asset})).mappings().one())
    del card["place"]
    return card


def _card(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    stated = {name: bool(row["transparency"] & bit) for name, bit in LIMITS.items()}
    return {
        **{name: row[name] for name in (*_CARD, "supplier_name", "listing", *_OFFERED)},
        **{name: value or None for name, value in _named(row["shelf"]).items() if name != "base_library"},
        "transparency": {"score": 25 * sum(stated.values()), **stated},
        "place": str(Place(row["titled"], row["transparency"], row["place"], row["id"])),
    }


def certificate_view(row: Certificate, asset: Asset) -> dict[str, Any]:
    """A certificate with what it certifies."""
    certified = asset.model_dump(include={"grade", "kind", "opening", "theme"})
    return {**row.model_dump(exclude={"reminded_us"}), **certified}


async def dossier(session: AsyncSession, asset: str, caller: Caller | None) -> dict[str, Any]:
    """Everything of one asset that the caller may see, oldest paper first.

    The inner papers (`assessments`, `approvals`, `authorizations`, `releases`, `appraisals`) are empty for whoever may not
    read them.
    """
    row = await visible_asset(session, asset, caller)
    supplier = await session.get(Party, row.supplier)
    operator = None if row.operator is None else await session.get(Party, row.operator)
    certified = await session.scalars(select(Certificate).where(Certificate.asset == row.id))
    certificate = certified.first()
    product = await product_of(session, row)
    inside = may_see_inside(row, caller)

    async def papers(table: type[P]) -> list[dict[str, Any]]:
        if not inside:
            return []
        query = select(table).where(col(table.asset) == row.id).order_by(col(table.log_index))
        return [paper.model_dump() for paper in await session.scalars(query)]

    return {
        "asset": await _card_of(session, row.id),
        "supplier_name": "" if supplier is None else supplier.name,
        "operator_name": None if operator is None else operator.name,
        "certificate": None if certificate is None else certificate_view(certificate, row),
        "product": None
        if product is None
        else product.model_dump(include={"product_digest", "size_bytes", "rows"}),
        "assessments": await papers(RiskAssessment),
        "approvals": await papers(Approval),
        "authorizations": await papers(DepartmentAuthorization),
        "releases": await papers(Release),
        "appraisals": await papers(Appraisal),
    }


async def product_of(session: AsyncSession, asset: Asset) -> Release | None:
    """The accepted release that the asset stands on now, or None where its path has not come that far."""
    index = asset.evidence.get("desensitization")
    if index is None:
        return None
    query = select(Release).where(Release.asset == asset.id, Release.log_index == int(index))
    return (await session.scalars(query)).first()


async def dictionary(session: AsyncSession, asset: str, caller: Caller | None) -> tuple[dict[str, Any], bool]:
    """What columns the released product of an asset has, none before its release, and whether rows of it may be shown: of
    general data that is not closed.
    """
    row = await visible_asset(session, asset, caller)
    product = await product_of(session, row)
    if product is None:
        return {"asset": row.id, "product_digest": None, "row_count": 0, "columns": []}, False
    columns = product.measurement.get("columns", [])
    shown = {
        "asset": row.id,
        "product_digest": product.product_digest,
        "row_count": product.rows,
        "columns": [{name: one[name] for name in ("name", "type", "nulls", "distinct")} for one in columns],
    }
    return shown, row.grade == "general" and row.opening != "closed"


async def quality(session: AsyncSession, asset: str, caller: Caller | None) -> dict[str, Any] | None:
    """What was counted of the file that an asset offers when it was last appraised (GB/T 36344), and in which entry that
    stands; None where that file was not appraised yet. The scores are everybody's, the value and its reasons are not.
    """
    row = await visible_asset(session, asset, caller)
    product = await product_of(session, row)
    if product is None:
        return None
    query = (
        select(Appraisal)
        .where(col(Appraisal.asset) == row.id, col(Appraisal.log_index) > product.log_index)
        .order_by(col(Appraisal.log_index).desc())
        .limit(1)
    )
    newest = (await session.scalars(query)).first()
    counted = None if newest is None else newest.report["inputs"]["quality"]
    return None if newest is None or counted is None else {"counted": counted, "index": str(newest.log_index)}


_SAMPLING: Final = threading.Lock()


def sample(vault: Vault, digest: str) -> list[list[str | None]]:
    """The first rows of a product as text; taken once from the kept file, in a process of their own, one at a time."""
    kept = vault.sample(digest)
    if kept is None:
        with _SAMPLING:
            kept = vault.sample(digest)
            if kept is None:
                with vault.at_hand(digest) as path:
                    kept = orjson.dumps(sample_in_child(path))
                vault.keep_sample(digest, kept)
    rows: list[list[str | None]] = orjson.loads(kept)
    return rows
