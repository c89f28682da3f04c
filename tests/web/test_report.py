"""A department's report as a person sees it: whole at every width, light and dark, and silent on the network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from exchange.demo.tables import write_patients
from exchange.desensitization import scan
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.report import html

pytestmark = pytest.mark.browser


def test_the_report_is_readable_at_every_width_in_light_and_dark(browser: Browser, tmp_path: Path) -> None:
    page_file = tmp_path / "report.html"
    page_file.write_text(html(scan(write_patients(tmp_path).path, Declaration(), bytes(32)).report))
    asked: list[str] = []
    faults: list[str] = []
    for scheme, width in (("light", 1280), ("dark", 390)):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: faults.append(message.text))
        page.goto(page_file.as_uri())
        assert set(asked) == {page_file.as_uri()}
        assert faults == []
        # What is too wide scrolls in its own frame, not the page.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("svg").count() == 6
        drawn = page.evaluate(
            "[...document.querySelectorAll('svg')].every(e => e.getBoundingClientRect().height > 80)"
        )
        assert drawn
        paper, ink = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('svg text')).fill]"
        )
        assert (paper, ink) == {
            "light": ("rgb(246, 243, 236)", "rgb(28, 34, 48)"),
            "dark": ("rgb(18, 21, 27)", "rgb(236, 231, 219)"),
        }[scheme]
        page.get_by_role("link", name="English").click()
        expect(page).to_have_url(re.compile("#en$"))
        assert page.get_by_role("heading", name="Desensitization report").is_visible()
        context.close()
