"""`GET /cues/refused`: operators see why a cue did nothing."""

from __future__ import annotations

from typing import Any

from chalicelib.instants import MINUTE, SECOND, clock, rfc3339
from chalicelib.shows import CueRefused, CueType
from tests.api.conftest import ApiClient, token
from tests.api.test_routes import a_cue, post_signed_cue
from tests.builders.shows import a_cue as a_cue_record


def refuse_cue(api: ApiClient, name: str, seconds_ago: int, subject: str = "mug") -> None:
    """Send a cue that is too old to open its drop."""
    time = rfc3339(clock() - seconds_ago * 1000)
    assert post_signed_cue(api, a_cue(id=name, subject=subject, time=time)).status == 409


def refused(api: ApiClient, query: str = "") -> list[dict[str, Any]]:
    reply = api.send("GET", f"/cues/refused{query}")
    assert reply.status == 200, reply.text
    cues: list[dict[str, Any]] = reply.body["cues"]
    return cues


def test_no_refused_cue_is_an_empty_list(api: ApiClient) -> None:
    reply = api.send("GET", "/cues/refused")
    assert (reply.status, reply.body, reply.headers["Cache-Control"]) == (200, {"cues": []}, "no-store")


def test_refused_cue_is_listed_with_its_reason(api: ApiClient) -> None:
    api.an_open_drop(opens_at=None)
    refuse_cue(api, "c1", 60)
    (cue,) = refused(api)
    assert cue["received_at"] > cue["time"]
    assert {name: cue[name] for name in ("id", "source", "type", "subject", "reason")} == {
        "id": "c1",
        "source": "/encoder",
        "type": "dev.livedrop.drop.open",
        "subject": "mug",
        "reason": "stale_open",
    }
    assert cue["detail"].endswith("s old. The limit is 30 s.")


def test_refused_cues_are_listed_newest_first_by_drop_and_by_show(api: ApiClient) -> None:
    api.an_open_drop(opens_at=None)
    api.an_open_drop("lamp", opens_at=None)
    for name, seconds_ago, subject in (("a", 80, "mug"), ("b", 60, "lamp"), ("c", 70, "mug"), ("d", 90, "unknown")):
        refuse_cue(api, name, seconds_ago, subject)
    assert [cue["id"] for cue in refused(api)] == ["b", "c", "a", "d"]
    assert [cue["id"] for cue in refused(api, "?subject=mug")] == ["c", "a"]
    assert [cue["id"] for cue in refused(api, "?subject=s1")] == ["b", "c", "a"]
    assert [cue["id"] for cue in refused(api, "?subject=unknown")] == ["d"]
    assert refused(api, "?subject=nothing") == []


def test_at_most_the_newest_hundred_refused_cues_are_listed(api: ApiClient) -> None:
    api.an_open_drop(opens_at=None)
    now = clock()
    for number in range(101):
        cue = a_cue_record(CueType.OPEN, now - (40 + number) * SECOND, id=str(number), subject="mug")
        assert isinstance(api.services.shows.apply_cue(cue, now), CueRefused)
    assert [cue["id"] for cue in refused(api)] == [str(number) for number in range(100)]


def test_cues_from_a_fast_clock_hide_no_later_refusal(api: ApiClient) -> None:
    api.an_open_drop(opens_at=None)
    now = clock()
    for number in range(100):
        early = a_cue_record(CueType.OPEN, now + (3_600 + number) * SECOND, id=f"early{number}", subject="mug")
        assert isinstance(api.services.shows.apply_cue(early, now), CueRefused)
    stale = a_cue_record(CueType.OPEN, now - 40 * SECOND, id="stale", subject="mug")
    assert isinstance(api.services.shows.apply_cue(stale, now + MINUTE), CueRefused)
    on_time = a_cue_record(CueType.OPEN, now + SECOND, id="last", subject="nothing")
    assert isinstance(api.services.shows.apply_cue(on_time, now + MINUTE), CueRefused)
    assert refused(api)[0]["id"] == "last"
    assert len(refused(api, "?subject=mug")) == 100


def test_subject_that_is_no_id_is_refused_before_anything_is_read(api: ApiClient) -> None:
    for subject in ("", "x" * 5_000):
        reply = api.send("GET", f"/cues/refused?subject={subject}")
        assert (reply.status, reply.body["field"]) == (400, "$.subject")


def test_unknown_query_parameter_is_named(api: ApiClient) -> None:
    reply = api.send("GET", "/cues/refused?show=s1")
    assert (reply.status, reply.body["field"]) == (400, "$.show")


def test_refused_cues_need_an_operator_token(api: ApiClient) -> None:
    assert api.send("GET", "/cues/refused", authorization=None).status == 401
    assert api.send("GET", "/cues/refused", authorization="Bearer " + token("finance")).status == 403
