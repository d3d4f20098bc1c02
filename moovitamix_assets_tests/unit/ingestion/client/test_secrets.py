"""User and password of the source's URL: sent to the source, and shown nowhere."""

import base64
import traceback
from pathlib import Path
from typing import Any

import pytest

from moovitamix_assets.ingestion.client.errors import SourceError
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets_tests.unit.ingestion.client.scripted_source import FAR, ScriptedSource, serving, users

SECRET = "se%40cret"
SHOWN = ("se%40cret", "se@cret", "somebody")


def client(url: str, **settings: Any) -> SourceApi:
    return SourceApi(
        url.replace("://", f"://somebody:{SECRET}@", 1), retries=1, sleep=lambda _: None, **settings
    )


def everything_said(error: BaseException) -> str:
    """What a log shows: the messages and causes, with the attributes of our own errors."""
    return "".join(traceback.format_exception(error)) + str(vars(error)) + repr(error)


FAULTS: list[Any] = [
    503,
    404,
    "dropped",
    "truncated",
    (200, {}, b"[]"),
    (302, {"Location": "ftp://somebody:se%40cret@elsewhere/"}),
    (302, {"Location": "http://somebody:se%40cret@127.0.0.1:9/users"}),
    (302, {"Location": "http://somebody:se%40cret@:80:80/users"}),
    (400, {}, b'{"detail": "no such page: http://somebody:se%40cret@127.0.0.1/users"}'),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", ["users", "openapi.json"])
def test_no_failure_shows_the_password(source: ScriptedSource, fault: Any, where: str) -> None:
    source.always[where, 1 if where == "users" else 0] = fault
    source.always["tracks", 1] = 404
    with client(source.url) as api:
        for ask in (lambda: api.pull("users", None, FAR), api.check, lambda: api.supports_filters("users")):
            try:
                ask()
            except SourceError as error:
                said = everything_said(error)
                assert not any(secret in said for secret in SHOWN), said
        assert not any(secret in repr(vars(api)) for secret in SHOWN)


@pytest.mark.parametrize(
    "url",
    ["http://:80:80", "http://127.0.0.1:9", "http://[::1", "http://nobody.invalid", "http://" + "x" * 80],
)
def test_no_address_that_is_none_shows_the_password(url: str) -> None:
    with client(url, connect_patience_seconds=0.1) as api, pytest.raises(SourceError) as caught:
        api.pull("users", None, FAR)
    said = everything_said(caught.value)
    assert not any(secret in said for secret in SHOWN), said


def test_a_password_that_no_url_allows_is_not_shown() -> None:
    with (
        SourceApi("http://somebody:x/hid@den@127.0.0.1:9", connect_patience_seconds=0.1) as api,
        pytest.raises(SourceError) as caught,
    ):
        api.check()
    assert "hid@" not in everything_said(caught.value)


def test_contradictions_and_delays_do_not_show_the_password(source: ScriptedSource) -> None:
    source.records["users"] = users(3)
    source.change = lambda envelope, _: {**envelope, "pages": 7}
    for settings in ({"pull_attempts": 2}, {"pull_deadline_minutes": 1e-5}):
        with client(source.url, **settings) as api, pytest.raises(SourceError, match=source.url) as caught:
            api.pull("users", None, FAR)
        assert not any(secret in everything_said(caught.value) for secret in SHOWN)


def test_the_password_is_sent_and_the_url_shown_without(source: ScriptedSource) -> None:
    with client(source.url) as api:
        assert api.check().url == source.url
    expected = "Basic " + base64.b64encode(b"somebody:se@cret").decode()
    assert set(source.authorizations) == {expected}
    source.reset()
    with SourceApi(source.url) as api:
        api.check()
    assert set(source.authorizations) == {None}


HEADERS = {"Authorization": "Bearer t0ken-of-ours", "X-Api-Key": "k3y-of-ours"}


def test_secret_headers_are_sent_and_never_shown(source: ScriptedSource) -> None:
    repeating = (400, {}, b'{"detail": "not with t0ken-of-ours and k3y-of-ours"}')
    with SourceApi(source.url, headers=HEADERS, retries=0) as api:
        api.check()
        source.always["users", 1] = repeating
        with pytest.raises(SourceError) as caught:
            api.pull("users", None, FAR)
    assert set(source.authorizations) == {HEADERS["Authorization"]}
    assert set(source.api_keys) == {HEADERS["X-Api-Key"]}
    said = everything_said(caught.value)
    assert "not with *** and ***" in said
    assert "of-ours" not in said


@pytest.mark.parametrize("status", [401, 403])
def test_a_source_that_wants_other_credentials_names_the_settings(
    source: ScriptedSource, status: int
) -> None:
    source.always["users", 1] = status
    with (
        SourceApi(source.url) as api,
        pytest.raises(SourceError, match="MOOVITAMIX_API_TOKEN, MOOVITAMIX_API_HEADERS"),
    ):
        api.pull("users", None, FAR)


def test_secret_headers_go_to_no_other_server(source: ScriptedSource) -> None:
    with serving() as other:
        source.always["users", 1] = (302, {"Location": f"{other.url}/users?page=1&size=100"})
        with SourceApi(source.url, headers=HEADERS, retries=0) as api:
            api.pull("users", None, FAR)
        assert other.asked
        assert set(other.authorizations) == {None}
        assert set(other.api_keys) == {None}


def test_a_login_of_the_machine_does_not_replace_the_token(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login = tmp_path / "netrc"
    login.write_text("machine source.example.org login somebody password else")
    monkeypatch.setenv("NETRC", str(login))
    monkeypatch.setenv("http_proxy", source.url)  # the only way to a host that does not exist
    with SourceApi("http://source.example.org", headers=HEADERS, retries=0) as api:
        api.check()
    assert set(source.authorizations) == {HEADERS["Authorization"]}
