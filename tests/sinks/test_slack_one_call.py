"""One call to Slack is one request, whatever becomes of the answer: retries are the engine's, or nobody could count repeats."""

import pytest
from aiohttp import web
from sink_receivers import hook

from notifier.domain.errors import DeliveryError, Outcome
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.outbound import open_session
from notifier.sinks.contract import Surroundings
from notifier.sinks.slack import Settings, Sink


async def _takes_it_and_breaks_off(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def test_a_message_whose_answer_was_lost_is_not_posted_again_behind_our_back() -> None:
    async with hook(_takes_it_and_breaks_off) as receiver, open_session(total=60.0) as session:
        base = receiver.url.removesuffix("hook")
        settings = Settings.model_validate({"token": "xoxb-1-fake", "channel": "C0123456789", "base_url": base})
        async with Sink(settings, Surroundings("team", session)) as sink:
            with pytest.raises(DeliveryError) as caught:
                await sink.send(sample(Kind.TASK_FAILED, mark=None), None)
    assert caught.value.outcome is Outcome.UNCERTAIN
    assert [post.path for post in receiver.posts] == ["/chat.postMessage"]
