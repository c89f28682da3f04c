"""Take a picture of the README: `python tests/web/picture.py URL docs/console.png`; a report by its file's URL."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

LIMIT_BYTES = 300 * 1024


def take(url: str, path: Path, *, width: int = 1280, height: int = 860) -> None:
    """Save what a reader with a fresh browser sees of `url`, a console's once its checkpoint is checked; at most 300 KB."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(url)
        if not url.startswith("file:"):
            page.locator("#seal[data-state=good]").wait_for()
            page.locator("#pulse[data-state=on]").wait_for()
            page.wait_for_timeout(1_000)  # the chart is drawn, what glowed has faded
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path)
        browser.close()
    if path.stat().st_size > LIMIT_BYTES:
        raise SystemExit(
            f"{path} has {path.stat().st_size} bytes, more than {LIMIT_BYTES}: choose a smaller window"
        )


if __name__ == "__main__":
    take(sys.argv[1], Path(sys.argv[2]))
