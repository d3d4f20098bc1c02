import json
from datetime import datetime

import pytest
import requests
from pydantic import TypeAdapter, ValidationError

from foundation.secret_url import SecretUrl
from mock_api.server import running_server
from moovitamix_assets.clock import ClockUnreadable, now
from moovitamix_assets.settings import Settings
from moovitamix_assets_tests.conftest import small_world

PASSWORD = "ses@me/12?#"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:8000/api", "http://host:8000/api"),
        ("http://user:sesame@host/api", "http://host/api"),
        (f"https://user:{PASSWORD}@host", "https://host"),
        ("http://sesame@host", "http://host"),
        ("user:sesame@host", "host"),
        ("http://host/api?key=sesame&size=3", "http://host/api?***"),
        ("http://host?sesame", "http://host?***"),
        ("http://host/#sesame", "http://host/"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_what_is_secret_in_it(url, shown):
    secret = SecretUrl(url)
    assert (str(secret), f"{secret}", "{}".format(secret)) == (shown,) * 3  # noqa: UP032
    assert repr(secret) == f"SecretUrl('{shown}')"
    assert secret.get_secret_value() == url
    with pytest.raises(TypeError):
        json.dumps(secret)


@pytest.mark.parametrize(
    ("url", "credentials", "rest"),
    [
        ("http://user:p%40ss@host/api", ("user", "p@ss"), "http://host/api"),
        ("http://token@host", ("token", ""), "http://host"),
        ("http://host/api", None, "http://host/api"),
    ],
)
def test_credentials_can_be_handed_over_apart(url, credentials, rest):
    assert (SecretUrl(url).credentials, SecretUrl(url).without_credentials) == (credentials, rest)


def test_a_text_that_quotes_the_url_loses_what_is_secret():
    secret = SecretUrl("http://user:p%40ss@host/api?key=sesame")
    assert secret.redact("No answer from http://user:p%40ss@host/api?key=sesame!") == (
        "No answer from http://host/api?***!"
    )
    assert secret.redact("for url: http://user:p%40ss@host/api/2.0") == "for url: http://host/api/2.0"
    assert secret.redact("the password p@ss and the key sesame") == "the password *** and the key ***"
    assert SecretUrl("http://sesame@host").redact("token sesame") == "token ***"
    assert SecretUrl("http://host").redact("nothing at host") == "nothing at host"
    assert SecretUrl().redact("nothing") == "nothing"


def test_urls_are_equal_by_what_they_hold():
    assert SecretUrl("http://a:b@host") == SecretUrl("http://a:b@host")
    assert SecretUrl("http://a:b@host") != SecretUrl("http://a:c@host")
    assert (bool(SecretUrl("http://host")), bool(SecretUrl())) == (True, False)


@pytest.mark.parametrize("name", ["api_url", "clock_url", "mlflow_tracking_uri"])
def test_no_setting_prints_its_password(name):
    settings = Settings(**{name: "http://user:sesame@host/"})
    assert getattr(settings, name).get_secret_value() == "http://user:sesame@host"
    shown = [str(settings), repr(settings), settings.model_dump_json(), str(settings.model_dump())]
    shown.append(str(TypeAdapter(Settings).dump_python(settings, mode="json")))
    assert [text for text in shown if "sesame" in text] == []
    with pytest.raises(ValidationError) as caught:
        Settings(**{name: "ftp://user:sesame@host"})
    assert "ftp://host" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_clock_is_read_with_its_credentials_and_complained_of_without():
    with running_server(small_world(now=datetime(2026, 9, 6, 12))) as url:
        behind = url.replace("http://", "http://user:sesame@")
        assert now(Settings(clock_url=behind)) == datetime(2026, 9, 6, 12)
        with pytest.raises(ClockUnreadable) as caught:
            now(Settings(clock_url=f"{behind}/nothing"))
    assert "sesame" not in str(caught.value)
    assert isinstance(caught.value.__cause__, requests.HTTPError)
    assert "sesame" not in str(caught.value.__cause__)
