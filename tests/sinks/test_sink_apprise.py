"""The bridge: what its yes and no mean, what it may not reach, and that its URL is never shown."""

import asyncio
import html
import inspect
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import apprise
import pytest
import requests
from aiohttp import web
from pydantic import ValidationError
from sink_receivers import Hook, hook, raw_hook
from time_is_up import Patience

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.holding import Hold, Holding, Merge
from notifier.domain.model import Kind
from notifier.domain.samples import sample, samples
from notifier.domain.words import Words
from notifier.outbound import open_session
from notifier.sinks import apprise as bridged
from notifier.sinks.apprise import FILES, HOSTED, LOCAL, MOST_EARLIER, MOST_HUNG, Settings, Sink, text_of
from notifier.sinks.conformance import HOSTILE, hostile
from notifier.sinks.contract import Patient, Surroundings

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

NEWS = sample(Kind.TASK_FAILED, mark=None)
ROOM = 30_000
SECRETIVE = "discord://1234567890/canary" + "x" * 60


@asynccontextmanager
async def bridge(url: str, *, seconds: float = 5.0, words: Words | None = None) -> AsyncIterator[Sink]:
    settings = Settings.model_validate({"url": url, "accept_risk": True})
    async with open_session() as session, Sink(settings, Surroundings("bridge", session, seconds, words or Words())) as sink:
        yield sink


def address(found: Hook | str, query: str = "") -> str:
    url = found if isinstance(found, str) else found.url
    return url.replace("http://", "json://") + "/canary-in-the-path" + query


async def failure(sink: Sink) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await sink.send(NEWS, None)
    return caught.value


async def test_a_yes_is_a_receipt_that_claims_little() -> None:
    async with hook() as found, bridge(address(found)) as sink:
        receipt = await sink.send(sample(Kind.TASK_FAILED), None)
        body = found.posts[0].body.decode()
    assert receipt.fields == {"service": "JSON"}
    assert "[TEST] sample-cluster: upgrade FAILED" in body
    assert f"id {NEWS.id}" in body
    assert '"type": "failure"' in body


@pytest.mark.parametrize(
    ("kind", "said"), [(Kind.TASK_SUCCEEDED, "success"), (Kind.TASK_STALLED, "warning"), (Kind.TASK_STARTED, "info")]
)
async def test_how_much_it_matters_is_said_in_apprises_words(kind: Kind, said: str) -> None:
    async with hook() as found, bridge(address(found)) as sink:
        await sink.send(sample(kind), None)
        assert f'"type": "{said}"' in found.posts[0].body.decode()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
async def test_a_no_may_mean_anything(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with hook(answer) as found, bridge(address(found)) as sink:
        error = await failure(sink)
        assert len(found.posts) == 1, "a redirect is not followed and nothing is tried twice"
    assert (error.outcome, error.reason, error.scope) == (Outcome.UNCERTAIN, DeliveryReason.UNREADABLE, Scope.EVENT)
    assert error.detail == "Apprise says only that JSON failed: nothing, or a part, may have arrived"


async def test_a_plug_in_that_raises_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hook() as found, bridge(address(found)) as sink:
        monkeypatch.setattr(sink._service, "notify", lambda **_: 1 / 0)
        assert (await failure(sink)).outcome is Outcome.UNCERTAIN


async def test_a_service_that_never_answers_is_a_no() -> None:
    async with raw_hook(hang=True) as url, bridge(address(url), seconds=0.5) as sink:
        began = time.monotonic()
        assert (await failure(sink)).outcome is Outcome.UNCERTAIN
        assert time.monotonic() - began < 60


async def test_a_plug_in_that_knows_no_deadline_is_left_and_after_some_not_called_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patience, loop, release = Patience(monkeypatch, bridged), asyncio.get_running_loop(), threading.Event()

    def hang(**_: object) -> bool:
        if not release.is_set():
            loop.call_soon_threadsafe(patience.is_over)
        return release.wait()

    async with bridge(address("http://127.0.0.1:9")) as sink:
        assert sink._service is not None
        sink._service.notify = hang  # type: ignore[method-assign,assignment]  # a plug-in that knows no deadline
        for _ in range(MOST_HUNG):
            error = await failure(sink)
            assert (error.outcome, error.reason) == (Outcome.UNCERTAIN, DeliveryReason.TIMEOUT)
        error = await failure(sink)
        assert (error.outcome, error.scope) == (Outcome.RETRY, Scope.SINK)
        assert error.detail == f"{MOST_HUNG} earlier calls to JSON still hang"
        hung = list(sink._hung)
        release.set()
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in hung))
        assert (await sink.send(NEWS, None)).fields == {"service": "JSON"}


async def test_nothing_of_the_url_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=500, text=str(request.url))

    async with hook(answer) as found:
        url = address(found, "?+X-Token=canary-in-a-header").replace("json://", "json://user:canary-password@")
        async with bridge(url) as sink:
            error = await failure(sink)
        assert found.posts[0].headers["X-Token"] == "canary-in-a-header"
    shown = [caplog.text, repr(error), repr(sink), repr(Settings.model_validate({"url": url, "accept_risk": True}))]
    assert "canary" not in "\n".join(shown)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "acts on this machine"),
        ("config://x", "acts on this machine"),
        ("include://x", "acts on this machine"),
        ("dbus://", "acts on this machine"),
        ("SYSLOG://", "acts on this machine"),
        ("windows://", "acts on this machine"),
        ("nothing", "is no Apprise URL"),
        ("json://a.example json://b.example", "without spaces"),
        ("json://a.example\n", "without spaces"),
        ("json://[::1", "is no URL"),
        ("json://a.example/?verify=no", "must not say verify"),
        ("json://a.example/?redirect=yes", "must not say redirect"),
        ("json://a.example/?Retry=9&wait=9", "must not say retry"),
        ("json://a.example/?x=1;verify=no", "must not say verify"),
        ("json://a.example/#?%76erify+=no", "must not say verify"),
        (f"{SECRETIVE}/?template=/etc/passwd", "must not say template"),
        (f"{SECRETIVE}/?template=file:///etc/passwd", "must not say template"),
        (f"{SECRETIVE}/?tts=no;TEMPLATE=/etc/passwd", "must not say template"),
        (f"{SECRETIVE}/#?%74emplate=/etc/passwd", "must not say template"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=http://127.0.0.1:9/", "must not say template"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/?template=/etc/passwd", "must not say template"),
        ("fcm://canary/device/?mode=oauth2&keyfile=/etc/passwd", "must not say keyfile"),
        ("vapid://user@example.com/?subfile=/etc/passwd", "must not say subfile"),
        ("mailto://u:canary@example.com?pgp=yes&pgppub=/etc/passwd", "must not say pgppub"),
        ("json://169.254.169.254/latest", "metadata service"),
        ("jsons://user:canary@[fd00:ec2::254]/", "metadata service"),
        ("json://2852039166/latest", "metadata service"),
        ("json://0xa9.0xfe.43518/latest", "metadata service"),
        ("json://[::ffff:169.254.169.254]/latest", "metadata service"),
        ("mailto://user:canary@example.com?smtp=169.254.169.254", "metadata service"),
        ("json://canary.example", "say accept_risk: true"),
        ("ntfy://canary-topic", "say accept_risk: true"),
        (f"zulip://bot@org.canary.internal/{'a' * 32}/general", "say accept_risk: true"),
        ("nosuchthing://canary", "say accept_risk: true"),
        ("slack://canary", "Apprise knows no such service, or the URL lacks something"),
    ],
)
def test_urls_that_are_refused(url: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"url": url})
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "syslog://",
        "json://169.254.169.254",
        "json://a.example/?verify=no",
        "mailto://u:p@example.com?pgpprv=/etc/passwd",
        f"{SECRETIVE}/?template=/etc/passwd",
        "nosuch://x",
    ],
)
def test_accepting_the_risk_does_not_open_everything(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"url": url, "accept_risk": True})


def test_what_has_a_host_of_its_own_needs_no_accepting() -> None:
    assert Settings.model_validate({"url": "dingtalk://ABCDEFGH1234567890"}).accept_risk is False


def test_the_lists_name_what_apprise_knows() -> None:
    known = {}
    for plugin in apprise.Apprise().details(show_disabled=True)["schemas"]:
        for scheme in [*(plugin["protocols"] or ()), *(plugin["secure_protocols"] or ())]:
            known[scheme] = plugin
    assert set(known) >= HOSTED
    assert set(known) & LOCAL >= {"syslog", "dbus", "windows", "macosx"}
    for scheme in HOSTED:
        tokens = set(known[scheme]["details"]["tokens"])
        assert not {token for token in tokens if "host" in token or token in {"url", "server", "port"}}, scheme
        module = sys.modules[apprise.plugins.N_MGR[scheme].__module__]
        # What Apprise calls a token may have a host behind it.
        assert not re.search(r"https?://\S*\{\w*(host|server|domain)", inspect.getsource(module)), scheme


def test_a_template_that_is_an_id_may_be_named() -> None:
    Settings.model_validate({"url": "sendgrid://abcd123:from@example.com/to@example.com?template=d-0123"})


def test_whatever_apprise_calls_a_file_or_a_path_is_known_here() -> None:
    harmless = {
        "attach-as",  # the name of a form's field
        "filename",  # of an attachment that we never send
        "fullpath",  # below the host of the service's URL
        "file_url",  # asked by the service, from where it is
        "path",  # below the host of the service's URL
        "prefix",
        "profile",
        "url_prefix",
        "workflow_path",
    }
    found = set()
    for plugin in apprise.Apprise().details(show_disabled=True)["schemas"]:
        for name, about in {**plugin["details"]["args"], **plugin["details"]["tokens"]}.items():
            called = f"{name} {about.get('name')} {about.get('map_to')}".lower()
            if about.get("type") == "string" and ("path" in called or "file" in called):
                found.add(name)
    assert found - harmless == FILES | {"template"}


def test_the_text_says_what_is_to_be_known_of_the_telling() -> None:
    earlier = tuple(message.event for message in samples()[:2]) * MOST_EARLIER
    message = replace(NEWS, late_by=timedelta(hours=3), skipped=2, may_repeat=True, reminder=4, earlier=earlier)
    lines = text_of(message, Words(), ROOM).splitlines()
    assert lines[1:6] == [
        "Delivered 3 h late.",
        "2 earlier messages never arrived.",
        "This may be a repeat.",
        "Reminder 4: this still lasts.",
        f"Before this ({2 * MOST_EARLIER}):",
    ]
    assert lines[6] == f"… and {MOST_EARLIER} more"
    assert len(lines) == 7 + MOST_EARLIER + 2
    assert "延迟 3 小时送达。" in text_of(message, Words(language="zh"), ROOM)
    assert text_of(NEWS, Words(), ROOM).splitlines()[1:] == ["2026-03-01 06:35:00 UTC", f"id {NEWS.id}"]


@pytest.mark.parametrize("room", [140, 300, 1000, 2000])
def test_the_text_is_no_longer_than_the_service_takes(room: int) -> None:
    earlier = tuple(message.event for message in samples()) * 3
    message = replace(NEWS, summary="s" * 900, late_by=timedelta(hours=3), earlier=earlier)
    text = text_of(message, Words(), room)
    assert len(text) <= room
    assert text.startswith("s")
    assert text.splitlines()[-1] == f"id {NEWS.id}"
    assert any(line.startswith(f"Before this ({len(earlier)})") for line in text.splitlines())


async def test_what_is_old_may_be_told_in_one_message_and_news_does_not_wait() -> None:
    async with bridge(address("http://127.0.0.1:9")) as sink:
        assert isinstance(sink, Patient)
        holding, now = Holding(sink.patience), NEWS.event.observed_at
        assert holding.hold(NEWS.event, now) == Hold(now, Merge.NEVER)  # a failure is never merged
        assert holding.hold(sample(Kind.NODE_COMPLETED).event, now) == Hold(now, Merge.WHEN_LATE)


SERVICES = {
    "discord": (SECRETIVE, 2000),
    "slack": ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", 35_000),
    "tgram": ("tgram://123456789:abcdefg_hijklmnop/12315544", 4096),
    "dingtalk": ("dingtalk://ABCDEFGH1234567890", 20_000),
    "feishu": ("feishu://ABCDEFGH1234567890abcdefgh", 20_000),
    "wecombot": ("wecombot://ABCDEFGH-1234-5678-90ab-cdefghijklmn", 2048),
}
CALLS = re.compile(r"@(everyone|here|all|channel|U1|jane)|<[!@#]|<at |<users/|<https?:")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("text", [*HOSTILE.values(), "@everyone @here <@&1> <users/all> <at user_id='all'> @jane"])
async def test_what_strangers_wrote_calls_nobody_and_breaks_no_service(
    service: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, longest = SERVICES[service]
    bodies = answered(service, monkeypatch)
    async with bridge(url) as sink:
        for count, message in enumerate(hostile(text), start=1):
            earlier = (message.event,) * (2 * MOST_EARLIER)
            await sink.send(replace(message, earlier=earlier), None)
            assert len(bodies) == count
    for body in bodies:
        said = json.loads(body)
        written = "\n".join(texts(said))
        assert not CALLS.search(html.unescape(written)), written
        assert max(len(html.unescape(each)) for each in texts(said)) <= longest


# open.dingtalk.com and open.feishu.cn, custom bots: 20,000 bytes and 20 KB a request; developer.work.weixin.qq.com, 91770: 2,048
# bytes a text.
@pytest.mark.parametrize(
    ("service", "request_bytes", "text_bytes"), [("dingtalk", 20_000, 0), ("feishu", 20_000, 0), ("wecombot", 0, 2048)]
)
async def test_a_chinese_text_is_no_longer_than_a_service_takes_that_counts_bytes(
    service: str, request_bytes: int, text_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Words(language="zh")
    bodies = answered(service, monkeypatch)
    async with bridge(SERVICES[service][0], words=words) as sink:
        for message in hostile("节点" * 600):
            await sink.send(replace(message, earlier=(message.event,) * MOST_EARLIER), None)
    for body in bodies:
        assert len(body.encode()) <= request_bytes or not request_bytes
        assert max(len(each.encode()) for each in texts(json.loads(body))) <= text_bytes or not text_bytes
        assert words.phrases.around.identity.format(id="") in "\n".join(texts(json.loads(body))), "what tells a repeat"


def answered(service: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The bodies that are sent from now on; all of them are answered with yes."""
    bodies = list[str]()

    def answer(_: requests.Session, request: requests.PreparedRequest, **__: object) -> requests.Response:
        assert isinstance(request.body, str | bytes)
        bodies.append(request.body if isinstance(request.body, str) else request.body.decode())
        response = requests.Response()
        response.status_code = 200
        response._content = b"ok" if service == "slack" else b'{"ok": true, "errcode": 0, "code": 0}'
        return response

    monkeypatch.setattr(requests.Session, "send", answer)
    monkeypatch.setattr(apprise.NotifyBase, "throttle", lambda *_, **__: None)
    return bodies


def texts(said: object) -> list[str]:
    """Every text in what was sent."""
    if isinstance(said, dict):
        return [text for value in said.values() for text in texts(value)]
    if isinstance(said, list):
        return [text for value in said for text in texts(value)]
    return [said] if isinstance(said, str) else []


async def test_a_sink_that_was_not_opened_says_so() -> None:
    async with open_session() as session:
        sink = Sink(Settings.model_validate({"url": "dingtalk://ABCDEFGH1234567890"}), Surroundings("bridge", session))
        with pytest.raises(RuntimeError, match="not open"):
            await sink.send(NEWS, None)


def test_without_the_extra_the_error_names_it() -> None:
    asked = (
        "import sys; sys.modules['apprise'] = None\n"
        "from notifier.sinks.registry import load, UnknownSinkType\n"
        "try: load('apprise')\nexcept UnknownSinkType as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout
    assert "needs an extra: pip install 'css-upgrade-notifier[apprise]'" in said
