"""API keys: who may ask what. Only hashes are stored, so that the file lets nobody in.

Keys are random and long, so a plain SHA-256 is enough: there is nothing to guess. Refusing a request is in
`guarding.py`.
"""

import hmac
import ipaddress
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from foundation.durable import sha256, write_file
from foundation.errors import Explained

Scope = Literal["read", "admin"]
"""`admin` may do what `read` may, and change things."""

_BYTES = 32


class KeysUnusable(Explained):
    """The file of API keys cannot be used, or there must be one; the message names the remedy."""

    exit_code = 2


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored.

    Attributes:
        name: Whose it is.
        scope: What it allows.
        digest: SHA-256 of the key, hexadecimal.
    """

    name: str
    scope: Scope
    digest: str


class ApiKeys:
    """The keys that are accepted; without any, everyone is."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        """Accept these keys."""
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        """Return whether a key is needed at all."""
        return bool(self._keys)

    def scope_of(self, key: bytes) -> Scope | None:
        """The scope of a key; None if it is not known. The time it takes does not depend on the key."""
        digest, found = sha256(key), None
        for each in self._keys:
            if hmac.compare_digest(each.digest, digest):
                found = each.scope
        return found


def read_keys(file: Path | None) -> ApiKeys:
    """Read the keys of a file that `add_key` wrote; none without a file.

    Raises:
        KeysUnusable: If the file is named and cannot be used.
    """
    return ApiKeys(_read(file)) if file else ApiKeys([])


def add_key(file: Path, name: str, scope: Scope) -> str:
    """Make a key, store its hash, and return the key, which is not stored.

    Raises:
        KeysUnusable: If the file exists and cannot be used, or has a key of that name.
    """
    keys = _read(file) if file.exists() else []
    if name in {each.name for each in keys}:
        raise KeysUnusable(f"{file} has a key named {name}: choose another name, or remove its line first.")
    key = secrets.token_urlsafe(_BYTES)
    keys.append(ApiKey(name, scope, sha256(key.encode())))
    write_file(file, (json.dumps({"keys": [vars(each) for each in keys]}, indent=1) + "\n").encode())
    file.chmod(0o600)
    return key


def require_keys(keys: ApiKeys, host: str) -> None:
    """Refuse to be reachable from other machines without keys.

    Raises:
        KeysUnusable: If it would be.
    """
    if keys or _is_loopback(host):
        return
    raise KeysUnusable(
        f"Without API keys, everyone who reaches {host} could read every user's recommendations. Make a key with "
        "`moovitamix api-key <name> --file <file>` and name the file in MOOVITAMIX_API_KEYS_FILE, or serve on "
        "127.0.0.1."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(file: Path) -> list[ApiKey]:
    try:
        keys = [ApiKey(**each) for each in json.loads(file.read_bytes())["keys"]]
    except OSError as error:
        raise KeysUnusable(
            f"MOOVITAMIX_API_KEYS_FILE = {file}: it cannot be read ({error.strerror})."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise KeysUnusable(f"{file} holds no API keys as `moovitamix api-key` writes them.") from error
    for each in keys:
        if each.scope not in get_args(Scope) or len(str(each.digest)) != len(sha256(b"")):
            raise KeysUnusable(f"{file}: the key {each.name} has no scope (read, admin) or no SHA-256.")
    if not keys:
        raise KeysUnusable(f"{file} holds no key: nobody could ask anything.")
    return keys
