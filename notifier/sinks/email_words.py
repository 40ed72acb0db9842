"""What a mail says besides the event's own words, in English and in Chinese."""
# ruff: noqa: RUF001 - Chinese punctuation is meant

from collections.abc import Mapping

_WORDS: Mapping[str, tuple[str, str]] = {
    "upgrade": ("upgrade", "升级"),
    "upgrade to": ("upgrade to {target}", "升级到 {target}"),
    "migration": ("AZ migration", "可用区迁移"),
    "migration to": ("AZ migration to {target}", "可用区迁移到 {target}"),
    "watching": ("is it being watched?", "监控状态"),
    "sink": ("does sink {sink} work?", "通知渠道 {sink} 状态"),
    "subject": ("{cluster}: {work}", "{cluster}：{work}"),
    "debug": ("Detail", "细节"),
    "info": ("Info", "信息"),
    "warning": ("Warning", "警告"),
    "error": ("Error", "错误"),
    "critical": ("Critical", "严重"),
    "happened": ("Happened", "发生时间"),
    "no news": ("This is no news: {mark}.", "这不是实际通知：{mark}。"),
    "late": ("Told {span} after it was seen.", "在发现 {span}后才送达。"),
    "skipped": (
        "{count} earlier message(s) of this task were given up and never arrived.",
        "此任务之前有 {count} 条消息未能送达，已放弃。",
    ),
    "reminder": ("Reminder {count}: this still lasts.", "第 {count} 次提醒：该情况仍在持续。"),
    "earlier": ("Before this ({count})", "此前的消息（{count} 条）"),
    "more": ("… and {count} more", "……另有 {count} 条"),
    "nodes": ("Nodes", "节点"),
    "of nodes": ("{done} of {total} completed", "已完成 {done} / {total}"),
    "percent": ("{percent} %", "{percent}%"),
    "node": ("Node", "节点"),
    "state": ("State", "状态"),
    "done": ("completed", "已完成"),
    "working": ("in flight", "进行中"),
    "halted": ("in flight when it ended", "结束时仍在进行"),
    "to come": ("to come", "待处理"),
    "several": ("{count} more nodes", "另有 {count} 个节点"),
    "one": ("1 more node", "另有 1 个节点"),
    "eta": ("Ends probably between {earliest} and {latest} ({basis}).", "预计在 {earliest} 至 {latest} 之间结束（{basis}）。"),
    "details": ("Details", "详情"),
    "page": ("Status page", "状态页面"),
    "footer": (
        "Sent by {sender} because this address stands in its configuration. Event {event}.",
        "由 {sender} 发送，因为此地址在其配置中。事件 {event}。",
    ),
}


def phrase(language: str, key: str, /, **values: object) -> str:
    """The phrase of a key, its ``{names}`` filled in; in English where the language has none."""
    english, chinese = _WORDS[key]
    return (chinese if language == "zh" else english).format(**values)
