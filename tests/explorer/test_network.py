"""The reader's own network: what it says of a picture, and what it refuses."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from PIL import Image
from playwright.sync_api import Browser

from downup.data import ClassInfo, NetworkMetadata
from downup.errors import DataError
from downup.explorer import Server
from downup.explorer.network import Network, read_pixels
from explorer.test_server import ask

ABOUT = NetworkMetadata(
    classes=(ClassInfo("land", (0, 158, 115)), ClassInfo("<b>water</b>", (0, 114, 178))),
    channels="rgb",
    mean=(0.5, 0.5, 0.5),
    deviation=(0.25, 0.25, 0.25),
    stride=4,
    halo=8,
)
GRAPH = """<ir_version: 10, opset_import: ["" : 20]>
little (float[1, 3, rows, columns] x) => (float[1, 2, out_rows, out_columns] scores)
<float[4, 3, 3, 3] first, float[2, 4, 1, 1] last, float[4] scales = {1.0, 1.0, 4.0, 4.0}> {
  low = Conv<pads = [1, 1, 1, 1], strides = [2, 2], kernel_shape = [3, 3]>(x, first)
  positive = Relu(low)
  pooled = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(positive)
  classes = Conv<kernel_shape = [1, 1]>(pooled, last)
  scores = Resize<mode = "linear">(classes, , scales)
}"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("little run")
    model = onnx.parser.parse_model(GRAPH)
    random = np.random.default_rng(3)
    for name, shape in (("first", (4, 3, 3, 3)), ("last", (2, 4, 1, 1))):
        weight = random.normal(size=shape).astype(np.float32)
        for kept in [one for one in model.graph.initializer if one.name == name]:
            model.graph.initializer.remove(kept)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
        for given in [one for one in model.graph.input if one.name == name]:
            model.graph.input.remove(given)
    for key, value in ABOUT.to_properties().items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, folder / "model.onnx")
    scores = {
        "confusion": [[90, 10], [5, 95]],
        "mean_iou": 0.86,
        "classes": [item.name for item in ABOUT.classes],
    }
    (folder / "metrics.json").write_text(json.dumps(scores))
    return folder


@pytest.fixture(scope="module")
def serving(run: Path) -> Iterator[Server]:
    with Server(answers=Network(run, threads=1).answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def picture() -> bytes:
    pixels = np.random.default_rng(4).integers(0, 256, (32, 48, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def post(server: Server, body: bytes, **headers: str) -> tuple[int, str]:
    answer = ask(server, "POST", "/label", body, **{"Content-Length": str(len(body)), **headers})
    return answer.status, answer.body.decode()  # type: ignore[attr-defined]


def test_a_picture_comes_back_with_labels_layers_and_steps(serving: Server) -> None:
    status, text = post(serving, picture())
    assert status == 200, text
    found = json.loads(text)
    assert (found["rows"], found["columns"]) == (32, 48)
    assert sum(found["shares"]) == pytest.approx(1)
    assert [layer["shape"] for layer in found["maps"]] == [[4, 16, 24], [4, 8, 12], [2, 8, 12]]
    assert all(url.startswith("data:image/png;base64,") for layer in found["maps"] for url in layer["maps"])
    assert sum(step["multiply_adds"] for step in found["steps"]) > 0


def test_hostile_uploads_are_refused_politely(serving: Server) -> None:
    status, text = post(serving, b"these are words, not a picture")
    assert (status, "/tmp" in text) == (422, False)
    assert text.startswith("the picture is damaged, or no PNG")
    status, text = post(serving, b"", **{"Content-Length": str(10**12)})
    assert (status, "larger than 32 MiB" in text) == (413, True)
    assert post(serving, b"", **{"Content-Length": "-1"})[0] == 411
    for headers in ({"Origin": "http://example.org"}, {"Host": "example.org"}):
        assert post(serving, picture(), **headers)[0] == 403
    assert post(serving, picture())[0] == 200


def test_a_picture_too_large_for_the_page_is_refused_before_it_is_decoded() -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 4_000)).save(file, "PNG")
    with pytest.raises(DataError, match="80 million pixels; here use at most 16 million"):
        read_pixels(file.getvalue(), "rgb")


def test_the_panel_shows_the_network_and_its_picture(browser: Browser, serving: Server) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(serving.address + "#network")
    page.wait_for_selector("html[data-ready]")
    assert page.locator(".classes li").all_inner_texts() == ["land", "<b>water</b>"]
    assert 'downup.load("little run' in page.locator(".code code").inner_text()
    told = page.locator("#panel .text").first.inner_text()
    assert "A label sees 6 pixels around its own." in told
    assert "begin at multiples of 4 and read" in told
    assert "90%" in page.locator("#panel table").last.inner_text()
    page.locator("#panel input[type=file]").set_input_files(
        {"name": "<i>me</i>.png", "mimeType": "image/png", "buffer": picture()}
    )
    page.wait_for_selector(".layer")
    assert page.locator(".layer").count() == 3
    assert page.locator("#panel h2").all_inner_texts()[1] == "<i>me</i>.png"
    page.locator("#panel input[type=file]").set_input_files(
        {"name": "words.png", "mimeType": "image/png", "buffer": b"words"}
    )
    page.wait_for_function("() => document.querySelector('.message').textContent.includes('damaged')")
    # The browser itself notes the refused upload.
    assert [line for line in complaints if "422" not in line] == []
    page.close()
