import json

import pytest

from foundation.secret_url import SecretUrl

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
