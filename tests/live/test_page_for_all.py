"""The page for those who have a keyboard alone, a finger, a screen reader, a dark room, or no camera."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.live.browser import PICTURES, Hands
from tests.live.objects import ASTRONAUT, MARKUP

pytest.importorskip("playwright", reason="the tests of the page need playwright, which the extra dev installs")
pytest.importorskip("skimage", reason="the camera of these tests shows photographs of scikit-image")


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
    page.wait_for_function(PICTURES)


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
