"""What people are told, once: problems grouped into one message, and the message sent.

One outage is one alert, however often it is looked at. Which problems there are is in `problems.py`, when they are
looked for in the sensors. No Dagster here.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moovitamix_assets.settings import Settings

_EVENTS_KEPT = 200
_DETAILS_SHOWN = 8
_DETAIL_LENGTH = 400
# A sensor's tick is given up after 60 seconds, with the message told or not.
_SEND_SECONDS = 40.0
# What stands before an @: the user and password of a URL, the name in an address.
_BEFORE_AT = re.compile(r"[^\s/@]+@")


class AlertNotSent(RuntimeError):
    """No service took a message; the text names the services by scheme only, since all else may be a secret."""


@dataclass(frozen=True)
class Problem:
    """Something a person should know.

    Attributes:
        key: What it is one outage of: `run:nightly`, `freshness`, `rejected:<version>`.
        title: What happened, in one line.
        since: A partition (2026-10-04) where it has one, else a moment in UTC.
        details: What is known: failing steps and what they raised, checks that did not pass, figures.
        done: What was done by itself, or what the reader is asked to do.
        link: Into the UI.
        lasting: Open as long as it is reported. False: an event, told once.
        explained_by: Keys; while one of these lasting problems is open, this lasting one is told with it or not at all.
    """

    key: str
    title: str
    since: str
    details: tuple[str, ...]
    done: str
    link: str
    lasting: bool = True
    explained_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """What is sent: a subject line and plain text."""

    title: str
    body: str


@dataclass(frozen=True)
class Told:
    """What people were told already: the cursor of a sensor.

    Attributes:
        open: Since when, by the key of each lasting problem told and not over.
        events: Keys of the events told, the latest last.
    """

    open: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The text that `from_json` reads."""
        return json.dumps({"open": dict(self.open), "events": list(self.events)})

    @classmethod
    def from_json(cls, text: str | None) -> "Told":
        """What was written by `to_json`; of an empty or damaged text nothing was told."""
        try:
            content = json.loads(text or "")
        except ValueError:
            return cls()
        found: dict[str, Any] = content if isinstance(content, dict) else {}
        is_open, events = found.get("open"), found.get("events")
        if not isinstance(is_open, dict) or not isinstance(events, list):
            return cls()
        return cls({str(key): str(since) for key, since in is_open.items()}, tuple(map(str, events)))


def compose(problems: Sequence[Problem], told: Told) -> tuple[Message | None, Told]:
    """Say everything that is new in one message.

    A lasting problem is new if it was not open, an event if it was never told. What another one explains is named
    with it, and told in full only where that one ends and this remains.

    Args:
        problems: Everything that is the case now.
        told: What this function returned at the last look.

    Returns:
        The message, None if there is nothing new, and what will have been told once it is sent.
    """
    lasting = {problem.key: problem for problem in problems if problem.lasting}
    events = {problem.key: problem for problem in problems if not problem.lasting}
    explained = _explained(lasting)
    new = [problem for key, problem in lasting.items() if key not in explained and key not in told.open] + [
        problem for key, problem in events.items() if key not in told.events
    ]
    over = {key: since for key, since in told.open.items() if key not in lasting}
    still_open = {key: since for key, since in told.open.items() if key in lasting}
    after = Told(
        still_open | {problem.key: problem.since for problem in new if problem.lasting},
        _events_kept(told.events, events),
    )
    if not new and not over:
        return None, after
    consequences = [problem for key, problem in lasting.items() if key in explained - told.open.keys()]
    return _message(new, consequences, over), after


def _explained(lasting: Mapping[str, Problem]) -> set[str]:
    """The problems that lead back to one which nothing explains; those that only explain each other do not."""
    known = {key for key, problem in lasting.items() if not lasting.keys() & set(problem.explained_by)}
    roots = set(known)
    while True:
        more = {key for key, problem in lasting.items() if known & set(problem.explained_by)} - known
        if not more:
            return known - roots
        known |= more


def _events_kept(told: Sequence[str], reported: Iterable[str]) -> tuple[str, ...]:
    """The latest events; one that is still reported is never forgotten, or it would be told again."""
    reported = list(reported)
    older = [key for key in told if key not in set(reported)]
    return tuple([*older, *reported][-max(_EVENTS_KEPT, len(reported)) :])


def _message(new: Sequence[Problem], consequences: Sequence[Problem], over: Mapping[str, str]) -> Message:
    titles = [problem.title for problem in new] or [f"over: {', '.join(over)}"]
    title = titles[0] if len(titles) == 1 else f"{titles[0]}, and {len(titles) - 1} more"
    told_with = {
        problem.key: [other.title for other in consequences if problem.key in other.explained_by]
        for problem in new
    }
    parts = [_paragraph(problem, told_with[problem.key]) for problem in new]
    if over:
        parts.append("\n".join(f"Over: {key}, open since {since}" for key, since in over.items()))
    return Message("MooVitamix: " + " ".join(title.split()), "\n\n".join(parts))


def _paragraph(problem: Problem, consequences: Sequence[str]) -> str:
    details = [f"  - {_shown(detail)}" for detail in problem.details[:_DETAILS_SHOWN]]
    if len(problem.details) > _DETAILS_SHOWN:
        details.append(f"  - and {len(problem.details) - _DETAILS_SHOWN} more")
    return "\n".join(
        [
            problem.title,
            f"Since: {problem.since}",
            *details,
            *(f"With it: {title}" for title in consequences),
            f"Done: {problem.done}",
            problem.link,
        ]
    )


def _shown(detail: str) -> str:
    """A detail in one line of bearable length; what was raised may quote a URL with a password or an address."""
    line = _BEFORE_AT.sub("***@", " ".join(detail[: 10 * _DETAIL_LENGTH].split()))
    return line if len(line) <= _DETAIL_LENGTH else line[:_DETAIL_LENGTH] + " ..."


def send(message: Message, settings: Settings, log: logging.Logger) -> None:
    """Send a message to every service of `alert_urls`; without one, write it into the log.

    A message that one of several services took counts as sent, and the log names the others: trying again would
    tell the first one twice, and a service that is gone for good would keep alerts from ever being over.

    Raises:
        AlertNotSent: If no service took it; it should be sent again later.
    """
    urls, refused = _services(settings.operations.alert_urls.get_secret_value())
    if not urls and not refused:
        log.warning(f"MOOVITAMIX_ALERT_URLS names nobody to tell:\n{message.title}\n\n{message.body}")
        return
    took, failed = _notify(message, urls)
    failed += refused
    if not took:
        raise AlertNotSent(
            f"Nobody was told {message.title!r}: {'; '.join(failed)}. See MOOVITAMIX_ALERT_URLS."
        )
    if failed:
        log.error(f"{message.title!r} was told to {took} services, but not to all: {'; '.join(failed)}")


def unusable_services(settings: Settings) -> tuple[int, list[str]]:
    """How many services `alert_urls` names, and what of it is none that Apprise knows; nobody is told anything."""
    import apprise

    logging.getLogger("apprise").disabled = True
    urls, refused = _services(settings.operations.alert_urls.get_secret_value())
    unknown = [_refusal(n, url) for n, url in enumerate(urls, 1) if not apprise.Apprise().add(url)]
    return len(urls), unknown + refused


def _services(text: str) -> tuple[list[str], list[str]]:
    """The URLs of the setting, and what is wrong with what is none; Apprise knows where an URL with commas ends."""
    from apprise.utils.parse import parse_urls

    parsed: list[str] = parse_urls(text)  # type: ignore[no-untyped-call]
    urls = [url for url in parsed if "://" in url]
    # What stands before the first URL is passed over by Apprise in silence.
    before = text.split(urls[0], 1)[0] if urls else text
    return urls, ["what it begins with is no URL"] if before.strip(" \t\r\n,;") else []


def _notify(message: Message, urls: Sequence[str]) -> tuple[int, list[str]]:
    """How many services took a message, and the others by scheme: even a host is a token in some URLs."""
    import apprise

    # It quotes URLs in its own log, and masks only a part of one that it does not understand.
    logging.getLogger("apprise").disabled = True
    services = apprise.Apprise()
    failed = [_refusal(n, url) for n, url in enumerate(urls, 1) if not services.add(url)]
    for service in services:
        if service.overflow_mode == apprise.OverflowMode.UPSTREAM:
            # Else a service with short messages refuses a long one, each time it is tried.
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
    results = services.notify(
        title=message.title,
        body=message.body,
        # Else a mail is taken for HTML and its lines run together.
        body_format=apprise.NotifyFormat.TEXT,
        notify_type=apprise.NotifyType.WARNING,
        timeout=_SEND_SECONDS,
    )
    failed += [
        f"{_scheme(result.url)} did not take it ({result.status.name})" for result in results if not result
    ]
    return sum(map(bool, results)), failed


def _refusal(number: int, url: str) -> str:
    return f"{_scheme(url)} (URL {number}) is no URL Apprise accepts"


def _scheme(url: str) -> str:
    return url.partition("://")[0]
