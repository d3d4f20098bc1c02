"""URLs that may hold a password: they can be used, and cannot be printed.

Also hiding passwords in texts that quote URLs. The product's settings say which of them are such URLs.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlsplit

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_HIDDEN = "***"
# A password may contain any character, so everything up to the last @ counts as user and password.
_USER_AND_PASSWORD = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?(.*)@", re.DOTALL)
# An @ after a plain host belongs to the path or the query.
_PLAIN_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^@/?#:]+|\[[^@/?#]*\])(:\d*)?(?=[/?#]|$)")
_CREDENTIALS_OF_URLS = re.compile(r"(?<=://)\S*@")
_QUOTED_USER_AND_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/'\"]*@")


def redact_credentials(text: str) -> str:
    """Return a text that may quote URLs without their users and passwords."""
    return _CREDENTIALS_OF_URLS.sub("", text)


class SecretUrl:
    """A URL whose text, wherever it is formatted, lacks user, password and the content of its query.

    Not a subclass of `str`: `json.dumps`, `"".join` and libraries would print such a string in full.
    """

    __slots__ = ("_url",)

    def __init__(self, url: "str | SecretUrl" = "") -> None:
        self._url: str = url._url if isinstance(url, SecretUrl) else url

    def get_secret_value(self) -> str:
        """Return the URL itself, as it was given."""
        return self._url

    def without_trailing_slash(self) -> "SecretUrl":
        """Return the same URL without slashes at its end."""
        return SecretUrl(self._url.rstrip("/"))

    def is_web_address(self) -> bool:
        """Return whether it is http:// or https:// with a host."""
        try:
            parts = urlsplit(self._url)
            return parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:  # an invalid host, quoted in the error with all that precedes it
            return False

    @property
    def credentials(self) -> tuple[bytes, bytes] | None:
        """User and password, decoded; None without either."""
        user_and_password = "" if _PLAIN_HOST.match(self._url) else self._user_and_password()
        if not user_and_password:
            return None
        user, _, password = user_and_password.partition(":")
        return unquote_to_bytes(user), unquote_to_bytes(password)

    @property
    def without_credentials(self) -> str:
        """The URL to connect to where user and password are passed separately, so that no error can quote them."""
        return self._url if _PLAIN_HOST.match(self._url) else self._hidden()

    def redact(self, text: str) -> str:
        """Return a text of a library that knows the URL without its secrets."""
        shown = text.replace(self._url, str(self)) if self._url else text
        for secret in sorted(set(self._secrets()), key=len, reverse=True):
            shown = shown.replace(secret, _HIDDEN)
        return _QUOTED_USER_AND_PASSWORD.sub(r"\1", shown)

    def _user_and_password(self) -> str:
        found = _USER_AND_PASSWORD.match(self._url)
        return found[2] if found else ""

    def _hidden(self) -> str:
        """The URL without anything that may be user and password."""
        return _USER_AND_PASSWORD.sub(r"\1", self._url)

    def _secrets(self) -> Iterator[str]:
        """Each secret in the forms in which a text may quote it."""
        user_and_password = self._user_and_password()
        # A user without a password is a token; with one it is a word that may occur anywhere.
        secrets = [user_and_password, user_and_password.partition(":")[2]]
        query = self._hidden().partition("?")[2]
        secrets += [value for _, value in parse_qsl(query)] or [query]
        for secret in filter(None, secrets):
            yield from (secret, unquote(secret), quote(secret, safe=""))

    def __str__(self) -> str:
        address, question_mark, _ = self._hidden().partition("#")[0].partition("?")
        return f"{address}?{_HIDDEN}" if question_mark else address

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"

    def __bool__(self) -> bool:
        return bool(self._url)

    def __eq__(self, other: object) -> bool:
        return self._url == other._url if isinstance(other, SecretUrl) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._url)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let Pydantic read it from a text, and write it as it may be shown."""
        given = core_schema.union_schema([core_schema.is_instance_schema(cls), core_schema.str_schema()])
        return core_schema.no_info_after_validator_function(
            cls, given, serialization=core_schema.to_string_ser_schema()
        )
