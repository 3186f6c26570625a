"""How quickly the explorer answers: a picture of one megapixel through each operator, and frames a second of its sliders.

    python benchmarks/explorer.py

Needs a Chromium (Debian's, or Playwright's own). Times are medians, taken in the page, copies in and out included.
"""

from __future__ import annotations

import argparse
import shutil
import threading

from playwright.sync_api import Page, sync_playwright

from downup.explorer import Server

CALLS = """({ side, channels, rounds }) => {
  const data = Float32Array.from({ length: channels * side * side }, (_, i) => ((i * 7919) % 256));
  const x = { channels, rows: side, columns: side, data };
  const weight = new Float32Array(9).fill(1 / 9), pool = { kernel_size: 3, stride: 2, padding: 1 };
  const pooled = downup.run(downup.kernels, "max_pool2d", x, { kernel_size: 2, stride: 2 });
  const half = { channels, rows: side / 2, columns: side / 2, data: data.slice(0, (channels * side * side) / 4) };
  const blocks = downup.run(downup.kernels, "pixel_unshuffle", x, { factor: 2 }).out;
  const calls = {
    avg_pool2d: [x, pool], lp_pool2d: [x, pool], adaptive_avg_pool2d: [x, { output_size: 100 }], global_avg_pool2d: [x, {}],
    global_lp_pool2d: [x, {}], blur_pool2d: [x, { taps: 3, stride: 2 }],
    "interpolate, bicubic": [half, { scale_factor: 2, mode: "bicubic" }],
    "interpolate, lanczos down": [x, { scale_factor: 0.3, mode: "lanczos" }],
    max_pool2d: [x, pool], max_pool2d_with_offsets: [x, pool],
    adaptive_max_pool2d: [x, { output_size: 100 }], global_max_pool2d: [x, {}],
    max_blur_pool2d: [x, { kernel_size: 2, taps: 3, stride: 2 }],
    max_unpool2d: [pooled.out, { kernel_size: 2, stride: 2, indices: pooled.positions, output_size: side }],
    pixel_unshuffle: [x, { factor: 2 }], pixel_shuffle: [blocks, { factor: 2 }],
    conv2d: [x, { kernel_size: 3, stride: 1, padding: 1, weight }],
    conv_transpose2d: [half, { kernel_size: 3, stride: 2, weight }],
    resize_conv2d: [half, { kernel_size: 3, scale_factor: 2, weight }],
  };
  return Object.entries(calls).map(([name, [input, args]]) => {
    const times = [];
    for (let i = 0; i < rounds; i++) {
      const start = performance.now();
      downup.run(downup.kernels, name.split(",")[0], input, args);
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    return [name, times[rounds >> 1], times[0], times[rounds - 1]];
  });
}"""

# One change of a slider a frame, as fast as frames come, and the longest that any frame took.
FRAMES = """async ({ values, count }) => {
  const sliders = [...document.querySelectorAll("#panel input[type=range]")];
  const slider = sliders.find((one) => !one.closest(".control").hidden);
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  const start = performance.now();
  let before = start, longest = 0;
  for (let i = 0; i < count; i++) {
    slider.value = values[i % values.length];
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();
    longest = Math.max(longest, performance.now() - before);
    before = performance.now();
  }
  return [(1000 * count) / (before - start), longest];
}"""

SLIDERS: dict[str, list[str]] = {
    "operator=max_pool2d": ["1", "2", "3", "4"],
    "operator=avg_pool2d": ["1", "2", "3", "4"],
    "operator=interpolate&mode=bilinear": ["1", "2", "3", "4"],
    "operator=interpolate&mode=bilinear&scale=4": ["3.75", "4"],
    "operator=interpolate&mode=lanczos&scale=4": ["3.75", "4"],
    "operator=conv2d": ["1", "2", "3", "4"],
    "operator=pixel_unshuffle": ["1", "2", "3", "4"],
}


def measure_sliders(page: Page, address: str) -> None:
    """Print frames a second of the operator bench on a picture of 256 x 256 in colour."""
    print("\n| slider at 256 x 256, colour | its values | frames a second | longest, ms |\n|---|---|---|---|")
    for values, steps in SLIDERS.items():
        page.goto("about:blank")
        page.goto(f"{address}#bench?{values}&picture=house")
        page.wait_for_selector("html[data-ready]")
        frames, longest = page.evaluate(FRAMES, {"values": steps, "count": 60})
        print(f"| {values} | {', '.join(steps)} | {frames:.0f} | {longest:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with Server() as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(server.address)
        page.wait_for_selector("html[data-ready]")
        for channels in (1, 3):
            print(f"\n| 1024 x 1024, {channels} channels | ms, median | least | most |\n|---|---|---|---|")
            for name, median, least, most in page.evaluate(
                CALLS, {"side": 1024, "channels": channels, "rounds": rounds}
            ):
                print(f"| {name} | {median:.1f} | {least:.1f} | {most:.1f} |")
        measure_sliders(page, server.address)
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
