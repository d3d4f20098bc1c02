"""Alerts: incidents grouped into one message, and the message sent, once.

One outage is one alert, however often it is checked. Products find the incidents and decide when. No Dagster here.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

_EVENTS_KEPT = 200
_DETAILS_SHOWN = 8
_DETAIL_LENGTH = 400
# A sensor's tick is aborted after 60 seconds, whether the message was sent or not.
_SEND_SECONDS = 40.0
# The part before an @: the user and password of a URL, the name in an address.
_BEFORE_AT = re.compile(r"[^\s/@]+@")


class AlertNotSent(RuntimeError):
    """No service accepted a message; the text names the services by scheme only, since all else may be a secret."""


@dataclass(frozen=True)
class Incident:
    """Something that operators should know.

    Attributes:
        key: Identifies the outage: `run:nightly`, `freshness`, `rejected:<version>`.
        title: What happened, in one line.
        since: A partition (2026-10-04) where it has one, else a moment in UTC.
        details: What is known: failed steps and their errors, failed checks, figures.
        done: What was done automatically, or what the reader should do.
        link: To the UI.
        lasting: Open as long as it is reported. False: an event, notified once.
        explained_by: Keys; while one of these lasting incidents is open, this lasting one is only mentioned with it.
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
    """A message: a subject line and plain text."""

    title: str
    body: str


@dataclass(frozen=True)
class Notified:
    """The incidents that were notified already: the cursor of a sensor.

    Attributes:
        open: Since when, by the key of each lasting incident notified and not over.
        events: Keys of the events notified, the latest last.
    """

    open: Mapping[str, str] = field(default_factory=dict)
    events: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The text that `from_json` reads."""
        return json.dumps({"open": dict(self.open), "events": list(self.events)})

    @classmethod
    def from_json(cls, text: str | None) -> "Notified":
        """Read the text of `to_json`; an empty or damaged one means that nothing was notified."""
        try:
            content = json.loads(text or "")
        except ValueError:
            return cls()
        found: dict[str, Any] = content if isinstance(content, dict) else {}
        is_open, events = found.get("open"), found.get("events")
        if not isinstance(is_open, dict) or not isinstance(events, list):
            return cls()
        return cls({str(key): str(since) for key, since in is_open.items()}, tuple(map(str, events)))


def compose(
    incidents: Sequence[Incident],
    notified: Notified,
    sender: str,
    was_checked: Callable[[str], bool] = lambda key: True,
) -> tuple[Message | None, Notified]:
    """Compose one message of everything that is new.

    A lasting incident is new if it was not open, an event if it was never notified. An incident that another one
    explains is mentioned with it, and described in full only if that one ends and this remains.

    Args:
        incidents: All current incidents.
        notified: What this function returned at the last check.
        sender: The name that the title starts with.
        was_checked: Whether the incident of a key could be checked this time; others stay open as they were.

    Returns:
        The message, None if there is nothing new, and what will have been notified once it is sent.
    """
    unchecked = {key: since for key, since in notified.open.items() if not was_checked(key)}
    notified = replace(
        notified, open={key: since for key, since in notified.open.items() if was_checked(key)}
    )
    lasting = {incident.key: incident for incident in incidents if incident.lasting}
    events = {incident.key: incident for incident in incidents if not incident.lasting}
    explained = _explained(lasting)
    new = [
        incident for key, incident in lasting.items() if key not in explained and key not in notified.open
    ] + [incident for key, incident in events.items() if key not in notified.events]
    over = {key: since for key, since in notified.open.items() if key not in lasting}
    still_open = {key: since for key, since in notified.open.items() if key in lasting}
    after = Notified(
        unchecked | still_open | {incident.key: incident.since for incident in new if incident.lasting},
        _events_kept(notified.events, events),
    )
    if not new and not over:
        return None, after
    consequences = [incident for key, incident in lasting.items() if key in explained - notified.open.keys()]
    return _message(sender, new, consequences, over), after


def _explained(lasting: Mapping[str, Incident]) -> set[str]:
    """The incidents that lead back to one that nothing explains; those that only explain each other do not."""
    known = {key for key, incident in lasting.items() if not lasting.keys() & set(incident.explained_by)}
    roots = set(known)
    while True:
        more = {key for key, incident in lasting.items() if known & set(incident.explained_by)} - known
        if not more:
            return known - roots
        known |= more


def _events_kept(notified: Sequence[str], reported: Iterable[str]) -> tuple[str, ...]:
    """The latest events; one that is still reported is never dropped, or it would be notified again."""
    reported = list(reported)
    older = [key for key in notified if key not in set(reported)]
    return tuple([*older, *reported][-max(_EVENTS_KEPT, len(reported)) :])


def _message(
    sender: str, new: Sequence[Incident], consequences: Sequence[Incident], over: Mapping[str, str]
) -> Message:
    titles = [incident.title for incident in new] or [f"over: {', '.join(over)}"]
    title = titles[0] if len(titles) == 1 else f"{titles[0]}, and {len(titles) - 1} more"
    mentioned = {
        incident.key: [other.title for other in consequences if incident.key in other.explained_by]
        for incident in new
    }
    parts = [_paragraph(incident, mentioned[incident.key]) for incident in new]
    if over:
        parts.append("\n".join(f"Over: {key}, open since {since}" for key, since in over.items()))
    return Message(f"{sender}: {' '.join(title.split())}", "\n\n".join(parts))


def _paragraph(incident: Incident, consequences: Sequence[str]) -> str:
    details = [f"  - {_shown(detail)}" for detail in incident.details[:_DETAILS_SHOWN]]
    if len(incident.details) > _DETAILS_SHOWN:
        details.append(f"  - and {len(incident.details) - _DETAILS_SHOWN} more")
    return "\n".join(
        [
            incident.title,
            f"Since: {incident.since}",
            *details,
            *(f"With it: {title}" for title in consequences),
            f"Done: {incident.done}",
            incident.link,
        ]
    )


def _shown(detail: str) -> str:
    """A detail in one line of limited length, masked: errors may quote a URL with a password, or an address."""
    line = _BEFORE_AT.sub("***@", " ".join(detail[: 10 * _DETAIL_LENGTH].split()))
    return line if len(line) <= _DETAIL_LENGTH else line[:_DETAIL_LENGTH] + " ..."


def send(message: Message, urls: str, setting: str, log: logging.Logger) -> None:
    """Send a message to every service; without one, write it to the log.

    A message that one of several services accepted counts as sent, and the log names the others: a repetition would
    notify the first one twice, and a service that is gone for good would keep every alert open.

    Args:
        message: What is sent.
        urls: Apprise URLs, separated by spaces.
        setting: The name of the setting that holds them, for messages.
        log: Where a message without a service goes, and the services that did not accept it.

    Raises:
        AlertNotSent: If no service accepted it; it should be sent again later.
    """
    services, refused = _services(urls)
    if not services and not refused:
        log.warning(f"{setting} names no service:\n{message.title}\n\n{message.body}")
        return
    accepted, failed = _notify(message, services)
    failed += refused
    if not accepted:
        raise AlertNotSent(f"{message.title!r} was not sent: {'; '.join(failed)}. See {setting}.")
    if failed:
        log.error(f"{message.title!r} was sent to {accepted} services, but not to all: {'; '.join(failed)}")


def unusable_services(urls: str) -> tuple[int, list[str]]:
    """The number of services that Apprise URLs name, and the parts that Apprise does not know; nothing is sent."""
    import apprise

    logging.getLogger("apprise").disabled = True
    services, refused = _services(urls)
    unknown = [_refusal(n, url) for n, url in enumerate(services, 1) if not apprise.Apprise().add(url)]
    return len(services), unknown + refused


def _services(text: str) -> tuple[list[str], list[str]]:
    """The URLs in a text, and what is wrong with the rest; Apprise knows where a URL with commas ends."""
    from apprise.utils.parse import parse_urls

    parsed: list[str] = parse_urls(text)  # type: ignore[no-untyped-call]
    urls = [url for url in parsed if "://" in url]
    # Apprise ignores whatever precedes the first URL.
    before = text.split(urls[0], 1)[0] if urls else text
    return urls, ["its beginning is not a URL"] if before.strip(" \t\r\n,;") else []


def _notify(message: Message, urls: Sequence[str]) -> tuple[int, list[str]]:
    """The number of services that accepted a message, and the others by scheme: even a host may be a token."""
    import apprise

    # It quotes URLs in its own log, and masks only part of one that it does not understand.
    logging.getLogger("apprise").disabled = True
    services = apprise.Apprise()
    failed = [_refusal(n, url) for n, url in enumerate(urls, 1) if not services.add(url)]
    for service in services:
        if service.overflow_mode == apprise.OverflowMode.UPSTREAM:
            # Otherwise a service with a length limit refuses a long message each time.
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
    results = services.notify(
        title=message.title,
        body=message.body,
        # Otherwise a mail is rendered as HTML, without its line breaks.
        body_format=apprise.NotifyFormat.TEXT,
        notify_type=apprise.NotifyType.WARNING,
        timeout=_SEND_SECONDS,
    )
    failed += [
        f"{_scheme(result.url)} did not accept it ({result.status.name})" for result in results if not result
    ]
    return sum(map(bool, results)), failed


def _refusal(number: int, url: str) -> str:
    return f"{_scheme(url)} (URL {number}) is not a URL that Apprise accepts"


def _scheme(url: str) -> str:
    return url.partition("://")[0]
