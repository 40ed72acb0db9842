"""What a mail says: text and HTML of one message, with inline styles and nothing that would have to be fetched."""

from collections.abc import Mapping

from jinja2 import Environment, StrictUndefined

from notifier.domain.message import Message
from notifier.domain.model import Action, Event, Severity
from notifier.domain.plain_text import one_line
from notifier.domain.words import Words

PHRASES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "UPGRADING": "upgrade",
        "AZ_MIGRATION": "AZ migration",
        "outage": "watching",
        "merged": "Also, since the last mail:",
        "skipped": "{count} messages before this could not be delivered.",
        "late": "This is said {span} late.",
        "reminder": "Reminder {number}: this still lasts.",
        "page": "Status page",
    },
    "zh": {
        "UPGRADING": "升级",
        "AZ_MIGRATION": "切换可用区",
        "outage": "监控",
        "merged": "自上一封邮件以来还有：",
        "skipped": "此前有 {count} 条消息未能送达。",
        "late": "本消息延迟 {span} 送达。",
        "reminder": "第 {number} 次提醒：情况仍未解除。",
        "page": "状态页",
    },
}

COLOURS: Mapping[Severity, str] = {
    Severity.DEBUG: "#5f6b7a",
    Severity.INFO: "#1f6feb",
    Severity.WARNING: "#9a6700",
    Severity.ERROR: "#cf222e",
    Severity.CRITICAL: "#a40e26",
}

_HTML = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="{{ language }}">
<body style="margin:0;padding:24px;background:#f4f5f7;font:15px/1.5 -apple-system,'Segoe UI',Roboto,'Noto Sans SC',sans-serif;color:#1c2128">
<div style="max-width:640px;margin:0 auto;background:#ffffff;border-radius:8px;border-top:6px solid {{ colour }};padding:24px">
<p style="margin:0 0 4px;font-size:20px;font-weight:600">{{ title }}</p>
<p style="margin:0 0 12px;color:#57606a;font-size:13px">{{ moment }}</p>
<p style="margin:0 0 16px">{{ summary }}</p>
{% if share is not none %}
<div style="background:#e4e7eb;border-radius:6px;height:12px;margin:0 0 16px"><div style="background:{{ colour }};border-radius:6px;\
height:12px;width:{{ share }}%"></div></div>
{% endif %}
<table role="presentation" style="border-collapse:collapse;width:100%">
{% for label, value in facts %}
<tr><td style="padding:4px 16px 4px 0;color:#57606a;vertical-align:top;white-space:nowrap">{{ label }}</td>\
<td style="padding:4px 0;word-break:break-word">{{ value }}</td></tr>
{% endfor %}
</table>
{% if notes %}
<p style="margin:16px 0 0;padding:12px;background:#fff8c5;border-radius:6px">{% for note in notes %}{{ note }}<br>{% endfor %}</p>
{% endif %}
{% if page %}
<p style="margin:16px 0 0"><a href="{{ page }}" style="color:#1f6feb">{{ page_label }}</a></p>
{% endif %}
</div>
</body>
</html>
""")

LONGEST = 2000
MERGED = 30
"""Merged messages that are listed; the newest."""


def subject(event: Event, words: Words, prefix: str) -> str:
    """The same for all of a task's mails, so that every reader's program keeps them together."""
    said = PHRASES.get(words.language, PHRASES["en"])
    if event.task is None:
        about = said["outage"]
    else:
        kind = said[Action(event.task.action).value]
        about = f"{kind} → {event.task.target}" if event.task.target else kind
    return one_line(f"{prefix}{event.cluster.name}: {about}", 200).strip()


def notes(message: Message, words: Words) -> list[str]:
    """What is to be known about the telling, and what is told along."""
    said = PHRASES.get(words.language, PHRASES["en"])
    lines = []
    if message.reminder:
        lines.append(said["reminder"].format(number=message.reminder))
    if message.late_by:
        lines.append(said["late"].format(span=words.span(message.late_by)))
    if message.skipped:
        lines.append(said["skipped"].format(count=message.skipped))
    if message.earlier:
        lines.append(said["merged"])
        lines += [f"• {one_line(words.summary(event), 300)}" for event in message.earlier[-MERGED:]]
    return lines


def text(message: Message, words: Words, page: str | None) -> str:
    """The plain text."""
    facts = [f"{label}: {one_line(value, LONGEST)}" for label, value in message.facts]
    lines = [
        _title(message),
        words.moment(message.event.time),
        "",
        one_line(message.summary, LONGEST),
        "",
        *facts,
        "",
        *notes(message, words),
    ]
    return "\n".join([*lines, *([page] if page else [])]).rstrip() + "\n"


def html(message: Message, words: Words, page: str | None) -> str:
    """The same as HTML; every value is escaped."""
    progress = message.event.progress
    return _HTML.render(
        language=words.language,
        colour=COLOURS[message.event.severity],
        title=_title(message),
        moment=words.moment(message.event.time),
        summary=one_line(message.summary, LONGEST),
        share=None if progress is None else round(progress * 100),
        facts=[(label, one_line(value, LONGEST)) for label, value in message.facts],
        notes=notes(message, words),
        page=page,
        page_label=PHRASES.get(words.language, PHRASES["en"])["page"],
    )


def _title(message: Message) -> str:
    return one_line(f"[{message.mark}] {message.title}" if message.mark else message.title, 300)
