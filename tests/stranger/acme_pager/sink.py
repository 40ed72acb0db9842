"""Pages through Acme's API."""

from types import TracebackType
from typing import Self

from pydantic import SecretStr
from yarl import URL

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.plain_text import json_line, one_line
from notifier.sinks.contract import SinkSettings, Surroundings
from notifier.sinks.posting import Mask, post


class Settings(SinkSettings):
    key: SecretStr
    base_url: str = "https://api.acme.example"


class Sink:
    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._session = surroundings.session
        self._url = URL(settings.base_url) / "pages"
        self._key = settings.key.get_secret_value()
        self._mask = Mask([self._key])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    async def send(self, message: Message, last: Receipt | None) -> Receipt:
        mark = f"[{message.mark}] " if message.mark else ""
        page = {
            "once": message.id,
            "level": message.event.severity.word,
            "text": mark + one_line(f"{message.title}: {message.summary}", 500),
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        answer = await post(self._session, self._url, json_line(page).encode(), headers, mask=self._mask)
        if answer.status == 201:
            return Receipt({"once": message.id})
        if answer.status in {401, 403}:
            raise DeliveryError(Outcome.REJECTED, DeliveryReason.REFUSED, answer.words, scope=Scope.SINK)
        if answer.status == 429:
            wait = answer.retry_after
            raise DeliveryError(Outcome.RETRY, DeliveryReason.THROTTLED, answer.words, scope=Scope.SINK, retry_after=wait)
        if 400 <= answer.status < 500:
            raise DeliveryError(Outcome.REJECTED, DeliveryReason.INVALID, answer.words)
        raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, answer.words)
