"""The simulator's doorkeeper: Huawei's API gateway as far as a client's keys are concerned, and the two shapes of its errors.

The marks (D), (C) and (I) are explained in ``upgrades``.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any

from notifier.sources.signing import DATE, DATE_FORMAT, SECURITY_TOKEN, Keys, parse_authorization, signature

MAX_SKEW = timedelta(minutes=15)
"""(D) how far ``X-Sdk-Date`` may be off."""
LOCK_AFTER = 5
"""(D) more consecutive failures than this lock an access key …"""
LOCKED_FOR = timedelta(minutes=5)
"""(D) … for so long."""


class RefusedError(Exception):
    """A request that is answered with an error. ``code`` is what the error is called, ``body`` its JSON."""

    def __init__(self, status: int, code: str, body: Mapping[str, Any]) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.body = body


def gateway_error(status: int, code: str, message: str) -> RefusedError:
    """An error of the gateway in front of the service (D)."""
    return RefusedError(
        status, code, {"error_msg": message, "error_code": code, "request_id": "a0b1c2d3e4f5061728394a5b6c7d8e9f"}
    )


def service_error(status: int, code: str, message: str) -> RefusedError:
    """An error of CSS itself (C: not what its documentation says)."""
    return RefusedError(status, code, {"errCode": code, "externalMessage": f"{code} : {message}"})


class Gateway:
    """Decides who may come in.

    Args:
        keys: If given, every request must be signed with them. Otherwise any well-formed signature and any token will do.
        now: The wall clock, with a time zone.
    """

    def __init__(self, keys: Keys | None, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._now = now
        self._failures = 0
        self._locked_until: datetime | None = None

    def admit(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> None:
        """Let a request pass.

        Raises:
            RefusedError: 401 with ``APIGW.0301``.
        """
        if self._keys is None and headers.get("X-Auth-Token"):
            return
        parsed = parse_authorization(headers.get("Authorization", ""))
        if parsed is None:
            raise _unauthorized("the request bears no signature that can be read")
        if self._keys is None:
            return
        access_key, signed, claimed = parsed
        if not compare_digest(access_key.encode(), self._keys.access_key.encode()):
            raise _unauthorized("unknown access key")
        self._refuse_locked()
        expected = signature(self._keys.secret_key, method, path, query, headers, signed, body)
        if not compare_digest(claimed, expected):
            self._count_failure()
            raise _unauthorized("verify aksk signature fail")
        if self._keys.security_token and headers.get(SECURITY_TOKEN) != self._keys.security_token:
            raise _unauthorized("the security token is missing or wrong")
        self._refuse_skew(headers.get(DATE, ""), signed)
        self._failures = 0

    def _refuse_skew(self, stamp: str, signed: tuple[str, ...]) -> None:
        if DATE.lower() not in signed:
            raise _unauthorized(f"{DATE} must be signed")
        try:
            sent = datetime.strptime(f"{stamp}+0000", f"{DATE_FORMAT}%z")
        except ValueError:
            raise _unauthorized(f"{DATE} cannot be read") from None
        if abs(self._now() - sent) > MAX_SKEW:
            raise _unauthorized("the signature has expired: check the clock")

    def _refuse_locked(self) -> None:
        if self._locked_until and self._now() < self._locked_until:
            raise _unauthorized("AK access failed to reach the limit,forbidden")

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures > LOCK_AFTER:
            self._failures = 0
            self._locked_until = self._now() + LOCKED_FOR


def _unauthorized(why: str) -> RefusedError:
    return gateway_error(401, "APIGW.0301", f"Incorrect IAM authentication information: {why}")
