"""The page in a real Chromium, with a camera that shows photographs in turn, and the real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.live.browser import Hands, LiveServer, find_chromium, launch_chromium, samples_in
from tests.live.fake_camera import crop_square, view_at, write_camera

pytest.importorskip("playwright", reason="the tests of the page need playwright, which the extra dev installs")
pytest.importorskip("skimage", reason="the camera of these tests shows photographs of scikit-image")

MARKUP = "<img src=x onerror=alert(1)>"
ASTRONAUT, COFFEE, ROCKET = 0, 1, 2
SECONDS = 2.0  # for which the camera shows each of them


def photographs() -> list[np.ndarray]:
    from skimage import data

    return [crop_square(picture) for picture in (data.astronaut(), data.coffee(), data.rocket())]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    find_chromium()
    camera = write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m", photographs(), seconds=SECONDS)
    with launch_chromium(camera) as browser:
        yield browser


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """`serve(folder, **options)` is a running server."""
    servers: list[LiveServer] = []

    def start(folder: Path, **options: Any) -> LiveServer:
        servers.append(LiveServer(folder, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


class Watched:
    """A page, and what went wrong on it: errors of its console, and requests to anywhere but its server."""

    def __init__(self, page: Any, port: int) -> None:
        self.page = page
        self.errors: list[str] = []
        self.strangers: list[str] = []
        own = re.compile(rf"(http|ws)://127\.0\.0\.1:{port}/|blob:|data:")

        def see(url: str) -> None:
            if not own.match(url):
                self.strangers.append(url)

        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(f"a dialog was opened: {dialog.message}"))
        page.on("request", lambda request: see(request.url))
        page.on("websocket", lambda socket: see(socket.url))


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    """`visit(server, width=…, …)` is a page; in the end it must have had no error, and have asked nobody else."""
    pages: list[Watched] = []

    def open_page(server: LiveServer, *, prepare: str = "", **options: Any) -> Any:
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        watched = Watched(context.new_page(), server.port)
        pages.append(watched)
        if prepare:
            watched.page.add_init_script(prepare)
        watched.page.goto(server.address)
        watched.page.locator("#connection[data-state=open]").wait_for()
        return watched.page

    yield open_page
    for watched in pages:
        watched.page.context.close()
    assert [error for watched in pages for error in watched.errors] == []
    assert [url for watched in pages for url in watched.strangers] == []


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    """A folder as someone may have made it by hand: two classes, one of them named like markup."""
    folder = tmp_path / "folder"
    for name, photograph in zip(("astronaut", MARKUP), photographs(), strict=False):
        (folder / name).mkdir(parents=True)
        for k in range(4):
            Image.fromarray(view_at(photograph, 0.75 * k)).resize((192, 192)).save(
                folder / name / f"{k}.jpg", quality=90
            )
    return folder


def test_a_key_adds_one_sample_for_a_tap_and_the_page_has_no_error(tmp_path: Path, serve: Any, visit: Any) -> None:
    hands = Hands(visit(serve(tmp_path / "folder")))
    hands.wait_for_object(ASTRONAUT)
    hands.add_class("astronaut")
    hands.page.keyboard.press("1")
    hands.wait_for_count("astronaut", 1)
    hands.settle()
    assert hands.count("astronaut") == 1
    assert samples_in(tmp_path / "folder") == {"astronaut": 1}


@pytest.mark.slow
def test_two_objects_are_taught_and_survive_a_crash_of_the_server(tmp_path: Path, serve: Any, chromium: Any) -> None:
    folder = tmp_path / "folder"
    server = serve(folder)
    watched = Watched(chromium.new_page(), server.port)
    watched.page.goto(server.address)
    hands = Hands(watched.page)
    assert watched.page.get_by_text("Write the name of something that you can hold up").is_visible()

    hands.add_class("astronaut")
    hands.hold("1", "astronaut", ASTRONAUT)
    hands.add_class("coffee")  # while everything runs
    hands.hold("2", "coffee", COFFEE)
    for _ in range(2):
        for number, words in ((ASTRONAUT, "astronaut"), (COFFEE, "coffee"), (ROCKET, "Unknown")):
            hands.wait_for_object(number)
            hands.wait_for_answer(words)
            watched.page.wait_for_function(
                "(words) => document.querySelector('#spoken').textContent.startsWith(words)", arg=words
            )
        watched.page.reload()  # and all of it is still known

    counts = {name: hands.count(name) for name in ("astronaut", "coffee")}
    assert samples_in(folder) == counts
    assert watched.errors == []

    server.kill()
    watched.page.get_by_text("The connection was lost").wait_for()
    server.start()
    watched.page.locator("#connection[data-state=open]").wait_for(timeout=60_000)
    assert watched.page.locator("#lost").is_hidden()
    assert {name: hands.count(name) for name in counts} == counts
    hands.wait_for_object(COFFEE)
    hands.wait_for_answer("coffee")

    server.kill()
    server.token = "another"
    server.start()
    watched.page.get_by_text("Open the address that it printed").wait_for(timeout=60_000)
    assert watched.strangers == []
    watched.page.close()


@pytest.mark.slow
def test_classes_and_samples_are_changed_and_all_of_it_undone(learned: Path, serve: Any, visit: Any) -> None:
    page = visit(serve(learned))
    hands = Hands(page)
    hands.wait_for_count("astronaut", 4)

    page.get_by_role("button", name="Menu of astronaut").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("New name of astronaut").fill("pilot")
    page.keyboard.press("Enter")
    hands.card("pilot").wait_for()

    hands.card("pilot").locator(".strip button").first.click()
    page.get_by_role("menuitem", name=MARKUP).click()
    hands.wait_for_count(MARKUP, 5)
    assert hands.count("pilot") == 3

    hands.card(MARKUP).locator(".strip button").first.drag_to(hands.card("pilot"))
    hands.wait_for_count("pilot", 4)
    assert page.locator("#menu").is_hidden()  # the end of the drag was no click

    hands.card("pilot").locator(".strip button").first.focus()
    page.keyboard.press("Delete")
    hands.wait_for_count("pilot", 0, 3)

    hands.add_class("third")
    assert samples_in(learned) == {"pilot": 3, MARKUP: 4, "third": 0}
    page.get_by_role("button", name="Menu of pilot").click()
    page.get_by_role("menuitem", name="Delete this class").click()
    hands.card("pilot").wait_for(state="detached")
    assert set(samples_in(learned)) == {MARKUP, "third"}

    page.get_by_role("status").get_by_role("button", name="Undo").click()
    hands.wait_for_count("pilot", 3, 3)
    undo = page.locator("#undo")
    assert "third" in undo.inner_text()
    page.keyboard.press("Control+z")  # the new class
    hands.card("third").wait_for(state="detached")
    page.keyboard.press("Control+z")  # the deleted sample
    hands.wait_for_count("pilot", 4, 4)
    for _ in range(3):  # both moves, the name
        undo.click()
        hands.settle()
    hands.wait_for_count("astronaut", 4, 4)
    hands.wait_for_count(MARKUP, 4, 4)
    assert undo.is_disabled()
    assert samples_in(learned) == {"astronaut": 4, MARKUP: 4}


@pytest.mark.slow
def test_everything_else_is_a_pool_that_can_be_mended(learned: Path, serve: Any, visit: Any) -> None:
    page = visit(serve(learned))
    hands = Hands(page)
    hands.wait_for_object(ROCKET)
    page.keyboard.press("0")
    hands.wait_for_count("Everything else", 1)
    hands.settle()
    assert hands.count("Everything else") == 1  # nothing is collected that nobody asked for
    hands.wait_for_object(ASTRONAUT, anew=True)
    hands.wait_for_object(ROCKET)
    hands.wait_for_answer("Everything else")

    hands.card("Everything else").locator(".strip button").first.click()
    page.get_by_role("menuitem", name="astronaut").click()
    hands.wait_for_count("astronaut", 5)
    hands.wait_for_count("Everything else", 0, 0)
    hands.card("astronaut").locator(".strip button").first.click()
    page.keyboard.press("0")  # the menu has the keys of the classes
    hands.wait_for_count("Everything else", 1)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    hands.wait_for_count("astronaut", 4, 4)
    hands.wait_for_count("Everything else", 1, 1)

    page.get_by_label("Also collect by itself").check()
    hands.wait_for_count("Everything else", 2)


@pytest.mark.slow
def test_names_are_shown_as_text_wherever_they_appear(learned: Path, serve: Any, visit: Any) -> None:
    page = visit(serve(learned))
    hands = Hands(page)
    hands.wait_for_object(COFFEE)
    hands.wait_for_answer(MARKUP)
    hands.card("astronaut").locator(".strip button").first.click()
    assert page.get_by_role("menuitem", name=MARKUP).is_visible()
    page.keyboard.press("Escape")
    page.keyboard.down(hands.key(MARKUP))
    page.locator("#adding", has_text=MARKUP).wait_for()
    page.keyboard.up(hands.key(MARKUP))
    page.get_by_role("button", name=f"Menu of {MARKUP}").click()
    page.get_by_role("menuitem", name="Delete this class").click()
    page.locator("#toast", has_text=MARKUP).wait_for()
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_everything_works_with_the_keyboard_alone(tmp_path: Path, serve: Any, visit: Any) -> None:
    page = visit(serve(tmp_path / "folder"))
    hands = Hands(page)
    press = page.keyboard.press
    hands.wait_for_object(ASTRONAUT)
    assert page.evaluate("document.activeElement.id") == "add-name"  # with no class, this is what to do
    for name in ("first", "2nd"):
        page.keyboard.type(name)  # a digit in a name is no key of a class
        press("Enter")
        hands.card(name).wait_for()
        page.wait_for_function("() => document.activeElement.classList.contains('hold')")
        press("Space")
        hands.wait_for_count(name, 1)
        page.locator("#add-name").focus()
    hands.settle()
    assert (hands.count("first"), hands.count("2nd")) == (1, 1)

    tab_to(page, "Menu of first")
    press("Enter")
    press("Enter")  # Rename is the first
    press("Control+a")
    page.keyboard.type("renamed")
    press("Enter")
    hands.card("renamed").wait_for()
    tab_to(page, r"Sample \d+")
    press("Enter")
    press("2")  # move it to the class that has this key
    hands.wait_for_count("2nd", 2)
    press("Escape")
    press("Control+z")
    hands.wait_for_count("renamed", 1)
    tab_to(page, "What the machine sees")
    press("Enter")
    page.wait_for_function(_PICTURES)


def tab_to(page: Any, name: str) -> None:
    """Press Tab until something of that name has the focus, which must be seen all the way."""
    page.locator("body").press("Control+Home")
    for _ in range(80):
        page.keyboard.press("Tab")
        here, outline = page.evaluate(_FOCUSED)
        if re.fullmatch(name, here):
            assert outline != "none", here
            return
    raise AssertionError(f"no way with Tab to {name}")


# The filters, the maps and the bars are there.
_PICTURES = """
() => document.querySelector("#filters").naturalWidth > 0 && document.querySelector("#maps").naturalWidth > 0
  && document.querySelector("#bars").getContext("2d").getImageData(0, 0, 300, 150).data.some((value) => value > 0)
"""
_FOCUSED = """
() => {
  const here = document.activeElement;
  return [here.ariaLabel ?? here.textContent.trim(), getComputedStyle(here).outlineStyle];
}
"""


@pytest.mark.slow
def test_a_phone_has_room_for_fingers_and_holding_a_button_adds(learned: Path, serve: Any, visit: Any) -> None:
    page = visit(serve(learned), viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    hands = Hands(page)
    hands.wait_for_object(ASTRONAUT)
    hands.wait_for_count("astronaut", 4)
    page.locator("#machine summary").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(_SMALL_TARGETS) == []

    hands.card("astronaut").locator(".hold").tap()
    hands.wait_for_count("astronaut", 5)
    hands.settle()
    assert hands.count("astronaut") == 5
    button = hands.card(MARKUP).locator(".hold")
    button.dispatch_event("pointerdown", {"pointerId": 1, "pointerType": "touch", "button": 0, "isPrimary": True})
    hands.wait_for_count(MARKUP, 7)
    button.dispatch_event("pointerup", {"pointerId": 1, "pointerType": "touch", "button": 0, "isPrimary": True})
    hands.settle()
    before = hands.count(MARKUP)
    hands.settle()
    assert hands.count(MARKUP) == before
    # The camera stays in sight while the cards pass below it.
    hands.card(MARKUP).scroll_into_view_if_needed()
    assert page.locator("#video").bounding_box()["y"] >= 0


_SMALL_TARGETS = """
() => [...document.querySelectorAll("button, a.button, input, select, summary")]
  .filter((e) => e.checkVisibility() && !e.matches("[type=checkbox]"))  // the label around it is the target
  .map((e) => [e.ariaLabel ?? e.textContent, e.getBoundingClientRect()])
  .filter(([, box]) => box.width < 44 || box.height < 44).map(([name]) => name)
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_everything_a_name(learned: Path, serve: Any, visit: Any, scheme: str) -> None:
    page = visit(serve(learned), color_scheme=scheme)
    Hands(page).wait_for_count("astronaut", 4)
    page.locator("#machine summary").click()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    luminance = sum(map(int, re.findall(r"\d+", paper)[:3])) / 3
    assert luminance < 60 if scheme == "dark" else luminance > 220
    assert page.evaluate(_POOR_CONTRAST) == []
    assert page.evaluate(_NAMELESS) == []
    assert page.locator("main, header.top, footer").count() == 3
    assert page.locator("[aria-live=polite]").count() == 1


# WCAG 2.2, 1.4.3: 4.5 to 1 for text, 3 to 1 for large text; what is disabled is exempt.
_POOR_CONTRAST = """
() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(e).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !e.checkVisibility() || e.closest(":disabled, .spoken, #adding, script")) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    const [a, b] = [luminance(parts(style.color).slice(0, 3)), luminance(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < (size >= 24 ? 3 : 4.5)) poor.push([e.textContent, ratio]);
  }
  return poor;
}
"""
_NAMELESS = """
() => [...document.querySelectorAll("button, a, input, select, section, [role=img], [role=menu], img")].filter((e) => {
  if (!e.checkVisibility()) return false;
  if (e.matches("img")) return !e.hasAttribute("alt");
  const by = e.getAttribute("aria-labelledby");
  const own = !e.matches("section") && e.textContent.trim();
  return !(own || e.ariaLabel || e.labels?.length || (by && document.getElementById(by)?.textContent));
}).map((e) => e.outerHTML)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("NotAllowedError", "The camera is blocked for this page"),
        ("NotFoundError", "No camera was found"),
        ("NotReadableError", "in use by another program"),
    ],
)
def test_without_a_camera_the_page_says_why_and_can_try_again(
    learned: Path, serve: Any, visit: Any, failure: str, words: str
) -> None:
    refuse = (
        "const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices); let failed = false;"
        "navigator.mediaDevices.getUserMedia = (wanted) => { if (failed) return open(wanted);"
        f" failed = true; return Promise.reject(new DOMException('', '{failure}')); }};"
    )
    page = visit(serve(learned), prepare=refuse)
    page.get_by_text(words).wait_for()
    page.keyboard.press("1")
    page.get_by_text("there is nothing to add").wait_for()
    page.get_by_role("button", name="Try again").click()
    hands = Hands(page)
    hands.wait_for_object(ASTRONAUT)
    hands.wait_for_answer("astronaut")


@pytest.mark.slow
def test_a_source_plays_in_the_place_of_the_camera(tmp_path: Path, learned: Path, serve: Any, visit: Any) -> None:
    source = tmp_path / "frames"
    source.mkdir()
    for k in range(20):  # ten frames per second: each photograph for a second
        Image.fromarray(view_at(photographs()[k // 10], 0.1 * k)).save(source / f"{k:02d}.png")
    page = visit(serve(learned, source=source))
    hands = Hands(page)
    for words in ("astronaut", MARKUP, "astronaut"):
        hands.wait_for_answer(words)
    page.keyboard.press(hands.key("astronaut"))
    hands.wait_for_count("astronaut", 5)
    assert page.locator("#video").is_hidden()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Go on").click()
    for words in (MARKUP, "astronaut"):
        hands.wait_for_answer(words)


@pytest.mark.slow
def test_what_the_machine_sees_is_computed_while_it_is_looked_at_alone(learned: Path, serve: Any, visit: Any) -> None:
    page = visit(serve(learned))
    messages: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda payload: messages.append(str(payload)[:40])))
    page.reload()
    hands = Hands(page)
    hands.wait_for_object(ASTRONAUT)
    hands.settle()
    hands.settle()
    assert not any('"maps"' in message for message in messages)
    page.locator("#machine summary").click()
    page.wait_for_function(_PICTURES)
    page.locator("#machine summary").click()
    hands.settle()
    messages.clear()
    hands.settle()
    hands.settle()
    assert not any('"maps"' in message for message in messages)


@pytest.mark.slow
def test_one_frame_at_a_time_is_under_way_and_none_while_the_page_is_hidden(
    learned: Path, serve: Any, visit: Any
) -> None:
    page = visit(serve(learned))
    under_way: list[int] = [0]
    sent: list[int] = []

    def count_sent(payload: Any) -> None:
        if isinstance(payload, bytes):
            under_way[0] += 1
            sent.append(under_way[0])

    def count_received(payload: Any) -> None:
        under_way[0] -= '"type":"answer"' in str(payload).replace(" ", "")

    def watch(socket: Any) -> None:
        socket.on("framesent", count_sent)
        socket.on("framereceived", count_received)

    page.on("websocket", watch)
    page.reload()
    hands = Hands(page)
    hands.wait_for_object(ASTRONAUT)
    for _ in range(5):
        hands.settle()
    assert len(sent) >= 10
    assert max(sent) == 1

    page.evaluate(_HIDE, True)
    page.get_by_text("Paused while hidden").wait_for()
    hands.wait_for_object(COFFEE)  # the frame that was under way has been answered long since
    sent.clear()
    hands.wait_for_object(ROCKET)
    assert sent == []
    page.evaluate(_HIDE, False)
    hands.settle()


_HIDE = """
(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
