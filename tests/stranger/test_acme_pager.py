import asyncio
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from acme_pager.sink import Settings, Sink
from notifier.sinks.conformance import Behaviour, Received, Receiver, SinkConformance


class TestAcmePager(SinkConformance):
    sink_class = Sink
    settings_class = Settings
    secrets = ("a-key-of-acme",)

    @asynccontextmanager
    async def receiver(self):
        async def answer(request: web.Request) -> web.Response:
            page = await request.json()
            receiver.offered += 1
            if receiver.behaviour is Behaviour.FAILS:
                key = request.headers["Authorization"].removeprefix("Bearer ")
                return web.Response(status=503, text=f"down, dear {key}")  # some receivers do repeat it
            if receiver.behaviour is Behaviour.HANGS:
                await asyncio.Event().wait()
            if receiver.behaviour is Behaviour.DROPS:
                request.transport.abort()
                return web.Response()
            receiver.received.append(Received(page["text"], page["once"]))
            return web.Response(status=201)

        app = web.Application()
        app.router.add_post("/pages", answer)
        server = TestServer(app, port=0)
        await server.start_server(shutdown_timeout=0.1, access_log=None)
        receiver = Receiver({"key": "a-key-of-acme", "base_url": str(server.make_url("/"))})
        yield receiver
        await server.close()
