"""Calls Slack's Web API once each, with no retry of a library, and says what a failure means.

The words of errors are Slack's (docs.slack.dev, the pages of the methods). slack_sdk would post again by itself after a
connection was reset, though Slack may have taken the message; retries are the engine's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.plain_text import one_line
from notifier.outbound import cause
from notifier.sinks.posting import Mask

_OF_SINK: Mapping[str, DeliveryReason] = {
    **dict.fromkeys(
        (
            "invalid_auth",
            "not_authed",
            "account_inactive",
            "token_revoked",
            "token_expired",
            "missing_scope",
            "no_permission",
            "not_allowed_token_type",
            "org_login_required",
            "ekm_access_denied",
            "team_access_not_granted",
            "enterprise_is_restricted",
            "access_denied",
            "two_factor_setup_required",
        ),
        DeliveryReason.REFUSED,
    ),
    **dict.fromkeys(
        (
            "channel_not_found",
            "is_archived",
            "not_in_channel",
            "restricted_action",
            "restricted_action_read_only_channel",
            "restricted_action_thread_only_channel",
            "restricted_action_non_threadable_channel",
            "is_inactive",
            "channel_is_archived",
        ),
        DeliveryReason.MISSING,
    ),
}
_OF_EVENT: Mapping[str, DeliveryReason] = {
    **dict.fromkeys(("msg_too_long", "msg_blocks_too_long"), DeliveryReason.TOO_LARGE),
    **dict.fromkeys(
        (
            "invalid_blocks",
            "invalid_blocks_format",
            "no_text",
            "invalid_arguments",
            "invalid_arg_name",
            "cannot_reply_to_message",
        ),
        DeliveryReason.INVALID,
    ),
}
_UNCERTAIN = frozenset({"internal_error", "fatal_error", "request_timeout"})
"""Slack: "some aspect of the operation" may have "succeeded before the error was raised"."""

GONE_MESSAGE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found", "not_found"})
"""The message that was to be edited or answered is not there any more, or not ours to edit; the window was closed."""

THROTTLED = frozenset({"ratelimited", "rate_limited"})


class MessageGone(Exception):
    """The message to be edited or answered is gone, or the window was closed."""


class Calls:
    """One workspace's API, as one bot."""

    def __init__(self, token: SecretStr, base_url: str, session: aiohttp.ClientSession) -> None:
        self._mask = Mask([token.get_secret_value()])
        self._client = AsyncWebClient(token.get_secret_value(), base_url=base_url, session=session)
        # It would read proxy variables by itself, without NO_PROXY; the session knows both.
        self._client.proxy = None
        self._client.retry_handlers = []

    async def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """The answer to one call that writes, which says ``ok``.

        Raises:
            DeliveryError: It failed; says what that means for the message.
            MessageGone: The message it was about is gone.
        """
        return await self._once(method, json=arguments)

    async def ask(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """The answer to one call that reads; Slack takes no JSON for those. Raises as `call`."""
        return await self._once(method, http_verb="GET", params=arguments)

    async def _once(self, method: str, **how: Any) -> Mapping[str, Any]:
        try:
            answer = await self._client.api_call(method, **how)
        except SlackApiError as error:
            raise self._failure(method, error) from None
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise self._error(Outcome.RETRY, DeliveryReason.NETWORK, cause(error), scope=Scope.SINK) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._error(Outcome.UNCERTAIN, DeliveryReason.NETWORK, cause(error)) from None
        except (SlackClientError, ValueError) as error:
            detail = f"{method}: {type(error).__name__}"
            raise self._error(Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, detail) from None
        return answer.data if isinstance(answer.data, dict) else {}

    async def scopes(self) -> Sequence[str]:
        """What the token may do, as Slack says in ``x-oauth-scopes``. Raises `DeliveryError`."""
        try:
            answer = await self._client.auth_test()
        except SlackApiError as error:
            raise self._failure("auth.test", error) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._error(Outcome.RETRY, DeliveryReason.NETWORK, cause(error), scope=Scope.SINK) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return [scope.strip() for scope in str(headers.get("x-oauth-scopes", "")).split(",") if scope.strip()]

    def _failure(self, method: str, error: SlackApiError) -> Exception:
        answer: Any = error.response
        data = answer.data if isinstance(getattr(answer, "data", None), dict) else {}
        word = str(data.get("error") or "")
        status = int(getattr(answer, "status_code", 0) or 0)
        detail = f"{method}: {word or f'HTTP {status}'}"
        if needed := data.get("needed"):
            detail += f", needs {needed}"
        if word in GONE_MESSAGE:
            return MessageGone(word)
        if word in THROTTLED or status == 429:  # noqa: PLR2004 - HTTP's own number
            after = _seconds(getattr(answer, "headers", None) or {})
            return self._error(Outcome.RETRY, DeliveryReason.THROTTLED, detail, scope=Scope.SINK, retry_after=after)
        if reason := _OF_SINK.get(word):
            return self._error(Outcome.REJECTED, reason, detail, scope=Scope.SINK)
        if reason := _OF_EVENT.get(word):
            return self._error(Outcome.REJECTED, reason, detail)
        if word in _UNCERTAIN or (not word and status == 200):  # noqa: PLR2004 - likewise
            return self._error(Outcome.UNCERTAIN, DeliveryReason.SERVER if word else DeliveryReason.UNREADABLE, detail)
        return self._error(Outcome.RETRY, DeliveryReason.SERVER, detail)

    def _error(self, outcome: Outcome, reason: DeliveryReason, detail: str, **more: Any) -> DeliveryError:
        return DeliveryError(outcome, reason, self._mask(one_line(detail), 300), **more)


def _seconds(headers: Mapping[str, Any]) -> float:
    """What ``Retry-After`` asks for; Slack gives whole seconds. Half a minute where it says nothing."""
    for name, value in headers.items():
        if name.lower() == "retry-after":
            text = str(value[0] if isinstance(value, list) else value)
            if text.isdecimal():
                return min(float(text), 3600.0)
    return 30.0
