"""A check of the source before, or instead of, a run: is it plausible, and do its clock and the machine's agree?

A few requests with short timeouts; the rules are in `ingestion/`.
"""

from datetime import date, datetime
from typing import Any

from moovitamix_assets.clock import now
from moovitamix_assets.ingestion.appraisal import refuse_implausible
from moovitamix_assets.ingestion.client.errors import SourceError
from moovitamix_assets.ingestion.client.source_api import SourceApi
from moovitamix_assets.ingestion.plausibility import both_clocks, clocks_differ, refuse_unless_ended
from moovitamix_assets.settings import Settings

_IMPATIENCE: dict[str, Any] = {"request_retries": 1, "request_timeout_seconds": 5.0}


def inspect_source(settings: Settings) -> str:
    """Refuse an implausible source although nothing has to be read from it.

    Returns:
        Why it could not be inspected; empty if it could, or if the settings name none.

    Raises:
        ImplausibleSource: If the next day could not be read from it.
    """
    if "api_url" not in settings.source.model_fields_set:
        return ""
    try:
        with SourceApi.from_settings(settings.changed(**_IMPATIENCE)) as source_api:
            refuse_implausible(source_api, settings)
    except SourceError as error:
        return f"The source could not be inspected: {error}"
    return ""


def compare_clocks(settings: Settings, last: date) -> str:
    """Refuse a day that has not ended by the source's clock, before anything is read.

    Returns:
        How the clocks differ; empty if they agree, or if the source does not report its time.

    Raises:
        DayNotEnded: If it has not ended.
    """
    source_time = read_source_time(settings)
    moment = now(settings)
    refuse_unless_ended(last, moment, source_time, settings)
    if not clocks_differ(moment, source_time, settings):
        return ""
    return f"The clocks differ: {both_clocks(moment, source_time)}."


def read_source_time(settings: Settings) -> datetime | None:
    """The source's own clock, naive UTC; None if the settings name no source, or it does not report it or answer."""
    if "api_url" not in settings.source.model_fields_set:
        return None
    try:
        with SourceApi.from_settings(settings.changed(**_IMPATIENCE)) as source_api:
            return source_api.probe("users").source_time
    except SourceError:
        return None  # The next request to the source reports what is wrong with it.
