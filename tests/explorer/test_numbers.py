"""The page computes what Python computes, bit for bit."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from downup.catalog import OPERATORS
from downup.errors import ArgumentError
from explorer.calls import CALLS, answer

RUN = """(calls) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const text = (array) => {
    const all = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let letters = "";
    for (let i = 0; i < all.length; i += 8192) letters += String.fromCharCode(...all.subarray(i, i + 8192));
    return btoa(letters);
  };
  return calls.map(({ name, shape, data, args, arrays }) => {
    const [channels, rows, columns] = shape;
    if (arrays.weight) args.weight = new Float32Array(bytes(arrays.weight).buffer);
    if (arrays.indices) args.indices = new Int32Array(bytes(arrays.indices).buffer);
    const x = { channels, rows, columns, data: new Float32Array(bytes(data).buffer) };
    try {
      const { out, positions, offsets } = downup.run(downup.kernels, name, x, args);
      const found = { out: out.data, positions, offsets };
      const packed = Object.entries(found).filter(([, array]) => array).map(([key, array]) => [key, text(array)]);
      return { shape: [out.channels, out.rows, out.columns], ...Object.fromEntries(packed) };
    } catch (error) {
      if (!(error instanceof downup.Refusal)) throw error;
      return { refused: error.message };
    }
  });
}"""


def bits(array: np.ndarray) -> np.ndarray:
    """Which bits a NaN has is nobody's promise."""
    if array.dtype != np.float32:
        return array
    return np.where(np.isnan(array), np.uint32(0x7FC00000), np.ascontiguousarray(array).view(np.uint32))


def unpacked(found: dict[str, Any], name: str) -> list[np.ndarray]:
    def read(key: str, dtype: Any) -> np.ndarray:
        return np.frombuffer(base64.b64decode(found[key]), dtype).reshape(found["shape"])

    out = [read("out", np.float32)]
    if name in ("max_pool2d", "adaptive_max_pool2d"):
        out.append(read("positions", np.int32))
    if name == "max_pool2d_with_offsets":
        out.append(read("offsets", np.uint8))
    return out


def test_every_operator_of_the_catalog_is_in_the_page() -> None:
    assert sorted(CALLS) == sorted(row.name for row in OPERATORS)


def test_a_table_of_taps_outlives_the_making_of_others(opened: Page) -> None:
    """The page keeps a number of tables: the rows' may be its oldest when the columns' is made."""
    opened.evaluate(
        """() => {
          const run = (rows, columns) => {
            const x = { channels: 1, rows, columns, data: new Float32Array(rows * columns) };
            downup.run(downup.kernels, "blur_pool2d", x, { taps: 3, stride: 2 });
          };
          for (let fresh = 200; fresh < 300; fresh++) run(7, fresh);
          for (let fresh = 300; fresh < 400; fresh++) { run(9, 8); run(fresh, 11); run(9, fresh); }
        }"""
    )


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_page_computes_the_bits_of_python(name: str, opened: Page, is_long: bool) -> None:
    random = np.random.default_rng(list(name.encode()))
    calls, wanted = [], []
    while sum(answers is not None for answers in wanted) < (1000 if is_long else 100):
        call = CALLS[name](random)
        try:
            wanted.append(answer(call))
        except ArgumentError:
            wanted.append(None)
        calls.append(call)
    found = opened.evaluate(RUN, [call.sent() for call in calls])
    for call, answers, one in zip(calls, wanted, found, strict=True):
        about = f"{name} of {call.x.shape} with {call.arguments}"
        if answers is None:
            assert "refused" in one, about
            continue
        assert "refused" not in one, f"{about}: {one}"
        for ours, theirs in zip(answers, unpacked(one, name), strict=True):
            assert np.array_equal(bits(ours), bits(theirs)), about
