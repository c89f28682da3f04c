"""The department's story: a table with people in it goes from the raw file to a listing, and the raw file stays home."""

from __future__ import annotations

import pytest

from exchange.client import Conflict, Forbidden, NotFound, Refused
from exchange.client.certificates import verify_certificate
from exchange.messages.assets import DeclarationsMessage
from exchange.messages.market import HolderMessage, OfferMessage
from exchange.sandbox.registering import clock_of
from ledger.checkpoint import Verifier
from tests.stories.conftest import ON_CONDITION, START_FEN, Department, Venue, appraisal, wait_until


def test_a_table_with_people_in_it_comes_to_market_without_them(venue: Venue, hospital: Department) -> None:
    owner = venue.admit("supplier", people=2)
    assessor = owner.client
    operator = venue.operator(owner, 300_000, HolderMessage(name="the city", share_ppm=1_000_000))
    asset = assessor.declare_asset("Hospital stays", "health", operator=operator, **ON_CONDITION).outcome[
        "asset"
    ]

    # Out of order nothing goes: the answer names the step that is missing.
    with pytest.raises(Conflict) as early:
        assessor.apply(asset)
    assert early.value.remedy

    # What nobody has answered closes, on the record.
    unanswered = DeclarationsMessage(state_secret=None, trade_secret=False, privacy_consented=False)
    with pytest.raises(Refused) as secret:
        assessor.file_risk_assessment(asset, hospital.assessment(declared=unanswered))
    assert secret.value.code == "assessment.state_secret"

    assessed = assessor.file_risk_assessment(asset, hospital.assessment())
    with pytest.raises(Refused) as alone:
        assessor.authorize(asset, assessed.outcome["assessment"])
    assert alone.value.code == "authorization.four_eyes"
    granted = venue.authorized(owner, asset, assessed.outcome["assessment"])
    authorization = granted.outcome["authorization"]

    # Raw data is refused by what the exchange measures itself, and the file is gone afterwards.
    product, certificate = hospital.product(granted.outcome)
    raw_digest = assessor.upload(hospital.raw)
    with pytest.raises(Refused) as raw:
        assessor.release(asset, authorization, raw_digest, {**certificate, "product_digest": raw_digest})
    assert raw.value.remedy
    assert any("mobile" in str(failure) for failure in raw.value.done.outcome["failures"])

    digest = assessor.upload(product)
    released = assessor.release(asset, authorization, digest, certificate)
    assert released.outcome["state"] == "released"
    assessor.assign_theme(asset, "medical_care")

    # The registrar's two people, a notice on which anybody may say something, an objection that holds the code, and the code.
    stranger = venue.client()
    clerk, reviewer = venue.registrar
    application = assessor.apply(asset).outcome["application"]
    with pytest.raises(NotFound):
        stranger.notice(application)
    clerk.accept(application)
    with pytest.raises(Refused) as same:
        clerk.review(application)
    assert same.value.code == "registration.four_eyes"
    ends_us = int(reviewer.review(application).outcome["ends_us"])
    stranger.comment(application, "which hospitals are in it?")
    neighbour = venue.admit("supplier").client
    objection = neighbour.file_objection(application, "half of it is ours").outcome["objection"]
    clock_of(venue.administrator)(ends_us)
    assert stranger.notice(application).state == "noticed"
    assert [one.text for one in stranger.notice(application).comments] == ["which hospitals are in it?"]
    clerk.decide_objection(objection, "dismiss", "the records say otherwise")
    wait_until(lambda: assessor.application(application).state == "concluded", "the code")
    code = assessor.asset(asset).asset.code
    assert code is not None
    kept_file = stranger.certificate_document(code)
    certified = verify_certificate(kept_file, [Verifier.parse(venue.vkey)])
    assert (certified.code, certified.title) == (code, "Hospital stays")

    appraised = assessor.appraise(asset, appraisal(product))
    listing = assessor.offer_fixed_price(
        asset, OfferMessage(grant="licence", licences=3, term_days=365, price_fen=START_FEN)
    ).outcome["id"]

    # A stranger finds it, and holds the certificate's four steps to the log.
    assert [found.id for found in stranger.assets("hospital")] == [asset]
    assert [offer.id for offer in stranger.listings()] == [listing]
    shown = stranger.certificate(code)
    steps = ("risk_assessment", "authorization", "desensitization", "aggregation")
    assert set(shown.evidence) == set(steps)
    assert [shown.evidence[step].index for step in steps] == sorted(e.index for e in shown.evidence.values())
    assert shown.evidence["authorization"].index == granted.index
    assert shown.evidence["desensitization"].index == released.index
    dossier = stranger.asset(asset)
    assert dossier.product is not None
    assert dossier.product.product_digest == digest
    assert (dossier.assessments, dossier.releases) == ([], [])
    assert len(assessor.asset(asset).assessments) == 1
    assert int(appraised.outcome["value_fen"]) > 0

    # No file of the exchange holds a single mobile number of the raw table.
    numbers = [line.split(b",")[0] for line in hospital.raw.read_bytes().splitlines()[1:]]
    kept = [path.read_bytes() for path in venue.settings.data_dir.rglob("*") if path.is_file()]
    assert kept
    assert not any(number in content for number in numbers for content in kept)


def test_an_asset_on_its_way_does_not_exist_for_others(venue: Venue, weather: Department) -> None:
    owner, other = venue.admit("supplier", people=2), venue.admit("supplier", "buyer")
    asset = owner.client.declare_asset("Hourly weather", "meteorology").outcome["asset"]
    for question in (
        lambda: other.client.asset(asset),
        lambda: other.client.file_risk_assessment(asset, weather.assessment()),
        lambda: other.client.receipt(owner.client.asset(asset).asset.log_index),
    ):
        with pytest.raises(NotFound):
            question()
    assert list(other.client.assets()) == []
    with pytest.raises(Forbidden):
        venue.admit("buyer").client.declare_asset("Not mine to declare", "meteorology")


def test_a_department_sees_its_own_receipts_again(venue: Venue) -> None:
    owner = venue.admit("supplier")
    done = owner.client.declare_asset("Hourly weather", "meteorology", identifier="declare-1")
    assert owner.client.receipt(done.index) == done.receipt
    looked_up = owner.client.lookup("declare-1")
    assert looked_up is not None
    assert looked_up.receipt == done.receipt
    assert venue.admit("supplier").client.lookup("declare-1") is None  # identifiers are a party's own
