"""The Python that the page shows runs as it is, and computes what the page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page

from downup.catalog import OPERATORS
from downup.explorer import Server
from explorer.panels import go

HERE = Path(__file__).parent


def run_code(call: dict[str, Any], form: str) -> bool:
    """Run what the page shows in one form, and compare; False where the form has no such operator."""
    if f"{form} has no" in call["code"]:
        assert form != "downup"
        return False
    x = torch.tensor(call["x"], dtype=torch.float32).reshape(call["shape"])
    names = {"x": x.permute(0, 2, 3, 1) if form == "Keras" else x}
    exec(call["code"], names)
    y: Any = names["y"]
    y = torch.as_tensor(np.asarray(y))
    found = (y.permute(0, 3, 1, 2) if form == "Keras" else y).numpy()
    assert list(found.shape) == call["outShape"], call["code"]
    wanted = np.array(call["out"], np.float32).reshape(call["outShape"])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-3, err_msg=call["code"])
    return True


@pytest.mark.parametrize("form", ["downup", "PyTorch", "Keras"])
def test_the_code_computes_what_the_page_shows(opened: Page, form: str) -> None:
    run = sum(run_code(call, form) for call in opened.evaluate((HERE / "code_calls.js").read_text(), form))
    assert run >= {"downup": 35, "PyTorch": 25, "Keras": 12}[form]


def random_state(random: np.random.Generator) -> dict[str, str]:
    """Any position of the bench's controls."""
    sliders = {
        "kernel": (1, 7), "stride": (1, 5), "sides": (0, 3), "dilation": (1, 4), "extra": (0, 4), "norm": (1, 2),
        "rows": (1, 32), "columns": (1, 32), "taps": (1, 9), "factor": (1, 4), "scale": (1, 16),
    }  # fmt: skip
    choices = {
        "operator": [row.name for row in OPERATORS],
        "padding": ["numbers", "valid", "same", "same_lower"],
        "mode": ["nearest", "nearest-exact", "bilinear", "bicubic", "lanczos", "lanczos5", "area"],
        "filter": ["average", "ones", "smooth", "vertical", "horizontal", "circle", "sharpen"],
        "edge": ["reflect", "repeat", "zero"],
        "order": ["CRD", "DCR"],
    }
    found = {name: str(random.integers(low, high + 1)) for name, (low, high) in sliders.items()}
    found |= {name: str(random.choice(options)) for name, options in choices.items()}
    found |= {name: str(random.integers(0, 2)) for name in ("ceil", "counted", "corners", "antialias")}
    return {**found, "scale": str(int(found["scale"]) / 4)}


@pytest.mark.parametrize("form", ["downup", "PyTorch"])
def test_the_code_of_random_states_runs_as_it_is(opened: Page, form: str, is_long: bool) -> None:
    random = np.random.default_rng(list(form.encode()))
    states = [random_state(random) for _ in range(3000 if is_long else 120)]
    calls = [call for call in opened.evaluate((HERE / "random_code.js").read_text(), [form, states]) if call]
    run = sum(run_code(call, form) for call in calls)
    assert run >= len(states) * {"downup": 0.4, "PyTorch": 0.2}[form]


def test_copying_takes_the_code_along(opened: Page, server: Server) -> None:
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    go(opened, server, "#bench?operator=blur_pool2d")
    opened.locator(".copy").click()
    assert opened.evaluate("navigator.clipboard.readText()") == opened.locator(".code code").text_content()


def shown_code(page: Page, form: str, x: torch.Tensor) -> np.ndarray:
    """What the last code of the open panel makes of x."""
    block = page.locator("#panel .code").last
    block.get_by_text(form, exact=True).click()
    names: dict[str, Any] = {"x": x}
    exec(block.locator("code").inner_text(), names)
    return np.asarray(names["y"])[0]


def house(page: Page) -> torch.Tensor:
    data = page.evaluate("[...downup.picture('house').data]")
    return torch.tensor(data, dtype=torch.float32).reshape(1, 3, 256, 256)


def test_the_code_of_a_panel_says_what_it_does(opened: Page, server: Server) -> None:
    colours = house(opened)
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).reshape(1, 3, 1, 1)
    grey = (colours.double() * weights).sum(1, keepdim=True).round().float()
    forms = ("downup", "PyTorch")
    for pair in ("max-unpool", "avg-nearest", "strided-transposed", "shuffle-shuffle"):
        go(opened, server, f"#back?picture=house&first={pair}")
        told = float(opened.locator(".trip .hint").first.inner_text().split()[2])
        for form in forms:
            lost = np.abs(shown_code(opened, form, colours) - colours[0].numpy()).mean()
            assert told == pytest.approx(lost, rel=0.02, abs=1e-6), (pair, form)
    go(opened, server, "#edges?picture=house&pool=avg&size=3")
    told = float(opened.locator("#panel .hint").last.inner_text().split(" and ")[1].split()[0])
    for form in forms:
        assert told == pytest.approx(shown_code(opened, form, grey).max(), rel=0.02)
    go(opened, server, "#windows?picture=house")
    whole = [shown_code(opened, form, grey[..., 64:192, 64:192]) for form in forms]
    np.testing.assert_allclose(*whole, rtol=1e-4, atol=1e-3)
    assert whole[0].shape == (1, 128, 128)
    go(opened, server, "#artefacts?picture=house&stride=2")
    assert shown_code(opened, "downup", grey).shape == (1, 128, 128)
