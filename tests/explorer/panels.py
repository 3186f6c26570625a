"""Panels opened by their links."""

from __future__ import annotations

from playwright.sync_api import Page

from downup.explorer import Server


def go(page: Page, server: Server, link: str) -> None:
    page.evaluate("(link) => { location.hash = link; }", link)
    page.wait_for_timeout(120)


def link(page: Page, start: str = "#") -> str:
    """The link of what the page shows, which follows a moment later."""
    page.wait_for_timeout(400)
    found: str = page.evaluate("location.hash")
    assert found.startswith(start)
    return found
