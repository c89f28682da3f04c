"""Who sees what, how it is found, and what is counted: held to a slow catalogue that looks at every asset."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from exchange.acts import Caller
from exchange.catalogue import FACETS, Place, Search, may_see, may_see_inside, search_assets
from exchange.database import Addresses, Database
from exchange.registration.path import STATES
from exchange.segmentation import lexemes
from exchange.tables import Asset
from exchange.taxonomy import BASE_LIBRARIES, KINDS, THEMES

parties = st.sampled_from(["supplier", "operator", "other"])


@given(
    state=st.sampled_from(STATES),
    party=st.none() | parties,
    roles=st.frozensets(
        st.sampled_from(["supplier", "buyer", "operator", "regulator", "governing_body", "administrator"])
    ),
    operated=st.booleans(),
)
def test_before_registration_an_asset_is_its_departments_its_operators_and_who_oversees_them(
    state: str, party: str | None, roles: frozenset[str], operated: bool
) -> None:
    asset = Asset(
        id="ast-1",
        supplier="supplier",
        operator="operator" if operated else None,
        title="t",
        summary="",
        kind="health",
        opening_declared="conditional",
        opening="conditional",
        opening_reason="",
        purposes=[],
        qualified=False,
        state=state,
        evidence={},
        log_index=0,
    )
    caller = None if party is None else Caller("person", party, roles)
    inner = caller is not None and (
        roles & {"regulator", "governing_body"} or party == "supplier" or (operated and party == "operator")
    )
    assert may_see_inside(asset, caller) == bool(inner)
    assert may_see(asset, caller) == (bool(inner) or state == "registered")


@pytest.mark.anyio
async def test_search_narrows_by_every_member_and_never_shows_what_is_hidden(
    house: Any, patients: Any, weather: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    other = await house.party("supplier", people=2)
    operator, regulator = (await house.party("operator"))[0], (await house.party("regulator"))[0]
    public = await house.walk(supplier, patients, title="Hospital 100% visits", summary="beds_and rooms")
    hidden = await house.walk(
        other,
        weather,
        steps=3,
        title="天气观测",
        kind="meteorology",
        operator=operator.party,
        update_days="30",
    )

    async def search(caller: Caller | None, **params: str) -> set[str]:
        query = "&".join(f"{name}={value}" for name, value in params.items())
        page = (await house.call(caller, "GET", f"/v1/assets?{query}")).json()
        assert int(page["total"]) == len(page["assets"])
        return {row["id"] for row in page["assets"]}

    assert await search(None) == await search(supplier[0]) == {public}
    assert await search(other[0]) == await search(operator) == await search(regulator) == {public, hidden}
    assert await search(None, supplier=other[0].party) == set()
    assert await search(regulator, supplier=other[0].party) == {hidden}
    assert await search(regulator, kind="meteorology") == {hidden}
    assert await search(regulator, state="registered") == {public}
    assert await search(regulator, theme="medical_care") == {public}
    assert await search(regulator, freshness="fresh") == {hidden}
    assert (
        await search(regulator, base_library="population")
        == await search(regulator, base_library="none")
        == set()
    )
    assert await search(regulator, text="天气") == {hidden}
    assert await search(regulator, text="气象") == {hidden}, "its kind is called so"
    assert await search(None, text="hospital") == await search(None, text="ROOMS") == {public}
    assert await search(None, text="100%25 v") == await search(None, text="bed room") == {public}
    assert await search(None, text="%25%25") == await search(None, text="visits hotel") == set()
    assert await search(None, kind="%25") == await search(None, kind="h_alth") == set(), (
        "the signs of LIKE mean themselves"
    )
    code = (await house.call(None, "GET", f"/v1/assets/{public}")).json()["asset"]["code"]
    assert await search(None, text=code) == {public}

    wrong = await house.http.get("/v1/assets", headers={"Authorization": "Bearer nobody's"})
    assert wrong.status_code == 401
    for broken in ("after=ast-1", "after=1.1.1.", "limit=0", "limit=101", f"text={'x' * 201}"):
        await house.problem(None, "GET", f"/v1/assets?{broken}", status=400, code="request.form")


@pytest.mark.anyio
async def test_a_card_says_what_is_stated_and_what_is_on_offer(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients, summary="visits by ward", update_days="30")

    async def card() -> Any:
        (found,) = (await house.call(None, "GET", "/v1/assets?text=visits")).json()["assets"]
        assert found == (await house.call(None, "GET", f"/v1/assets/{asset}")).json()["asset"]
        return found

    before = await card()
    assert (before["price"], before["price_fen"], before["freshness"]) == ("unlisted", None, "fresh")
    assert before["updated_us"] == str(house.now_us)
    assert not before["transparency"]["price"]
    assert before["transparency"]["source"]
    assert before["transparency"]["update"]
    buyer, _ = await house.sell(supplier, asset)
    after = await card()
    assert (after["price"], after["price_fen"]) == ("fixed", "100000")
    assert int(after["transparency"]["score"]) == int(before["transparency"]["score"]) + 25
    (offer,) = (await house.call(None, "GET", "/v1/listings")).json()
    assert after["listing"] == offer["id"]
    await house.done(buyer, f"/v1/listings/{offer['id']}/purchases", {"licences": "4"})
    assert (await card())["price"] == "unlisted", "nothing is left of the offer"


@pytest.mark.anyio
async def test_a_sample_is_taken_of_the_released_product_and_of_nothing_else(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    early = await house.walk(supplier, patients, steps=2)
    shown = (await house.call(None, "GET", f"/v1/assets/{asset}/sample")).json()
    assert [column["name"] for column in shown["columns"]] == ["age", "service", "satisfaction"]
    assert {column["type"] for column in shown["columns"]} <= {"string", "int64"}
    assert len(shown["rows"]) == 10
    assert all(len(row) == 3 for row in shown["rows"])
    numbers = {line.split(",")[0] for line in patients.raw.read_text().split()[1:]}
    assert not numbers & {cell for row in shown["rows"] for cell in row}, "no number left the department"
    assert (
        shown["product_digest"]
        == (await house.call(None, "GET", f"/v1/assets/{asset}")).json()["product"]["product_digest"]
    )
    # What is kept is what was taken; lost, it is taken again.
    (kept,) = (house.folder / "vault" / "samples").iterdir()
    kept.unlink()
    assert (await house.call(None, "GET", f"/v1/assets/{asset}/sample")).json() == shown
    assert kept.exists()
    nothing = (await house.call(supplier[0], "GET", f"/v1/assets/{early}/sample")).json()
    assert (nothing["product_digest"], nothing["columns"], nothing["rows"]) == (None, [], [])
    await house.problem(None, "GET", f"/v1/assets/{early}/sample", status=404, code="asset.unknown")


@pytest.mark.anyio
async def test_S26_a_citizen_reads_open_data_without_an_account(
    house: Any, weather: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    reason = {"opening_reason": "the forecast is paid for by everybody"}
    asset = await house.walk(
        supplier, weather, title="Hourly weather", kind="meteorology", opening="open", **reason
    )
    bought = await house.walk(supplier, patients)
    (found,) = (await house.call(None, "GET", "/v1/assets?opening=open")).json()["assets"]
    assert (found["id"], found["price"]) == (asset, "free")
    size = await house.log_size()
    file = await house.call(None, "GET", f"/v1/assets/{asset}/data")
    assert file.status_code == 200
    digest = (await house.call(None, "GET", f"/v1/assets/{asset}")).json()["product"]["product_digest"]
    assert hashlib.sha256(file.content).hexdigest() == digest == file.headers["etag"].strip('"')
    assert found["code"] in file.headers["content-disposition"]
    part = await house.call(None, "GET", f"/v1/assets/{asset}/data", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"PAR1")
    assert await house.log_size() == size, "nobody is asked who reads open data"
    await house.problem(None, "GET", f"/v1/assets/{bought}/data", status=403, code="data.not_open")
    hidden = await house.walk(supplier, weather, steps=3, opening="open", **reason)
    await house.problem(supplier[0], "GET", f"/v1/assets/{hidden}/data", status=404, code="asset.unknown")
    await house.problem(None, "GET", f"/v1/assets/{hidden}/data", status=404, code="asset.unknown")


# --- against a slow catalogue ---


@dataclass(frozen=True)
class Shown:
    """An asset with its newest open offer, as a reader of the tables sees it."""

    asset: Asset
    mode: str | None
    price_fen: int | None

    def facets(self) -> dict[str, str]:
        """The value of each facet."""
        one = self.asset
        opening = one.opening
        promised = "stale" if one.stale else "fresh"
        return {
            "state": one.state,
            "kind": one.kind,
            "theme": one.theme or "",
            "grade": one.grade or "",
            "opening": opening,
            "price": "free" if opening == "open" or self.price_fen == 0 else self.mode or "unlisted",
            "freshness": "unpromised" if one.update_days is None else promised,
            "base_library": one.theme if one.theme in BASE_LIBRARIES else "",
            "supplier": one.supplier,
        }

    def words(self) -> set[str]:
        """What it is found by."""
        names = [
            name
            for term in (KINDS.get(self.asset.kind), THEMES.get(self.asset.theme or ""))
            if term
            for name in (term.zh, term.en)
        ]
        return {*lexemes(self.asset.title, self.asset.summary, self.asset.code or "", self.asset.id, *names)}

    def place(self, asked: list[str]) -> Place:
        """Where it stands."""
        one, titled = self.asset, set(lexemes(self.asset.title))
        opening = one.opening
        stated = (
            (opening == "open" or self.price_fen is not None)
            + 2 * bool(one.code and one.summary)
            + 4 * (one.update_days is not None)
            + 8 * (opening in ("open", "conditional") and "desensitization" in one.evidence)
        )
        return Place(int(bool(asked) and titled.issuperset(asked)), stated, one.log_index, one.id)


TITLES = (
    "公共交通客流",
    "气象观测数据",
    "hospital visits",
    "自来水水质",
    "企业登记名录",
    "港口吞吐量",
    "school budgets",
)
WANTED = {
    "text": ("交通", "气象", "hospital", "水质", "统计", "统计 2020", "学校", "健康"),
    "state": ("registered", "declared"),
    "kind": ("health", "transport"),
    "theme": ("population", "travel"),
    "grade": ("general",),
    "opening": ("open", "closed"),
    "price": ("free", "fixed", "auction", "unlisted"),
    "freshness": ("fresh", "stale", "unpromised"),
    "base_library": ("population", "travel"),
    "supplier": ("org-0", "org-1"),
}
"""Texts are of words that no rule of cutting changes."""


def scene(chance: random.Random, size: int) -> list[tuple[Asset, list[dict[str, Any]]]]:
    """Assets of every sort, each with its listings."""
    made = []
    for n in range(size):
        state = chance.choice(("registered", "registered", "registered", *STATES))
        one = Asset(
            id=f"ast-{n:04}",
            supplier=f"org-{n % 3}",
            operator=chance.choice((None, "org-9")),
            title=f"{chance.choice(TITLES)}统计",
            summary=chance.choice(("", "2020 公共交通客流", "hospital")),
            kind=chance.choice(("health", "transport")),
            theme=chance.choice((None, "population", "travel")),
            code=f"DA-2026-HE-{n:08x}" if state == "registered" else None,
            grade=chance.choice((None, "general", "important")),
            state=state,
            evidence=chance.choice(({}, {"desensitization": "1"})),
            opening_declared="open",
            opening=chance.choice(("open", "conditional", "closed")),
            opening_reason="",
            purposes=[],
            qualified=False,
            update_days=chance.choice((None, 30)),
            stale=chance.random() < 0.3,
            log_index=n // 2,
        )
        offers = [
            {"mode": chance.choice(("fixed", "auction")), "price_fen": chance.choice((0, 100, 200)), "state": chance.choice(("open", "open", "ended")), "remaining": chance.choice((0, 1))}
            for _ in range(chance.randrange(3))
        ]  # fmt: skip
        made.append((one, offers))
    return made


async def put(url: str | None, made: list[tuple[Asset, list[dict[str, Any]]]]) -> None:
    """Write them as no room does: whoever writes, the server keeps the catalogue."""
    columns = list(Asset.model_fields)
    assert url is not None
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for n in (*range(3), 9):
            await connection.execute(
                "INSERT INTO party (id, uscc, name, looks, roles, state, stopped, log_index)"
                " VALUES (%s, %s, %s, %s, '{supplier}', 'active', false, 0)",
                (f"org-{n}", f"code-{n}", f"第{n}局", f"looks-{n}"),
            )
        for number, (one, offers) in enumerate(made):
            one.words = one.found_by()
            row = [
                psycopg.types.json.Jsonb(value) if isinstance(value, dict) else value
                for value in (getattr(one, name) for name in columns)
            ]
            await connection.execute(
                f"INSERT INTO asset ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})", row
            )
            for at, offer in enumerate(offers):
                row = [
                    f"lst-{number}-{at}",
                    one.id,
                    one.supplier,
                    offer["mode"],
                    offer["remaining"],
                    offer["price_fen"],
                    offer["state"],
                    number * 10 + at,
                ]
                await connection.execute(
                    'INSERT INTO listing (id, asset, seller, mode, "grant", reason, term_days, licences, remaining, price_fen,'
                    " state, log_index, contract, terms, terms_digest) VALUES (%s, %s, %s, %s, 'licence', '', 1, 1, %s, %s, %s, %s, 'provision', '{}', '')",
                    row,
                )


def slow(
    made: list[Shown], search: Search, caller: Caller | None
) -> tuple[list[str], dict[str, dict[str, int]]]:
    """What is found, in order, and the counts, by looking at every asset for every facet."""
    asked = [] if search.text is None else lexemes(search.text)
    seen = [one for one in made if may_see(one.asset, caller) and one.words().issuperset(asked)]
    names = (*FACETS, "supplier")
    wanted = {name: getattr(search, name) for name in names if getattr(search, name) is not None}

    def matches(one: Shown, skipped: str | None) -> bool:
        facets = one.facets()
        return all(facets[name] == value for name, value in wanted.items() if name != skipped)

    counts: dict[str, dict[str, int]] = {}
    for name in names:
        counts[name] = {}
        for one in seen:
            value = one.facets()[name]
            if value and matches(one, name):
                counts[name][value] = counts[name].get(value, 0) + 1
    found = sorted((one.place(asked) for one in seen if matches(one, None)), reverse=True)
    return [place.asset for place in found], counts


@pytest.fixture
async def engine(database: Addresses) -> AsyncIterator[Database]:
    """The application's own connections."""
    opened = Database(database.app_url)
    yield opened
    await opened.close()


@contextmanager
def statements(engine: Database) -> Iterator[list[str]]:
    """The statements that reading takes."""
    asked: list[str] = []
    sync = engine._readers.sync_engine  # the only place that sees every statement

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    event.listen(sync, "before_cursor_execute", note)
    yield asked
    event.remove(sync, "before_cursor_execute", note)


async def all_pages(
    session: Any, search: Search, caller: Caller | None
) -> tuple[list[str], Mapping[str, Any]]:
    """Every page, one after the other; the first page's counts, which are those of all."""
    found: list[str] = []
    first: Mapping[str, Any] | None = None
    while True:
        page = await search_assets(session, search, caller)
        first = first or page
        assert (page["facets"], page["total"]) == (first["facets"], first["total"])
        found += [row["id"] for row in page["assets"]]
        if len(page["assets"]) < search.limit:
            return found, first
        search = Search(
            **{
                **{f: getattr(search, f) for f in search.__slots__},
                "after": Place.parse(page["assets"][-1]["place"]),
            }
        )


@pytest.mark.anyio
async def test_pages_order_and_counts_are_those_of_a_catalogue_that_looks_at_every_asset(
    database: Addresses, engine: Database
) -> None:
    chance = random.Random(7)
    made = scene(chance, 120)
    await put(database.owner_url, made)
    # Rows move on: what stands on a shelf leaves it.
    assert database.owner_url is not None
    async with await psycopg.AsyncConnection.connect(database.owner_url) as connection:
        for one, offers in made[::5]:
            one.stale, one.theme = not one.stale, "travel"
            one.words = one.found_by()
            await connection.execute(
                "UPDATE asset SET stale = %s, theme = %s, words = %s WHERE id = %s",
                (one.stale, one.theme, one.words, one.id),
            )
            for offer in offers:
                offer["state"] = "ended"
            await connection.execute("UPDATE listing SET state = 'ended' WHERE asset = %s", (one.id,))
    shown = []
    for one, offers in made:
        standing = [offer for offer in offers if offer["state"] == "open" and offer["remaining"]]
        shown.append(
            Shown(one, *((standing[-1]["mode"], standing[-1]["price_fen"]) if standing else (None, None)))
        )
    callers = [
        None,
        Caller("p", "org-1", frozenset({"supplier"})),
        Caller("p", "org-9", frozenset({"operator"})),
        Caller("p", "org-8", frozenset({"regulator"})),
    ]
    nonempty = 0
    for _ in range(60):
        names = chance.sample(sorted(WANTED), chance.choice((0, 1, 1, 2, 2, 3)))
        wanted: dict[str, Any] = {name: chance.choice(WANTED[name]) for name in names}
        search = Search(**wanted, limit=chance.choice((3, 7, 100)))
        caller = chance.choice(callers)
        async with engine.reader() as session:
            found, page = await all_pages(session, search, caller)
        expected, counts = slow(shown, search, caller)
        assert found == expected, (search, caller)
        assert page["total"] == len(expected)
        told = {name: {one["value"]: one["assets"] for one in page["facets"][name]} for name in counts}
        assert told == counts, (search, caller)
        assert all(one["name"] == f"第{one['value'][-1]}局" for one in page["facets"]["supplier"])
        nonempty += bool(found)
    assert nonempty > 25, "the searches found too little to tell anything"


@pytest.mark.anyio
async def test_a_page_takes_one_statement_whatever_it_shows_and_to_whom(
    database: Addresses, engine: Database
) -> None:
    await put(database.owner_url, scene(random.Random(1), 60))
    for caller in (
        None,
        Caller("p", "org-1", frozenset({"supplier"})),
        Caller("p", "r", frozenset({"regulator"})),
    ):
        for search in (
            Search(limit=1),
            Search(limit=100),
            Search(text="统计", limit=50),
            Search(kind="health", supplier="org-1"),
        ):
            with statements(engine) as asked:
                async with engine.reader() as session:
                    page = await search_assets(session, search, caller)
            assert page["assets"]
            assert len(asked) == 1, asked


@pytest.mark.anyio
async def test_pages_follow_one_another_without_gap_or_repeat(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    assets = [await house.walk(supplier, patients, steps=0) for _ in range(7)]
    seen: list[str] = []
    after = None
    for _ in range(4):
        page = (
            await house.call(supplier[0], "GET", "/v1/assets?limit=3" + (f"&after={after}" if after else ""))
        ).json()
        seen += [row["id"] for row in page["assets"]]
        after = page["after"]
        if after is None:
            break
    assert after is None
    assert seen == assets[::-1], "what changed last comes first"
