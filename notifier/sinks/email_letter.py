"""A message as a mail: its headers, its text and its HTML. Pure: the same message gives the same bytes.

Threads: every mail of a task names the task's root in ``References``. The root is never sent; it is made of the task's identity,
so that mails of several days find each other, whichever of them arrives first (mail programs thread by a parent they do not
have). A subject that changes would split the thread in Gmail, so it says what the task is and not what is new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from notifier.domain.links import task_page
from notifier.domain.message import Message, Receipt
from notifier.domain.model import FAILURES, TERMINAL, Event, Severity, Status
from notifier.domain.plain_text import one_line
from notifier.domain.words import Words
from notifier.sinks.email_headers import LINE, folded, people
from notifier.sinks.email_report import bring, cid

LONGEST_ID = 300
"""Characters. An id is not folded, and two stand in one line; the limit is 998 (RFC 5322)."""

WHOLE = SMTP.clone(max_line_length=900)
"""Leaves the headers as they are."""

LONGEST_SUBJECT = 200
LONGEST_VALUE = 1000
MOST_NODES = 40
MOST_EARLIER = 50

_SYMBOLS = {
    Severity.DEBUG: ("·", "#5b6775"),
    Severity.INFO: ("●", "#1f7a3d"),
    Severity.WARNING: ("▲", "#a15c00"),
    Severity.ERROR: ("✖", "#c02626"),
    Severity.CRITICAL: ("‼", "#a30d0d"),
}
"""A symbol and a colour; the word stands beside them."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What is the same in all mails of a sink."""

    name: str
    address: Address
    recipients: tuple[Address, ...]
    domain: str
    subject_prefix: str
    threads: bool
    words: Words
    page: str | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is ready: ``content`` goes over the wire, ``id`` is its Message-ID, ``subject`` what its thread is called."""

    id: str
    subject: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a table: a node, or an earlier event."""

    symbol: str
    colour: str
    name: str = ""
    state: str = ""
    moment: str = ""
    text: str = ""


def letter(message: Message, last: Receipt | None, sender: Sender) -> Letter:
    """The mail for a message; ``last`` is the receipt of the thread's mail before it."""
    identity = f"<{_token(message.id)}@{sender.domain}>"
    subject = _subject(message, last, sender)
    shown = f"{sender.subject_prefix} {sender.words.mark(message)}{subject}".strip()
    headers = {
        "From": people([sender.address]),
        "To": people(sender.recipients),
        "Subject": folded("Subject", one_line(shown, LONGEST_SUBJECT).strip()),
        "Date": format_datetime(_dated(message).astimezone(UTC)),
        "Message-ID": identity,
    }
    if sender.threads:
        root = f"<{_digest(f'{message.mark}/{message.event.thread}')}.task@{sender.domain}>"
        before = _previous(last)
        headers |= {"In-Reply-To": root, "References": f"{root} {before}" if before else root}
    mail = EmailMessage(policy=SMTP.clone(max_line_length=LINE))
    for name, value in {**headers, **_marks(message, sender)}.items():
        mail.set_raw(name, value)  # As it stands: what looks encoded in the text of a stranger must not be decoded.
    mail.set_content(_filled("email.txt", message, sender), cte="quoted-printable")
    mail.add_alternative(_filled("email.html", message, sender), subtype="html", cte="quoted-printable")
    mail.set_boundary(f"=_{_digest(message.id)}")  # no quoted-printable text holds "=_"
    if message.report is not None:
        bring(mail, message.report, _digest(message.id))
    return Letter(identity, subject, mail.as_bytes(policy=WHOLE))


def _dated(message: Message) -> datetime:
    """The same at every try. A reminder, or a test, under the time of its event would be sorted in among the old mails."""
    return (message.created_at if message.reminder or message.mark else None) or message.event.observed_at


def _marks(message: Message, sender: Sender) -> Mapping[str, str]:
    """Headers for machines: no autoreply (RFC 3834), one list a cluster (RFC 2919), and what a filter may ask for.

    No ``List-Unsubscribe``: there is nothing behind it but the operator's configuration.
    """
    event = message.event
    urgent = event.severity >= Severity.CRITICAL and message.mark is None
    ids = {"List-Id": f"<{_token(event.cluster.id)}.css-upgrades.{sender.domain}>"}
    found = {
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Importance": "high" if urgent else None,
        "X-CSS-Upgrade-Kind": event.kind.value,
        "X-CSS-Upgrade-Severity": event.severity.word,
        "X-CSS-Upgrade-Cluster": event.cluster.name,
        "X-CSS-Upgrade-Project": event.cluster.project,
        "X-CSS-Upgrade-Event": event.id,
        "X-CSS-Upgrade-Mark": message.mark,
    }
    return ids | {name: folded(name, one_line(value, LONGEST_SUBJECT).strip()) for name, value in found.items() if value}


def _subject(message: Message, last: Receipt | None, sender: Sender) -> str:
    """What the thread is called: as its first mail called it, though the cluster may have another name by now."""
    if not sender.threads:
        return one_line(message.title, LONGEST_SUBJECT)
    called = last.fields.get("subject") if last else None
    if called:
        return one_line(called, LONGEST_SUBJECT)
    event, words = message.event, sender.words
    if event.sink is not None:
        about = words.phrases.letter.sink.format(sink=event.sink.name)
    else:
        about = words.task(event.task) if event.task else words.phrases.letter.watching
    return one_line(words.phrases.title.format(cluster=event.cluster.name, headline=about), LONGEST_SUBJECT)


def _previous(last: Receipt | None) -> str | None:
    """The Message-ID of the mail before, if the receipt is one of ours."""
    found = last.fields.get("message-id", "") if last else ""
    sound = found.startswith("<") and found.endswith(">") and found.isascii() and found.isprintable() and " " not in found
    return found if sound and len(found) < LONGEST_ID else None


def _filled(template: str, message: Message, sender: Sender) -> str:
    event, words = message.event, sender.words
    phrases = words.phrases
    symbol, colour = _SYMBOLS[event.severity]
    nodes = _nodes(event, words)
    percent = None if event.progress is None else min(max(round(event.progress * 100), 0), 100)
    earlier = [_earlier(before, words) for before in message.earlier[-MOST_EARLIER:]]
    return _template(template).render(
        say=phrases,
        pair=words.pair,
        language="zh-CN" if words.language == "zh" else "en",
        headline=_safe(words.marked(message)),
        summary=_safe(message.summary),
        severity=_begin(words.severity(event.severity)),
        symbol=symbol,
        colour=colour,
        happened=words.moment(event.time),
        # That it may be a repeat is left out: a repeat must be the same mail.
        remarks=[_safe(said) for said in (words.no_news(message), *words.remarks(replace(message, may_repeat=False))) if said],
        nodes=nodes,
        percent=percent,
        tally=_tally(event, percent, words) if nodes else "",
        eta=_safe(words.forecast(event.eta)) if event.eta else "",
        before=words.before(message),
        earlier=earlier,
        earlier_left=phrases.more_told.format(count=len(message.earlier) - MOST_EARLIER),
        more=len(message.earlier) > MOST_EARLIER,
        picture=cid(_digest(message.id)) if message.report and message.report.png else None,
        picture_words=_safe(message.report.title) if message.report else "",
        facts=[(_safe(label), _safe(value)) for label, value in message.facts],
        page=None if sender.page is None else task_page(sender.page, event, message.mark),
        attached=phrases.letter.attached if message.report else "",
        footer=_safe(
            phrases.letter.footer.format(sender="notifier" + phrases.around.aside.format(text=sender.name), event=event.id)
        ),
    )


def _nodes(event: Event, words: Words) -> list[_Row]:
    """Where each node stands. The API names nodes only once their turn has come; the others are counted."""
    if event.task is None or not event.task.nodes.total:
        return []
    around, nodes = words.phrases.around, event.task.nodes
    done, working = nodes.completed, tuple(name for name in nodes.in_flight if name not in nodes.completed)
    rows = [_Row("✓", "#1f7a3d", _safe(name), around.done) for name in done[-MOST_NODES:]]
    if len(done) > MOST_NODES:
        rows.insert(0, _Row("✓", "#1f7a3d", around.more_nodes.format(count=len(done) - MOST_NODES), around.done))
    symbol, colour, state = _at_work(event.task.status, words)
    rows += [_Row(symbol, colour, _safe(name), _safe(_with_stage(state, event, name, words))) for name in working[:MOST_NODES]]
    if len(working) > MOST_NODES:
        rows.append(_Row(symbol, colour, around.more_nodes.format(count=len(working) - MOST_NODES), state))
    if (left := nodes.total - len(done) - len(working)) > 0:
        rows.append(_Row("○", "#5b6775", around.more_nodes.format(count=left), around.to_come))
    return rows


def _at_work(status: str, words: Words) -> tuple[str, str, str]:
    """Symbol, colour and state of the nodes in flight: what a task fails with in flight has failed."""
    around = words.phrases.around
    if status in FAILURES:
        return "✖", "#c02626", around.failed
    return "▶", "#1b5fb8", around.halted if status in TERMINAL else around.working


def _with_stage(state: str, event: Event, node: str, words: Words) -> str:
    """The state of a node, with the stage that it is in or has failed at, where that is known."""
    stage = event.stage if event.node == node else None
    if stage is None and event.task is not None and event.task.current_node == node:
        stage = next((each for each in event.task.stages if each.status in {Status.FAILED, Status.RUNNING}), None)
    if stage is None:
        return state
    said = words.pair(state, words.stage(stage.name))
    told_already = stage.status == Status.RUNNING or (stage.status == Status.FAILED and state == words.phrases.around.failed)
    return said if told_already else said + words.phrases.around.aside.format(text=words.status(stage.status))


def _tally(event: Event, percent: int | None, words: Words) -> str:
    nodes = event.task.nodes if event.task else None
    counted = words.phrases.completed.format(done=len(nodes.completed), total=nodes.total) if nodes else ""
    return counted if percent is None else f"{counted} · {percent}%"


def _earlier(event: Event, words: Words) -> _Row:
    symbol, colour = _SYMBOLS[event.severity]
    return _Row(symbol, colour, moment=words.moment(event.time), text=_safe(words.summary(event)))


def _safe(text: str) -> str:
    return one_line(text, LONGEST_VALUE)


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _token(text: str) -> str:
    """An id as it may stand in a Message-ID: itself where it is plain, else its digest."""
    plain = text.isascii() and text.replace("-", "").isalnum() and len(text) <= 64  # noqa: PLR2004 - a UUID has 36
    return text if plain else _digest(text)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@cache
def _template(name: str) -> Template:
    loader = PackageLoader("notifier.sinks")
    settings = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True, "undefined": StrictUndefined}
    return Environment(loader=loader, autoescape=select_autoescape(["html"]), **settings).get_template(name)  # type: ignore[arg-type]  # passed through


def addresses(recipients: Sequence[Address]) -> tuple[str, ...]:
    """The bare addresses, as the envelope has them."""
    return tuple(recipient.addr_spec for recipient in recipients)
