"""What the API answers, over HTTP: forms as documented, errors as problems, keys and limits."""

import re
import time

import orjson
import pytest
from fastapi.testclient import TestClient

from moovitamix_serving.access.keys import add_key, read_keys
from moovitamix_serving.routes import documented
from moovitamix_serving_tests.publications import VERSION, publication, publish


@pytest.fixture
def api(generations, client):
    publish(generations, publication())
    return client()


def tracks(answer):
    return [each["track"]["track_id"] for each in answer["recommendations"]]


ANSWERS = {
    "/v1/recommendations/7": documented.UserAnswer,
    "/v1/recommendations/7?k=1&reasons=true": documented.UserAnswer,
    "/v1/recommendations/8": documented.UserAnswer,
    "/v1/tracks/10/similar": documented.TracksAnswer,
    "/v1/tracks/14/similar": documented.TracksAnswer,
    "/v1/popular?genre=rOcK": documented.TracksAnswer,
    "/v1/popular": documented.TracksAnswer,
    "/v1/new": documented.TracksAnswer,
    "/v1/model": documented.ModelAnswer,
    "/v1/quality": documented.DaysAnswer,
    "/v1/drift?days=1": documented.DaysAnswer,
    "/v1/data-quality": documented.DaysAnswer,
}


@pytest.mark.parametrize("path", ANSWERS)
def test_an_answer_has_the_documented_form_and_its_origin(api, path):
    response = api.get(path)
    assert response.status_code == 200
    content = response.json()
    written = ANSWERS[path].model_validate(content, strict=True).model_dump(exclude_unset=True)
    assert written == content
    assert (content["model_version"], content["generation"]) == (VERSION, "000001-2026-09-30-aaaaaaaa")
    assert (response.headers["x-model-version"], response.headers["x-generation"]) == (
        content["model_version"],
        content["generation"],
    )


def test_a_user_gets_tracks_and_if_wanted_the_reasons(api):
    answer = api.get("/v1/recommendations/7").json()
    assert (answer["user_id"], answer["source"], answer["stale"]) == (7, "model", False)
    assert tracks(answer) == [10, 11, 12]
    first, *_ = answer["recommendations"]
    assert first == {
        "rank": 1,
        "score": 0.428571,
        "track": {"track_id": 10, "name": "Song 10", "artist": "Ätna", "genres": ["Pop"], "created_at": None},
    }
    first, *_ = api.get("/v1/recommendations/7", params={"reasons": True}).json()["recommendations"]
    assert (first["reason"], first["because"]) == ("taste", "Fits what you have played.")


@pytest.mark.parametrize("k", ["", "k=1", "k=3", "k=100"])
@pytest.mark.parametrize("user", [0, 7, 8, 12103, 2**40, 10**17, 2**63 - 1])
def test_a_plain_request_is_answered_as_by_the_documented_route(api, user, k):
    plain = api.get(f"/v1/recommendations/{user}?{k}")
    documented_route = api.get(f"/v1/recommendations/{user}?{k}&reasons=false")
    assert plain.status_code == documented_route.status_code == 200
    assert plain.content == documented_route.content
    assert plain.headers == documented_route.headers


@pytest.mark.parametrize("path", ["007", "+7", "7?k=03", "7?k=3&k=2", "7?", "7/", "%37"])
def test_another_spelling_is_answered_by_the_documented_route(api, path):
    separator = "&" if "?" in path else "?"
    plain, other = (
        api.get(f"/v1/recommendations/{path}{more}") for more in ("", f"{separator}reasons=false")
    )
    assert (plain.status_code, plain.content) == (other.status_code, other.content)


def test_several_users_are_answered_in_their_order_each_as_alone(api):
    wanted = [8, 12103, 7, 8]
    answer = api.post("/v1/recommendations", json={"user_ids": wanted, "k": 2}).json()
    alone = [api.get(f"/v1/recommendations/{user}?k=2").json() for user in wanted]
    assert answer["users"] == [
        {name: each[name] for name in ("user_id", "source", "stale", "recommendations")} for each in alone
    ]
    assert [each["source"] for each in answer["users"]] == ["cold_start", "cold_start", "model", "cold_start"]


def test_a_session_gets_other_tracks(api):
    answer = api.post("/v1/sessions/recommendations", json={"track_ids": [10, 999], "k": 2, "reasons": True})
    assert answer.status_code == 200
    assert (tracks(answer.json()), answer.json()["source"]) == ([11, 12], "model")
    documented.TracksAnswer.model_validate(answer.json(), strict=True)


def test_expired_recommendations_are_replaced_by_popular_tracks_marked_stale(generations, client):
    publish(generations, publication(expires_at="2026-01-01T00:00:00Z"))
    answer = client().get("/v1/recommendations/7?k=3").json()
    assert (tracks(answer), answer["source"], answer["stale"]) == ([14, 13, 12], "popular", True)


def test_history_is_cut_to_the_days_asked_for(api):
    assert [row["day"] for row in api.get("/v1/quality?days=2").json()["rows"]] == [
        "2026-09-29",
        "2026-09-30",
    ]
    assert api.get("/v1/model").json()["promotions"][0]["reason"] == "Better."
    assert api.get("/v1/data-quality").json()["rows"][0]["rejected_by_reason"] == {"no name": 1}


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/v1/tracks/999/similar", 404, "Track 999"),
        ("/v1/popular?genre=jazz", 404, "pop, rock"),
        ("/v1/nothing", 404, "Not Found"),
        ("/v1/recommendations/me", 422, "documented form"),
        ("/v1/recommendations/-1", 422, "documented form"),
        (f"/v1/recommendations/{2**63}", 422, "documented form"),
        ("/v1/recommendations/7?k=0", 422, "documented form"),
        ("/v1/recommendations/7?k=101", 422, "documented form"),
        ("/v1/quality?days=366", 422, "documented form"),
    ],
)
def test_an_error_is_a_problem(api, path, status, detail):
    response = api.get(path)
    assert response.status_code == response.json()["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in response.json()["detail"]
    documented.Problem.model_validate(response.json(), strict=True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/recommendations", {"user_ids": []}),
        ("/v1/recommendations", {"user_ids": list(range(101))}),
        ("/v1/recommendations", {"user_ids": [1], "k": 101}),
        ("/v1/recommendations", {"user_ids": [2**63]}),
        ("/v1/recommendations", {"user_ids": [1], "secret": "hunter2"}),
        ("/v1/sessions/recommendations", {"track_ids": [1] * 101}),
        ("/v1/sessions/recommendations", {}),
        ("/v1/sessions/recommendations", []),
    ],
)
def test_a_body_of_another_form_is_refused_and_not_repeated(api, path, body):
    response = api.post(path, json=body)
    assert response.status_code == 422
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"\xff", 400),
        (b"[" * 60_000, 400),
        (b'{"user_ids": [' + b"9" * 5000 + b"]}", 400),
        (b'{"user_ids": [NaN]}', 422),
    ],
    ids=["empty", "cut off", "no text", "too deep", "too large a number", "not a number"],
)
def test_a_body_that_is_no_json_is_a_problem_that_is_documented(api, body, status):
    response = api.post("/v1/recommendations", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    documented_for = api.get("/openapi.json").json()["paths"]["/v1/recommendations"]["post"]["responses"]
    assert str(status) in documented_for


def test_a_method_that_is_not_offered_is_a_problem_too(api):
    response = api.delete("/v1/recommendations/7")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert response.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_too_long_is_refused_whether_it_says_so_or_not(generations, client):
    publish(generations, publication())
    api = client(serving_maximum_body_bytes=1024)
    body = orjson.dumps({"user_ids": [1]}) + b" " * 1024
    parts = (body[start : start + 100] for start in range(0, len(body), 100))
    for content in (body, parts):
        response = api.post(
            "/v1/recommendations", content=content, headers={"content-type": "application/json"}
        )
        assert response.status_code == 413
        assert "1024 bytes" in response.json()["detail"]
    fitting = body[:1024]
    headers = {"content-type": "application/json"}
    assert api.post("/v1/recommendations", content=fitting, headers=headers).status_code == 200


def test_before_anything_is_published_the_service_lives_and_is_not_ready(generations, client):
    api = client()
    assert api.get("/health/live").json() == {"state": "live"}
    for path in ("/health/ready", "/v1/recommendations/7", "/v1/model"):
        response = api.get(path)
        assert (response.status_code, response.headers["retry-after"]) == (503, "30")
    publish(generations, publication())
    deadline = time.monotonic() + 20
    while api.get("/health/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert api.get("/v1/recommendations/7").status_code == 200


def values(api: TestClient) -> dict[str, float]:
    lines = re.findall(r"^(moovitamix_serving_[^ ]+) (\S+)$", api.get("/metrics").text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


def test_requests_and_what_was_served_are_counted(api):
    for user in (7, 8, 9):
        api.get(f"/v1/recommendations/{user}")
    api.get("/v1/recommendations/me")
    api.get("/nothing/7")
    found = values(api)
    route = 'route="/v1/recommendations/{user_id}"'
    assert found["moovitamix_serving_requests_total{" + route + ',status="200"}'] == 3
    assert found["moovitamix_serving_requests_total{" + route + ',status="422"}'] == 1
    assert found['moovitamix_serving_requests_total{route="none",status="404"}'] == 1
    assert found["moovitamix_serving_request_seconds_count{" + route + "}"] == 4
    for source, users in (("model", 1), ("cold_start", 2)):
        labels = f'{{arm="champion",source="{source}",stale="false"}}'
        assert found[f"moovitamix_serving_recommendations_total{labels}"] == users
    assert found["moovitamix_serving_ready"] == 1
    assert found["moovitamix_serving_users"] == 3
    assert found["moovitamix_serving_generation_age_seconds"] == pytest.approx(
        time.time() - 1790812800, abs=60
    )


def test_a_damaged_generation_raises_a_metric_and_the_last_good_one_answers(generations, client):
    good = publish(generations, publication())
    assert values(client())["moovitamix_serving_generation_refused"] == 0
    bad = generations.folder(publish(generations, publication(first=2))) / "manifest.json"
    bad.write_text(bad.read_text().replace("2026", "2027"))
    api = client()
    found = values(api)
    assert found["moovitamix_serving_generation_refused"] == 1
    assert found["moovitamix_serving_refusals_total"] == 1
    assert api.get("/v1/recommendations/7").json()["generation"] == good


@pytest.fixture
def locked(generations, client, tmp_path):
    """An API that needs a key, and a key of each scope."""
    publish(generations, publication())
    file = tmp_path / "keys.json"
    keys = {scope: add_key(file, scope, scope) for scope in ("read", "admin")}
    return client(read_keys(file)), keys


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic {read}"}, {"authorization": "{read}"},
                {"authorization": "Bearer "}, {"x-api-key": "{read}"}]
)  # fmt: skip
def test_without_a_key_that_is_known_nothing_is_answered(locked, headers):
    api, keys = locked
    filled = {name: value.format(**keys) for name, value in headers.items()}
    for path in ("/v1/recommendations/7", "/metrics", "/v1/nothing"):
        response = api.get(path, headers=filled)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.headers["content-type"] == "application/problem+json"
    assert api.post("/v1/recommendations", json={"user_ids": [7]}, headers=filled).status_code == 401


@pytest.mark.parametrize("scope", ["read", "admin"])
def test_with_a_key_everything_is_answered_and_no_key_is_logged(locked, scope, caplog):
    api, keys = locked
    headers = {"authorization": f"bearer {keys[scope]}"}
    assert api.get("/v1/recommendations/7", headers=headers).status_code == 200
    assert api.get("/metrics", headers=headers).status_code == 200
    assert keys[scope] not in caplog.text


def test_health_and_description_need_no_key(locked):
    api, _ = locked
    for path in ("/health/live", "/health/ready", "/openapi.json", "/docs"):
        assert api.get(path).status_code == 200


def test_every_answer_has_security_headers(api):
    for path in ("/v1/recommendations/7", "/v1/nothing", "/health/live"):
        headers = api.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_defect_is_a_problem_without_its_details(api, monkeypatch):
    def broken(*_):
        raise RuntimeError("hunter2")

    monkeypatch.setattr("moovitamix_serving.generation.snapshot.Snapshot.newest", broken)
    response = api.get("/v1/new")
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert "hunter2" not in response.text


def test_the_document_describes_every_route_its_errors_and_the_key(api, locked):
    document = api.get("/openapi.json").json()
    operations = {
        (path, method): operation
        for path, of_path in document["paths"].items()
        for method, operation in of_path.items()
    }
    assert len(operations) == 13
    for (path, _), operation in operations.items():
        assert operation["summary"]
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (path, status)
    assert "security" not in operations["/v1/new", "get"]
    assert document["components"]["schemas"]["UserAnswer"]["examples"]
    needing = locked[0].get("/openapi.json").json()
    assert needing["paths"]["/v1/new"]["get"]["security"] == [{"key": []}]
    assert "security" not in needing["paths"]["/health/live"]["get"]
