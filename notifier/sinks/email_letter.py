"""A message as a mail: its headers, its text and its HTML. Pure: the same message gives the same bytes.

Threads: every mail of a task names the task's root in ``References``. The root is never sent; it is made of the task's identity,
so that mails of several days find each other, whichever of them arrives first (mail programs thread by a parent they do not
have). A subject that changes would split the thread in Gmail, so it says what the task is and not what is new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache, partial
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from notifier.domain.message import Message, Receipt
from notifier.domain.model import TERMINAL, Action, Event, Severity
from notifier.domain.plain_text import one_line
from notifier.domain.words import Words
from notifier.sinks.email_report import bring, cid
from notifier.sinks.email_words import phrase

HEADER_LINE = 900
"""Characters. A header that is folded inside an id would be encoded, and would thread no more; the limit is 998 (RFC 5322)."""

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
    shown = f"{sender.subject_prefix} {f'[{message.mark}] ' if message.mark else ''}{subject}".strip()
    mail = EmailMessage(policy=SMTP.clone(max_line_length=HEADER_LINE))
    mail["From"] = sender.address
    mail["To"] = sender.recipients
    mail["Subject"] = one_line(shown, LONGEST_SUBJECT)
    mail["Date"] = format_datetime(message.event.observed_at.astimezone(UTC))
    mail["Message-ID"] = identity
    if sender.threads:
        root = f"<{_digest(f'{message.mark}/{message.event.thread}')}.task@{sender.domain}>"
        before = _previous(last)
        mail["In-Reply-To"] = root
        mail["References"] = f"{root} {before}" if before else root
    for name, value in _marks(message, sender).items():
        mail[name] = value
    mail.set_content(_filled("email.txt", message, sender), cte="quoted-printable")
    mail.add_alternative(_filled("email.html", message, sender), subtype="html", cte="quoted-printable")
    mail.set_boundary(f"=_{_digest(message.id)}")  # no quoted-printable text holds "=_"
    if message.report is not None:
        bring(mail, message.report, _digest(message.id))
    return Letter(identity, subject, mail.as_bytes())


def _marks(message: Message, sender: Sender) -> Mapping[str, str]:
    """Headers for machines: no autoreply (RFC 3834), one list a cluster (RFC 2919), and what a filter may ask for.

    No ``List-Unsubscribe``: there is nothing behind it but the operator's configuration.
    """
    event = message.event
    urgent = event.severity >= Severity.CRITICAL and message.mark is None
    found = {
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "List-Id": f"<{_token(event.cluster.id)}.css-upgrades.{sender.domain}>",
        "Importance": "high" if urgent else None,
        "X-CSS-Upgrade-Kind": event.kind.value,
        "X-CSS-Upgrade-Severity": event.severity.word,
        "X-CSS-Upgrade-Cluster": event.cluster.name,
        "X-CSS-Upgrade-Project": event.cluster.project,
        "X-CSS-Upgrade-Event": event.id,
        "X-CSS-Upgrade-Mark": message.mark,
    }
    return {name: one_line(value, LONGEST_SUBJECT).strip() for name, value in found.items() if value}


def _subject(message: Message, last: Receipt | None, sender: Sender) -> str:
    """What the thread is called: as its first mail called it, though the cluster may have another name by now."""
    if not sender.threads:
        return one_line(message.title, LONGEST_SUBJECT)
    called = last.fields.get("subject") if last else None
    if called:
        return one_line(called, LONGEST_SUBJECT)
    event, say = message.event, partial(phrase, sender.words.language)
    if event.sink is not None:
        work = say("sink", sink=event.sink.name)
    elif event.task is None:
        work = say("watching")
    else:
        key = "migration" if event.task.action is Action.AZ_MIGRATION else "upgrade"
        work = say(f"{key} to", target=event.task.target) if event.task.target else say(key)
    return one_line(say("subject", cluster=event.cluster.name, work=work), LONGEST_SUBJECT)


def _previous(last: Receipt | None) -> str | None:
    """The Message-ID of the mail before, if the receipt is one of ours."""
    found = last.fields.get("message-id", "") if last else ""
    sound = found.startswith("<") and found.endswith(">") and found.isascii() and found.isprintable() and " " not in found
    return found if sound and len(found) < HEADER_LINE // 3 else None


def _filled(template: str, message: Message, sender: Sender) -> str:
    event, words, language = message.event, sender.words, sender.words.language
    say = partial(phrase, language)
    symbol, colour = _SYMBOLS[event.severity]
    nodes = _nodes(event, words)
    percent = None if event.progress is None else min(max(round(event.progress * 100), 0), 100)
    told = [message.title, message.summary]
    earlier = [_earlier(before, words) for before in message.earlier[-MOST_EARLIER:]]
    return _template(template).render(
        say=say,
        language="zh-CN" if language == "zh" else "en",
        headline=_safe(f"[{message.mark}] {told[0]}" if message.mark else told[0]),
        summary=_safe(told[1]),
        severity=say(event.severity.word),
        symbol=symbol,
        colour=colour,
        happened=words.moment(event.time),
        remarks=_remarks(message, words),
        nodes=nodes,
        percent=percent,
        tally=_tally(event, percent, say) if nodes else "",
        eta=_eta(event, words),
        earlier=earlier,
        earlier_count=len(message.earlier),
        earlier_left=len(message.earlier) - len(earlier),
        picture=cid(_digest(message.id)) if message.report and message.report.png else None,
        picture_words=_safe(message.report.title) if message.report else "",
        facts=[(_safe(label), _safe(value)) for label, value in message.facts],
        page=sender.page,
        footer=_safe(say("footer", sender=f"notifier ({sender.name})", event=event.id)),
    )


def _remarks(message: Message, words: Words) -> list[str]:
    say = partial(phrase, words.language)
    late_by = message.late_by or timedelta()
    found = [
        (message.mark, say("no news", mark=message.mark)),
        (message.reminder, say("reminder", count=message.reminder)),
        (late_by, say("late", span=words.span(late_by))),
        (message.skipped, say("skipped", count=message.skipped)),
    ]
    return [_safe(text) for said, text in found if said]


def _nodes(event: Event, words: Words) -> list[_Row]:
    """Where each node stands. The API names nodes only once their turn has come; the others are counted."""
    if event.task is None or not event.task.nodes.total:
        return []
    say, nodes = partial(phrase, words.language), event.task.nodes
    over = event.task.status in TERMINAL
    failed = event.severity >= Severity.ERROR
    done, working = nodes.completed, tuple(name for name in nodes.in_flight if name not in nodes.completed)
    rows = [_Row("✓", "#1f7a3d", _safe(name), say("done")) for name in done[-MOST_NODES:]]
    if len(done) > MOST_NODES:
        rows.insert(0, _Row("✓", "#1f7a3d", _several(len(done) - MOST_NODES, say), say("done")))
    symbol, colour = ("✖", "#c02626") if failed else ("▶", "#1b5fb8")
    for name in working[:MOST_NODES]:
        stage = ""
        if event.stage and event.node == name:
            stage = f": {words.stage(event.stage.name)} ({words.status(event.stage.status)})"
        rows.append(_Row(symbol, colour, _safe(name), _safe(say("halted" if over else "working") + stage)))
    if len(working) > MOST_NODES:
        rows.append(_Row(symbol, colour, _several(len(working) - MOST_NODES, say), say("working")))
    if (left := nodes.total - len(done) - len(working)) > 0:
        rows.append(_Row("○", "#5b6775", _several(left, say), say("to come")))
    return rows


def _several(count: int, say: "partial[str]") -> str:
    return say("one") if count == 1 else say("several", count=count)


def _tally(event: Event, percent: int | None, say: "partial[str]") -> str:
    nodes = event.task.nodes if event.task else None
    counted = say("of nodes", done=len(nodes.completed), total=nodes.total) if nodes else ""
    return counted if percent is None else f"{counted} · {say('percent', percent=percent)}"


def _eta(event: Event, words: Words) -> str:
    if event.eta is None:
        return ""
    bounds = {"earliest": words.moment(event.eta.earliest), "latest": words.moment(event.eta.latest)}
    return _safe(phrase(words.language, "eta", **bounds, basis=words.basis(event.eta.basis)))


def _earlier(event: Event, words: Words) -> _Row:
    symbol, colour = _SYMBOLS[event.severity]
    return _Row(symbol, colour, moment=words.moment(event.time), text=_safe(words.summary(event)))


def _safe(text: str) -> str:
    return one_line(text, LONGEST_VALUE)


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
