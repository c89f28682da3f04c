"""Rules as people read them: a citation and a refusal tell the rule in a sentence and lead to its place among all rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from exchange.rulebook import load

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("zh", "登记事项公示 10 个工作日"), ("en", "A notice runs for 10 working days")],
)
def test_a_citation_leads_to_its_rule_in_the_readers_language(
    market: Any, visit: Callable[..., Page], language: str, sentence: str
) -> None:
    page = visit(f"/{language}/notices")
    cited = page.locator(".lead a.rule")
    expect(cited).to_have_attribute("title", sentence)
    cited.click()
    expect(page).to_have_url(f"{market.url}/{language}/rules#registration.notice_working_days")
    expect(page.locator("tr:target th")).to_have_text(sentence)
    expect(page.locator("main tbody tr")).to_have_count(len(load("cn-venue").rules))
    told = page.locator("main table").all_inner_texts()
    assert [
        name for name in load("cn-venue").rules if name in "".join(told)
    ] == []  # none stands there by its code
