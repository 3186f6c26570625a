"""The page in a browser, which has nothing but the server on this machine to ask."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from downup.explorer import Server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Debian's, or else the one that `playwright install chromium` brought.
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error:
            if path is not None:
                raise
            pytest.skip("no browser here; apt-get install chromium, or playwright install chromium")
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def opened(browser: Browser, server: Server) -> Iterator[Page]:
    """The page, opened once for a module; what it complains of, or asks for elsewhere, ends in an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.address)
    page.wait_for_selector("html[data-ready]")
    yield page
    assert complaints == []
    assert [url for url in asked if not url.startswith((server.address, "blob:", "data:"))] == []
    context.close()
