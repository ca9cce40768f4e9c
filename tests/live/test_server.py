from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.talking import Server, serving

pytest.importorskip("fastapi")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "things") as server:
        yield server


def test_two_classes_are_learned_and_told_apart(server: Server) -> None:
    with server.client() as client:
        assert client.until("hello")["name"] == "things"
        client.ready()
        ids = client.add_classes("tomato", "sky")
        for _ in range(3):
            client.ask(ids["tomato"], "red")
            client.ask(ids["sky"], "blue")
        assert client.ask(color="#e01010")["class"] == ids["tomato"]
        answer = client.ask(color="#1010e0")
        assert answer["class"] == ids["sky"]
        assert [one for one, _ in answer["probabilities"]] == [ids["sky"], ids["tomato"]]
        assert len(answer["bars"]) == 64
        assert set(answer["ms"]) == {"decode", "features", "classify", "learn"}
        assert client.ask(color="white")["unknown"]


def test_after_a_kill_everything_is_found_again(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as client:
        client.ready()
        ids = client.add_classes("tomato", "sky")
        for _ in range(4):
            client.ask(ids["tomato"], "red")
            client.ask(ids["sky"], "blue")
        before = [client.ask(color=color)["probabilities"] for color in ("#e01010", "#4040a0")]
        server.kill()
    with serving(tmp_path) as server, server.client() as client:
        state = client.ready()
        assert {one["name"]: one["count"] for one in state["classes"]} == {"tomato": 4, "sky": 4}
        names = {one["id"]: one["name"] for one in state["classes"]}
        after = [client.ask(color=color)["probabilities"] for color in ("#e01010", "#4040a0")]
        assert {names[one]: value for one, value in after[0]} == pytest.approx(
            {{ids["tomato"]: "tomato", ids["sky"]: "sky"}[one]: value for one, value in before[0]}
        )
        for sample in state["classes"][0]["samples"]:
            picture = server.get(f"/sample/{sample}.jpg")
            assert (picture.status, picture.headers["content-type"]) == (200, "image/jpeg")
            assert server.get(f"/sample/{sample}.jpg", **{"If-None-Match": picture.headers["etag"]}).status == 304
