"""Record the film of the README: ``python -m tests.live.record docs/live.gif``.

A person teaches two objects, which are recognized from then on, and a third one is called unknown. The camera shows
photographs that scikit-image ships: coffee (Rachel Michetti), a rocket (SpaceX) and a cat (Stéfan van der Walt), all in
the public domain (CC0). The page shows how fast it runs, so nothing else should run meanwhile.
"""

from __future__ import annotations

import base64
import io
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.live.browser import Hands, LiveServer, launch_chromium
from tests.live.fake_camera import crop_square, write_camera

COFFEE, ROCKET, CAT = 0, 1, 2
SECONDS = 3.2  # for which each object is shown
VIEWPORT = {"width": 1120, "height": 680}
WIDTH = 800  # of the film
RATE = 8  # frames per second
MOVES = 2  # per second: what moves makes the film large
CLEAR = 255  # in the palette
MOST_BYTES = 2_000_000


def main() -> None:
    goal = Path(sys.argv[1])
    from skimage import data

    with tempfile.TemporaryDirectory() as folder:
        objects = [crop_square(picture, 600) for picture in (data.coffee(), data.rocket(), data.cat())]
        camera = write_camera(
            Path(folder) / "camera.y4m",
            objects,
            seconds=SECONDS,
            height=480,
            frames_per_second=24,
            moves_per_second=MOVES,
        )
        server = LiveServer(Path(folder) / "desk")
        try:
            with launch_chromium(camera) as browser:
                shots = record(browser.new_page(viewport=VIEWPORT), server.address)
        finally:
            server.kill()
    write_film(goal, shots)
    size = goal.stat().st_size
    print(f"{goal}: {size:,} bytes")
    assert size < MOST_BYTES


def record(page: Any, address: str) -> list[tuple[float, bytes]]:
    """The story; what the browser drew, with its time in seconds."""
    shots: list[tuple[float, bytes]] = []
    hands = Hands(page)
    page.goto(address)
    hands.wait_for_object(CAT)
    cdp = page.context.new_cdp_session(page)

    def take(event: Any) -> None:
        shots.append((event["metadata"]["timestamp"], base64.b64decode(event["data"])))
        cdp.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    cdp.on("Page.screencastFrame", take)
    cdp.send("Page.startScreencast", {"format": "png", "everyNthFrame": 3})
    for key, name, number in (("1", "coffee", COFFEE), ("2", "rocket", ROCKET)):
        page.get_by_label("New class", exact=True).press_sequentially(name, delay=40)
        page.keyboard.press("Enter")
        hands.wait_for_object(number)
        page.wait_for_timeout(500)
        page.keyboard.down(key)
        page.wait_for_timeout(1500)
        page.keyboard.up(key)
    for number, words in ((CAT, "Unknown"), (COFFEE, "coffee"), (ROCKET, "rocket")):
        hands.wait_for_object(number)
        hands.wait_for_answer(words)
    page.wait_for_timeout(1500)
    cdp.send("Page.stopScreencast")
    return shots


def write_film(goal: Path, shots: list[tuple[float, bytes]]) -> None:
    """The shots at a steady rate, with one palette, in which what does not move stays the same."""
    began, ended = shots[0][0], shots[-1][0]
    frames: list[Image.Image] = []
    at = 0
    for k in range(int((ended - began) * RATE) + 1):
        while at + 1 < len(shots) and shots[at + 1][0] <= began + k / RATE:
            at += 1
        picture = Image.open(io.BytesIO(shots[at][1])).convert("RGB")
        frames.append(picture.resize((WIDTH, WIDTH * picture.height // picture.width), Image.Resampling.LANCZOS))
    samples = frames[:: max(1, len(frames) // 12)]
    sheet = Image.new("RGB", (WIDTH, sum(frame.height for frame in samples)))
    for k, frame in enumerate(samples):
        sheet.paste(frame, (0, k * frame.height))
    palette = sheet.quantize(255, method=Image.Quantize.MEDIANCUT)
    indices = [np.asarray(frame.quantize(palette=palette, dither=Image.Dither.NONE)) for frame in frames]
    # What is as it was a frame before is left transparent, which takes next to no room.
    changed = [indices[0], *(np.where(now == before, CLEAR, now) for before, now in itertools.pairwise(indices))]
    drawn = [Image.fromarray(frame.astype(np.uint8), "P") for frame in changed]
    for frame in drawn:
        frame.putpalette([*(palette.getpalette() or [])[: 3 * CLEAR], 0, 0, 0])
    drawn[0].save(
        goal, save_all=True, append_images=drawn[1:], duration=1000 // RATE, loop=0, transparency=CLEAR, disposal=1
    )


if __name__ == "__main__":
    main()
