import json

import pytest

from foundation.secret_url import SecretUrl, redact_credentials

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
    ("url", "bare", "credentials"),
    [
        ("http://a:b@host/x", "http://host/x", (b"a", b"b")),
        ("https://a@host", "https://host", (b"a", b"")),
        ("http://a:b:c@d@host", "http://host", (b"a", b"b:c@d")),
        ("http://%C3%A9:%40@host", "http://host", ("\u00e9".encode(), b"@")),
        ("http://user:p%40ss@host/api", "http://host/api", (b"user", b"p@ss")),
        ("http://token@host", "http://host", (b"token", b"")),
        ("http://a:b/c@d@host:1", "http://host:1", (b"a", b"b/c@d")),
        ("http://host/@scope", "http://host/@scope", None),
        ("http://host?q=a@b", "http://host?q=a@b", None),
        ("http://host:80/@x", "http://host:80/@x", None),
    ],
)
def test_credentials_are_taken_out_of_a_url(
    url: str, bare: str, credentials: tuple[bytes, bytes] | None
) -> None:
    assert (SecretUrl(url).without_credentials, SecretUrl(url).credentials) == (bare, credentials)


def test_a_text_loses_the_credentials_of_every_url_in_it() -> None:
    text = "from http://a:b@host/x to https://c:d@other:1/y, at 3 @ noon"
    assert redact_credentials(text) == "from http://host/x to https://other:1/y, at 3 @ noon"


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
