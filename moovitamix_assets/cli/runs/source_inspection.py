"""A look at the source before, or in place of, a run: is it plausible, and do its clock and the machine's agree?

A few requests with little patience; what is judged is in `ingestion/`.
"""

from datetime import date, datetime
from typing import Any

from moovitamix_assets.clock import now
from moovitamix_assets.ingestion.appraisal import refuse_implausible
from moovitamix_assets.ingestion.client.source_api import SourceApi, SourceError
from moovitamix_assets.ingestion.plausibility import both_clocks, clocks_differ, refuse_unless_ended
from moovitamix_assets.settings import Settings

_IMPATIENCE: dict[str, Any] = {"request_retries": 1, "request_timeout_seconds": 5.0}


def look_at_source(settings: Settings) -> str:
    """Refuse an implausible source though nothing has to be read from it.

    Returns:
        Why it could not be looked at; empty if it could, or if the settings name none.

    Raises:
        ImplausibleSource: If the next day could not be read from it.
    """
    if "api_url" not in settings.source.model_fields_set:
        return ""
    try:
        with SourceApi.from_settings(settings.changed(**_IMPATIENCE)) as source_api:
            refuse_implausible(source_api, settings)
    except SourceError as error:
        return f"The source could not be looked at: {error}"
    return ""


def compare_clocks(settings: Settings, last: date) -> str:
    """Refuse a day that has not ended by the source's clock, before anything is read.

    Returns:
        In what the clocks differ; empty if they agree, or the source does not say.

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
    """The source's own clock, naive UTC; None if the settings name no source, or it does not say or answer."""
    if "api_url" not in settings.source.model_fields_set:
        return None
    try:
        with SourceApi.from_settings(settings.changed(**_IMPATIENCE)) as source_api:
            return source_api.probe("users").source_time
    except SourceError:
        return None  # Whoever reads the source next says what is wrong with it.
