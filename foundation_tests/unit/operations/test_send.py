"""Every alert arrives at every service, once; no secret is revealed where one does not accept it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from foundation.operations.alerts import AlertNotSent, Message, send
from foundation_tests.unit.operations.sinks import mail_sink, webhook_sink

MESSAGE = Message("Music: größer <b>", "One line\n  - users: a < b & c_d_e*\n\nhttp://127.0.0.1:3000/runs/1")
NOBODY = "json://robot:s3cret@127.0.0.1:9/T0ken"


@pytest.fixture
def sinks() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def to(*urls: str, between: str = " ") -> tuple[str, str]:
    return between.join(urls), "ALERT_URLS"


@pytest.mark.parametrize("between", [" ", "\n", ", ", ",", ";"])
def test_every_service_is_notified_once(between: str, sinks: ExitStack) -> None:
    mail_url, mails = sinks.enter_context(mail_sink())
    webhook_url, calls = sinks.enter_context(webhook_sink())
    send(MESSAGE, *to(mail_url, webhook_url, between=between), logging.getLogger("test"))
    (mail,) = mails
    text = mail.get_body(("plain",))
    assert mail["Subject"] == MESSAGE.title
    assert mail["To"] == "a@example.org"
    assert text is not None
    assert text.get_content().splitlines() == MESSAGE.body.splitlines()
    (call,) = calls
    assert (call["title"], call["message"]) == (MESSAGE.title, MESSAGE.body)


def test_two_recipients_of_one_url_are_notified(sinks: ExitStack) -> None:
    mail_url, mails = sinks.enter_context(mail_sink())
    url = mail_url.replace("to=a@example.org", "to=a@example.org,b@example.org")
    send(MESSAGE, *to(url), logging.getLogger("test"))
    assert [mail["To"] for mail in mails] == ["a@example.org", "b@example.org"]


def test_a_message_longer_than_a_service_accepts_is_cut_not_refused(sinks: ExitStack) -> None:
    url, calls = sinks.enter_context(webhook_sink())
    send(Message("long", "line\n" * 20_000), *to(url), logging.getLogger("test"))
    (call,) = calls
    assert 1_000 < len(call["message"]) < 50_000


def test_without_a_service_the_log_has_the_whole_text(caplog: pytest.LogCaptureFixture) -> None:
    send(MESSAGE, *to(), logging.getLogger("test"))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert MESSAGE.title in record.getMessage()
    assert MESSAGE.body in record.getMessage()


@pytest.mark.parametrize(
    "url", [NOBODY, "nosuch://robot:s3cret@host/T0ken", "json:/s3cret/T0ken", "s3cret T0ken"]
)
def test_a_message_that_no_service_accepted_is_an_error_without_a_secret(url: str) -> None:
    with pytest.raises(AlertNotSent, match="ALERT_URLS") as raised:
        send(MESSAGE, *to(url), logging.getLogger("test"))
    assert MESSAGE.title in str(raised.value)
    assert not any(secret in str(raised.value) for secret in ("s3cret", "T0ken", "robot"))


def test_a_service_that_answers_with_an_error_did_not_take_it(sinks: ExitStack) -> None:
    url, calls = sinks.enter_context(webhook_sink(status=500))
    with pytest.raises(AlertNotSent, match=r"json did not accept it \(FAILURE\)"):
        send(MESSAGE, *to(url), logging.getLogger("test"))
    assert len(calls) == 1


@pytest.mark.parametrize("other", [NOBODY, "nosuch://robot:s3cret@host/T0ken"])
def test_what_one_service_accepted_counts_as_sent_and_the_log_names_the_other(
    other: str, sinks: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    url, calls = sinks.enter_context(webhook_sink())
    send(MESSAGE, *to(url, other), logging.getLogger("test"))
    assert len(calls) == 1
    (said,) = [record.getMessage() for record in caplog.records if record.name == "test"]
    assert other.partition("://")[0] in said
    assert "s3cret" not in caplog.text
    assert "T0ken" not in caplog.text


def test_a_typing_error_before_the_first_url_is_not_passed_over(
    sinks: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    url, calls = sinks.enter_context(webhook_sink())
    send(MESSAGE, *to("slack:/T0ken/A1/B2", url), logging.getLogger("test"))
    assert len(calls) == 1
    assert "beginning is not a URL" in caplog.text
    assert "T0ken" not in caplog.text
