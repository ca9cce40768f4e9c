"""The page in a real Chromium, with a camera that shows photographs in turn, and a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.live.browser import PICTURES, TOKEN, Hands, Watched, samples_in
from tests.live.fake_camera import view_at
from tests.live.objects import ASTRONAUT, COFFEE, MARKUP, ROCKET, photographs

pytest.importorskip("playwright", reason="the tests of the page need playwright, which the extra dev installs")
pytest.importorskip("skimage", reason="the camera of these tests shows photographs of scikit-image")


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
    sample = hands.card("pilot").locator(".strip button").first
    sample.drag_to(sample, source_position={"x": 8, "y": 8}, target_position={"x": 40, "y": 40})
    hands.settle()
    assert page.locator("#menu").is_hidden()  # the end of a drag is no click
    assert hands.count("pilot") == 4

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
    page.wait_for_function(PICTURES)
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
    sent: list[bytes] = []
    withheld: list[Any] = []  # each delivers an answer to the page
    withholds = False

    def to_server(message: Any, forward: Any) -> None:
        if isinstance(message, bytes):
            sent.append(message)
        forward(message)

    def to_page(message: Any, forward: Any) -> None:
        if withholds and json.loads(message)["type"] == "answer":
            withheld.append(lambda: forward(message))
        else:
            forward(message)

    stand_between(page, to_server, to_page)
    hands = Hands(page)
    hands.wait_for_object(ASTRONAUT)
    hands.settle()
    withholds = True
    while not withheld:
        page.wait_for_timeout(50)
    sent.clear()
    hands.wait_for_object(COFFEE)  # many pictures later
    hands.wait_for_object(ROCKET)
    assert (len(sent), len(withheld)) == (0, 1)
    withholds = False
    withheld[0]()
    hands.settle()

    page.evaluate(_HIDE, True)
    page.get_by_text("Paused while hidden").wait_for()
    hands.wait_for_object(ASTRONAUT)  # the frame that was under way has been answered long since
    sent.clear()
    hands.wait_for_object(COFFEE)
    hands.wait_for_object(ROCKET)
    assert sent == []
    page.evaluate(_HIDE, False)
    hands.settle()


def stand_between(page: Any, to_server: Any, to_page: Any) -> None:
    """Load the page again; each message goes to a function, with a function that forwards it."""

    def connect(socket: Any) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda message: to_server(message, server.send))
        server.on_message(lambda message: to_page(message, socket.send))

    page.route_web_socket("**/ws*", connect)
    page.reload()
    page.locator("#connection[data-state=open]").wait_for()


_HIDE = """
(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


@pytest.mark.slow
def test_training_shows_how_far_it_is_and_where_its_model_lies(learned: Path, serve: Any, visit: Any) -> None:
    page = visit(serve(learned))
    asked: list[str] = []
    stages: dict[str, dict[str, Any]] = {  # what the server would say after each command
        "train": {"phase": "learning filters", "done": 3, "total": 12, "log_tail": ["<b>one</b>", "two"]},
        "stop_training": {"finished": True, "error": "the training was stopped"},
        "learn_features": {"finished": True, "model": "/model", "report": "/report", "accuracy": 0.9, "n_test": 20},
    }

    def to_server(message: Any, forward: Any) -> None:
        command = isinstance(message, str) and json.loads(message)["do"]
        if command in stages:
            asked.append(command)
            change = {"do": "rename_class", "class": 1, "name": f"changed {len(asked)}"}
            forward(json.dumps(change))  # so that a state comes
        else:
            forward(message)

    def to_page(message: str, forward: Any) -> None:
        state = json.loads(message)
        if state["type"] == "state" and asked:
            usual = {"phase": "finished", "done": 12, "total": 12, "finished": False, "log_tail": []}
            state["training"] = usual | stages[asked[-1]]
        forward(json.dumps(state))

    stand_between(page, to_server, to_page)
    page.get_by_role("button", name="Train a full model").click()
    page.get_by_text("Learning filters …").wait_for()
    bar = page.get_by_role("progressbar", name="Training")
    assert (bar.get_attribute("value"), bar.get_attribute("max")) == ("3", "12")
    page.get_by_text("What it prints").click()
    assert page.locator("#train-log").inner_text() == "<b>one</b>\ntwo"
    page.get_by_role("button", name="Stop training").click()
    page.get_by_text("The training was stopped.").wait_for()
    page.get_by_role("button", name="Learn features here").click()
    page.get_by_text("It recognizes 90 % of 20 images that it was not trained on.").wait_for()
    for name, path in (("Open the report", "/report"), ("Save the model", "/model")):
        link = page.get_by_role("link", name=name).get_attribute("href")
        assert link == f"{path}?token={TOKEN}"
    assert asked == list(stages)
