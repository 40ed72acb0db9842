"""Where the keys of a project come from: the configuration, the environment, Huawei's profile file, or the server we run on.

A provider is asked before every request, so that keys which change (a rotated file, an agency's temporary keys) are taken up
without a restart; as long as they are the same it gives back the very same object.
"""

import asyncio
import configparser
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from notifier.outbound import BodyTooLarge, cause, read_capped
from notifier.sources.signing import Keys

METADATA_URL = "http://169.254.169.254"
METADATA_TIMEOUT = 3.0
REFRESH_BEFORE = timedelta(minutes=40)
"""Huawei (SDK): temporary keys are renewed when they have less than this left."""

TRY_AGAIN = timedelta(seconds=30)
"""A refresh that failed is not tried again sooner, however many clusters are polled."""

LOOK_AGAIN = timedelta(seconds=5)
"""How often the profile file is looked at for a change."""

_TOKEN_SECONDS = "21600"  # noqa: S105 - a time
_NO_TOKENS = frozenset({404, 405, 503})
"""Huawei (SDK): older metadata services do not know tokens and answer so; keys are then asked for without one."""


@dataclass(frozen=True, slots=True)
class Token:
    """An IAM token, sent as ``X-Auth-Token`` instead of a signature. Huawei: valid for 24 hours."""

    value: str = field(repr=False)


class CredentialsError(Exception):
    """There are no keys. The text says what is missing and what to do about it, and holds nothing secret."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class Credentials(Protocol):
    """Gives the keys for the next request."""

    async def keys(self, now: datetime) -> Keys | Token:
        """The keys that hold at ``now`` (aware).

        Raises:
            CredentialsError: There are none.
        """


class Given:
    """Keys or a token written into the configuration."""

    def __init__(self, keys: Keys | Token) -> None:
        self._keys = keys

    async def keys(self, now: datetime) -> Keys | Token:  # noqa: ARG002 - they hold for ever
        """The keys as they were given."""
        return self._keys


class FromEnvironment:
    """``HUAWEICLOUD_SDK_AK``, ``HUAWEICLOUD_SDK_SK`` and, for temporary keys, ``HUAWEICLOUD_SDK_SECURITY_TOKEN``."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._keys: Keys | None = None

    async def keys(self, now: datetime) -> Keys:  # noqa: ARG002 - an environment does not change
        """The keys that were in the environment when they were first complete.

        Raises:
            CredentialsError: A variable is not set.
        """
        if self._keys is None:
            names = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")
            missing = [name for name in names if not self._environment.get(name)]
            if missing:
                raise CredentialsError(
                    f"{' and '.join(missing)} not set in the environment", "set both, or name other `credentials` for the project"
                )
            access_key, secret_key = (self._environment[name].strip() for name in names)
            self._keys = Keys(access_key, secret_key, self._environment.get("HUAWEICLOUD_SDK_SECURITY_TOKEN") or None)
        return self._keys


class FromProfile:
    """Huawei's profile file: an INI file with ``ak``, ``sk`` and perhaps ``security_token`` under ``[basic]``.

    It is ``~/.huaweicloud/credentials`` unless ``path`` or ``HUAWEICLOUD_SDK_CREDENTIALS_FILE`` says otherwise.
    """

    def __init__(self, path: Path | None = None) -> None:
        named = os.environ.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
        self._path = path or (Path(named) if named else Path.home() / ".huaweicloud" / "credentials")
        self._keys: Keys | None = None
        self._looked_at = datetime.min.replace(tzinfo=UTC)
        self._version: tuple[int, int] = (0, 0)

    async def keys(self, now: datetime) -> Keys:
        """The keys in the file; a change is taken up within 5 seconds, unless the file cannot be read: then the old ones stay.

        Raises:
            CredentialsError: The file is not there, cannot be read, or lacks a key, and was never any better.
        """
        if self._keys is None:
            self._keys = self._current()
        elif not timedelta() <= now - self._looked_at < LOOK_AGAIN:
            self._looked_at = now
            with suppress(CredentialsError):
                self._keys = self._current()
        return self._keys

    def _current(self) -> Keys:
        try:
            stat = self._path.stat()
        except OSError as error:
            raise self._trouble(f"cannot be read: {error.strerror}") from None
        version = (stat.st_mtime_ns, stat.st_size)
        if self._keys is not None and version == self._version:
            return self._keys
        keys = self._read()
        self._version = version
        return keys

    def _read(self) -> Keys:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(self._path.read_text("utf-8"))
        except OSError as error:
            raise self._trouble(f"cannot be read: {error.strerror}") from None
        except (configparser.Error, UnicodeDecodeError):  # their texts quote the line, which may be the secret one
            raise self._trouble("is not an INI file in UTF-8") from None
        if not parser.has_section("basic"):
            raise self._trouble("has no section [basic]")
        found = parser["basic"]
        missing = [name for name in ("ak", "sk") if not found.get(name)]
        if missing:
            raise self._trouble(f"has no {' and no '.join(missing)} under [basic]")
        return Keys(found["ak"], found["sk"], found.get("security_token") or None)

    def _trouble(self, what: str) -> CredentialsError:
        return CredentialsError(f"profile file {self._path} {what}", "write `ak = …` and `sk = …` under `[basic]` there")


class FromMetadata:
    """Temporary keys of the agency of the ECS server we run on, from its metadata service.

    Keys are renewed before they run out; while that fails, those we have are used for as long as they hold.

    Args:
        session: One that may dial the metadata service, see ``outbound.open_session``.
        base_url: For tests.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str = METADATA_URL) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._one_at_a_time = asyncio.Lock()
        self._timeout = aiohttp.ClientTimeout(total=METADATA_TIMEOUT)
        self._keys: Keys | None = None
        self._expires_at = self._ask_again_at = datetime.min.replace(tzinfo=UTC)
        self._trouble: CredentialsError | None = None

    async def keys(self, now: datetime) -> Keys:
        """Keys that hold at ``now``; asks for new ones at most once at a time.

        Raises:
            CredentialsError: The service gives none and those we had have run out.
        """
        if now >= self._ask_again_at and not (self._holds(now) and self._one_at_a_time.locked()):
            async with self._one_at_a_time:
                if now >= self._ask_again_at:
                    await self._renew(now)
        if self._keys is not None and self._holds(now):
            return self._keys
        raise self._trouble or _metadata_trouble("gave keys that have run out")

    def _holds(self, now: datetime) -> bool:
        return now < self._expires_at

    async def _renew(self, now: datetime) -> None:
        try:
            self._keys, self._expires_at = await self._ask()
        except CredentialsError as error:
            self._trouble = error
            self._ask_again_at = now + TRY_AGAIN
        else:
            self._trouble = None
            self._ask_again_at = max(self._expires_at - REFRESH_BEFORE, now + TRY_AGAIN)

    async def _ask(self) -> tuple[Keys, datetime]:
        try:
            token = await self._call("PUT", "/meta-data/latest/api/token", {"X-Metadata-Token-Ttl-Seconds": _TOKEN_SECONDS})
            headers = {"X-Metadata-Token": token.decode("ascii").strip()} if token else {}
            answer = await self._call("GET", "/openstack/latest/securitykey", headers)
        except (aiohttp.ClientError, OSError) as error:
            raise _metadata_trouble(f"cannot be reached ({cause(error)})") from None
        except (BodyTooLarge, UnicodeDecodeError):
            raise _metadata_trouble("gives an answer that cannot be read") from None
        return _temporary_keys(answer)

    async def _call(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        url = self._base_url + path
        async with self._session.request(method, url, headers=headers, timeout=self._timeout, allow_redirects=False) as response:
            if method == "PUT" and response.status in _NO_TOKENS:
                return b""
            if response.status != HTTPStatus.OK:
                raise _metadata_trouble(f"answers HTTP {response.status} to {path}")
            return await read_capped(response, 65536)


def _temporary_keys(answer: bytes) -> tuple[Keys, datetime]:
    """Keys and when they run out, from ``{"credential": {"access", "secret", "securitytoken", "expires_at"}}`` (Huawei: SDK)."""
    try:
        found: Any = json.loads(answer)["credential"]
        keys = Keys(found["access"], found["secret"], found["securitytoken"])
        expires_at = datetime.fromisoformat(found["expires_at"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _metadata_trouble("gives an answer that cannot be read") from None
    if not all(isinstance(part, str) and part for part in (keys.access_key, keys.secret_key, keys.security_token)):
        raise _metadata_trouble("gives incomplete keys")
    return keys, expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)


def _metadata_trouble(what: str) -> CredentialsError:
    return CredentialsError(
        f"the metadata service {what}", "give the ECS server an agency that may read CSS, or other `credentials`"
    )
