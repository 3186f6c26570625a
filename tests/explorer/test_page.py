"""Every panel works, by mouse and by keys, and its link restores it."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page

from downup.explorer import Server
from explorer.panels import go, link

HERE = Path(__file__).parent
PANELS = ["bench", "back", "artefacts", "windows", "edges"]


def hint(page: Page) -> str:
    return page.locator(".hint").first.inner_text()


def point(page: Page, plot: int, row: float, column: float, of: tuple[int, int]) -> None:
    """Move the mouse to a sample of a plot that shows `of` rows and columns."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("canvas.picture").nth(plot).bounding_box()
    assert box
    scale = min(box["width"] / of[1], box["height"] / of[0])
    page.mouse.move(
        box["x"] + box["width"] / 2 + (column + 0.5 - of[1] / 2) * scale,
        box["y"] + box["height"] / 2 + (row + 0.5 - of[0] / 2) * scale,
    )


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_opens_and_keeps_its_values_in_the_link(opened: Page, server: Server, panel: str) -> None:
    opened.locator(f"#tab-{panel}").click()
    assert opened.locator(f"#tab-{panel}").get_attribute("aria-selected") == "true"
    assert opened.locator("#panel canvas").count() >= 2
    link(opened, f"#{panel}?")
    sliders = opened.locator("#panel input[type=range]:visible")
    if not sliders.count():
        return
    for _ in range(2):
        sliders.first.press("ArrowRight")
    moved, value = link(opened), sliders.first.input_value()
    go(opened, server, "#bench")
    go(opened, server, moved)
    assert opened.evaluate("location.hash") == moved
    assert opened.locator("#panel input[type=range]:visible").first.input_value() == value


def test_pointing_at_an_output_tells_the_samples_it_came_from(opened: Page, server: Server) -> None:
    go(opened, server, "#bench?operator=avg_pool2d&picture=numbers&kernel=3&stride=3&padding=valid")
    point(opened, 1, 1, 0, of=(2, 2))
    # Rows 3 to 5, columns 0 to 2 of y * 36 + x * 7: the middle one is their mean.
    assert hint(opened) == "output (1, 0) = 151: from 9 input samples with weight 0.11."


def test_pointing_at_an_input_tells_where_its_gradient_comes_from(opened: Page, server: Server) -> None:
    go(opened, server, "#bench?operator=max_pool2d&picture=numbers&kernel=2&stride=2&padding=valid")
    point(opened, 0, 1, 1, of=(6, 6))
    assert hint(opened) == "input (1, 1) = 43: its gradient comes from one output sample, with weight 1."
    point(opened, 0, 0, 0, of=(6, 6))
    assert hint(opened) == "input (0, 0) = 0: no output depends on it: its gradient is 0."


def test_keys_do_what_the_mouse_does(opened: Page, server: Server) -> None:
    go(opened, server, "#bench?operator=max_pool2d&picture=numbers&kernel=2&stride=2&padding=valid")
    output = opened.locator("canvas.picture").nth(1)
    output.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        output.press(key)
    assert hint(opened).startswith("output (1, 1) = 129: from input (3, 3) = 129")
    assert opened.locator("#status").inner_text() == hint(opened)


def test_a_link_that_comes_while_another_is_to_be_written_is_followed(opened: Page, server: Server) -> None:
    go(opened, server, "#bench?operator=max_pool2d&picture=numbers")
    for _ in range(3):
        opened.evaluate(
            """() => {
                document.querySelector("#panel input[type=range]").dispatchEvent(new Event("input", {bubbles: true}));
                const until = performance.now() + 500;
                location.hash = "#edges?picture=circle";
                window.dispatchEvent(new Event("pagehide"));  // writes what is to be written before the link is followed
                while (performance.now() < until);
            }"""
        )
        opened.wait_for_timeout(120)
        assert opened.locator("#tab-edges").get_attribute("aria-selected") == "true"
        go(opened, server, "#bench?operator=max_pool2d&picture=numbers")


def test_the_panels_are_reached_by_keys(opened: Page, server: Server) -> None:
    go(opened, server, "#edges?picture=circle")
    tab = opened.locator("#tab-edges")
    tab.focus()
    tab.press("ArrowRight")
    assert opened.evaluate("document.activeElement.id") == "tab-bench"
    opened.keyboard.press("ArrowLeft")
    assert opened.locator("#tab-edges").get_attribute("aria-selected") == "true"
    opened.locator(".skip").focus()
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.activeElement.id") == "panel"
    assert "picture=circle" in link(opened, "#edges?")


def test_links_and_gradients_are_those_of_torch(opened: Page) -> None:
    """What the page says of every output's inputs and every input's outputs is the Jacobian."""
    from downup import ops

    calls: list[tuple[str, dict[str, Any], Any]] = [
        ("avg_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, ops.avg_pool2d),
        ("max_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, ops.max_pool2d),
        ("blur_pool2d", {"taps": 3, "stride": 2}, ops.blur_pool2d),
        ("max_blur_pool2d", {"kernel_size": 2, "taps": 3, "stride": 2}, ops.max_blur_pool2d),
        ("lp_pool2d", {"norm_type": 2, "kernel_size": 2, "stride": 2}, ops.lp_pool2d),
        ("interpolate", {"scale_factor": 1.5, "mode": "bicubic"}, ops.interpolate),
        ("pixel_unshuffle", {"factor": 2}, lambda x, factor: ops.pixel_unshuffle(x, factor)),
    ]
    x = np.random.default_rng(5).uniform(1, 9, (1, 6, 6)).astype(np.float32)
    script = (HERE / "links.js").read_text()
    for name, args, function in calls:
        wanted = torch.autograd.functional.jacobian(
            lambda one, function=function, args=args: function(one, **args).flatten(),
            torch.from_numpy(x)[None],
        ).reshape(-1, 36)
        for links in opened.evaluate(script, [name, args, x.flatten().tolist()]):
            found = np.zeros(tuple(wanted.shape))
            for out, place, weight in links:
                found[out, place] += weight
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5, err_msg=name)


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG file that claims a size; without a body, nothing that could be decoded follows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def send(page: Page, name: str, body: bytes) -> str:
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": body})
    page.wait_for_function("(name) => document.getElementById('status').textContent.includes(name)", arg=name)
    return page.locator("#status").inner_text()


def test_the_reader_sees_their_own_picture(opened: Page, server: Server) -> None:
    go(opened, server, "#bench?operator=max_pool2d&kernel=2&stride=2")
    rows = b"".join(b"\0" + bytes(range(y, y + 6)) for y in range(4))
    opened.locator("#file").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": png(6, 4, zlib.compress(rows))}
    )
    opened.wait_for_function("() => location.hash.includes('picture=own')")
    assert opened.locator(".plot .size").first.inner_text() == "4 × 6"


def test_a_click_paints_where_drawing_is_on(opened: Page, server: Server) -> None:
    go(
        opened,
        server,
        "#bench?operator=max_pool2d&picture=numbers&kernel=2&stride=2&padding=valid&draw=1&level=250",
    )
    point(opened, 0, 1, 1, of=(6, 6))
    opened.mouse.down()
    opened.mouse.up()
    assert "picture=own" in link(opened)
    point(opened, 1, 0, 0, of=(3, 3))
    assert hint(opened).startswith("output (0, 0) = 250: from input (1, 1) = 250")


def test_hostile_files_are_refused_and_nothing_breaks(opened: Page, server: Server) -> None:
    go(opened, server, "#bench")
    assert "200 million pixels" in send(opened, "huge.png", png(20_000, 10_000))
    assert "no picture that this page reads" in send(
        opened, "notes.png", b"these are words, not a picture at all"
    )
    assert "damaged" in send(opened, "broken.png", png(8, 8))
    name = "<img src=x onerror=document.title='broken'>.png"
    assert name in send(opened, name, b"nothing")
    good = png(6, 4, zlib.compress((b"\0" + bytes(6)) * 4))
    opened.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": good})
    opened.wait_for_function("() => document.querySelector('.plot .size').textContent === '4 × 6'")
    assert name in opened.locator("#panel select[name=picture]").inner_text()
    assert opened.locator("img").count() == 0
    assert opened.title() == "downup explorer"
    assert opened.locator("#panel canvas").count() >= 2


@pytest.mark.parametrize(
    "values", ["operator=nothing", "kernel=999&stride=-4", "picture=<b>", "sides=NaN", "padding=__proto__"]
)
def test_a_link_of_nonsense_opens_the_panel(opened: Page, server: Server, values: str) -> None:
    for panel in PANELS:
        go(opened, server, f"#{panel}?{values}")
        assert opened.locator("#panel canvas").count() >= 2


def test_a_picture_larger_than_the_screen_keeps_its_colours(opened: Page, server: Server) -> None:
    go(opened, server, "#bench?operator=interpolate&picture=house&scale=4&mode=nearest")
    found = opened.evaluate(
        """() => {
          const canvas = document.querySelectorAll("canvas.picture")[1], { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height), house = downup.picture("house").data;
          return [[0.17, 0.8], [0.05, 0.1], [0.65, 0.5], [0.95, 0.3]].map(([y, x]) => {
            const shown = 4 * (Math.floor(y * height) * width + Math.floor(x * width));
            const sample = Math.floor(y * 256) * 256 + Math.floor(x * 256);
            return [[...data.slice(shown, shown + 3)], [0, 1, 2].map((c) => house[c * 65536 + sample])];
          });
        }"""
    )
    for shown, wanted in found:
        np.testing.assert_allclose(shown, wanted, atol=6)


def test_an_impossible_window_is_explained(opened: Page, server: Server) -> None:
    go(opened, server, "#bench?operator=max_pool2d&picture=numbers&kernel=7&padding=valid")
    assert (
        "The window spans 7 rows but the padded picture has only 6" in opened.locator(".message").inner_text()
    )


def test_a_halo_of_seven_hides_the_tiles_and_six_does_not(opened: Page, server: Server) -> None:
    go(opened, server, "#windows?halo=7")
    assert "every number is the same, bit for bit" in opened.locator("#status").inner_text()
    go(opened, server, "#windows?halo=6")
    assert "numbers differ" in opened.locator("#status").inner_text()


def test_shuffling_comes_back_whole_and_pooling_does_not(opened: Page, server: Server) -> None:
    go(opened, server, "#back?first=shuffle-shuffle&second=max-nearest")
    notes = opened.locator(".trip .hint").all_inner_texts()
    assert notes[0].startswith("Off by 0 of 255 on average, by 0 at edges.")
    assert not notes[1].startswith("Off by 0 ")


def test_every_control_and_picture_has_a_name(opened: Page, server: Server) -> None:
    for panel in PANELS:
        go(opened, server, f"#{panel}")
        unnamed = opened.evaluate(
            """() => [...document.querySelectorAll("#panel input, #panel select, #panel canvas, #panel button")]
              .filter((one) => !(one.getAttribute("aria-label") || one.labels?.[0]?.textContent || one.textContent))
              .map((one) => one.outerHTML)"""
        )
        assert unnamed == [], json.dumps(unnamed)
