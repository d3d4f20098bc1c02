"""The source's OpenAPI document, as far as the client reads it: which filters an endpoint lists.

Pure functions on decoded JSON.
"""

from moovitamix_assets.ingestion.client.answers import UnusableAnswer

_FILTERS = frozenset({"updated_since", "updated_before"})


def openapi_document(decoded: object) -> dict[str, object]:
    """Read the document; raises `UnusableAnswer` for anything else."""
    if not isinstance(decoded, dict):
        raise UnusableAnswer("not_openapi", "200 with JSON that is not an OpenAPI document")
    return decoded


def lists_filters(document: dict[str, object], path: str) -> bool:
    """Return whether GET on a path can be filtered by change time, from and to."""
    return _query_parameters(document, path) >= _FILTERS


def _query_parameters(document: dict[str, object], path: str) -> set[object]:
    """Names of the query parameters that an OpenAPI document lists for GET on a path."""
    paths = document.get("paths")
    item = paths.get(path) if isinstance(paths, dict) else None
    if not isinstance(item, dict):
        return set()
    operation = item.get("get")
    places = [item, operation] if isinstance(operation, dict) else []
    listed = [place.get("parameters") for place in places]
    entries = [entry for some in listed if isinstance(some, list) for entry in some]
    return {e.get("name") for e in entries if isinstance(e, dict) and e.get("in") == "query"}
