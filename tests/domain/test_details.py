"""Why something failed, in the reader's language: our words are translated, a stranger's quoted."""
# ruff: noqa: RUF001 - Chinese has punctuation of its own

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

import notifier
from notifier.domain import details
from notifier.domain.words import Words

CHINESE = Words("zh")

MADE_BY = frozenset({"DeliveryError", "FetchError", "UnreadableError", "BodyTooLarge", "Failure", "Unusable", "_error", "_lost"})
"""What a detail is given to."""

CALLED = frozenset({"detail", "words"})
"""What a detail is called on its way there."""

FILLINGS = ("7", "HTTP 503", "name", "on connecting", "stdout", "connection refused")
"""What may stand in the holes of a detail: a number, an answer, a name, a step, another detail."""

FOR_COMMANDS = frozenset({"buttons need one that begins with xapp- and has the scope connections:write"})
"""What only a command says, or the log."""


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("HTTP 503", "HTTP 503"),
        ("HTTP 403 CSS.0015: no such cluster", "HTTP 403 CSS.0015，对方应答：“no such cluster”"),
        ("HTTP 302, redirects to example.com:443", "HTTP 302，重定向到 example.com:443"),
        ("451 try later (for the message)", "提交邮件内容时对方应答：“451 try later”"),
        ("no connection to 127.0.0.1:9199: connection refused", "无法连接 127.0.0.1:9199：连接被拒绝"),
        ("no connection to h:1: strange weather", "无法连接 h:1：原文：“strange weather”"),
        ("not accepted within 259200 s", "3 天内未被接收"),
        (
            "Apprise says only that JSON failed: nothing, or a part, may have arrived",
            "Apprise 只报告 JSON 失败：消息可能未送达，也可能部分送达",
        ),
        (
            "chat.postMessage: not_in_channel, needs chat:write",
            "chat.postMessage，对方应答：“not_in_channel”，需要权限 chat:write",
        ),
        ("no 'ok': HTTP 200: oops", "应答不是“ok”：HTTP 200，对方应答：“oops”"),
        (
            "refused for a@b.c (550 unknown) and 2 more; 1 of the recipients have it",
            "收件人被拒绝（括号内为对方应答）：a@b.c (550 unknown)，另有 2 位；1 位收件人已收到",
        ),
        (
            "put off and given up for a@b.c (452 full); 1 of the recipients have it",
            "收件人一直未被接收，已放弃（括号内为对方应答）：a@b.c (452 full)；1 位收件人已收到",
        ),
        (
            "no answer after the message was sent, 2 times: it may well have arrived, and is not sent again",
            "邮件内容发出后未收到应答（共 2 次）；邮件很可能已送达，不再重发",
        ),
        (
            "no answer after the message was sent: it may well have arrived, and is not sent again",
            "邮件内容发出后未收到应答；邮件很可能已送达，不再重发",
        ),
        ("the sink cannot be opened: it took longer than 10 s", "渠道无法启动：耗时超过 10 秒"),
        (
            "our clock is 9 min ahead of the API's, set it right; HTTP 401 APIG.0301: expired",
            "本机时钟比 API 快 9 分钟，请校准；HTTP 401 APIG.0301，对方应答：“expired”",
        ),
        ("HTTP 200, but an empty body", "HTTP 200，但应答不符合约定：应答内容为空"),
        ("something of a stranger's sink", "原文：“something of a stranger's sink”"),
        ("", ""),
    ],
)
def test_a_detail_is_said_in_chinese(detail: str, said: str) -> None:
    assert CHINESE.detail(detail) == said
    assert Words().detail(detail) == detail


def test_what_a_person_gives_as_a_reason_is_not_called_a_quotation() -> None:
    assert CHINESE.wish("taken care of") == "正在处理"
    assert CHINESE.wish("Friday's maintenance") == "Friday's maintenance"


def test_a_detail_that_holds_itself_many_times_is_looked_into_only_so_deep() -> None:
    deep = "no 'ok': " * 60 + "HTTP 200"
    assert CHINESE.detail(deep).count("应答不是") <= details.DEEPEST + 1
    assert CHINESE.detail("x" * 5000) == f"原文：“{'x' * 5000}”"


def _texts(tree: ast.AST) -> Iterator[ast.expr]:
    """The texts of a file that become details."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in MADE_BY:
            yield from node.args
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in CALLED for target in node.targets
        ):
            yield node.value


def _filled(text: ast.expr) -> list[str]:
    """A text as it may come out; nothing where it is none, or only repeats another."""
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return [text.value] if " " in text.value else []
    if not isinstance(text, ast.JoinedStr):
        return []
    parts = [[part.value] if isinstance(part, ast.Constant) else FILLINGS for part in text.values]
    said = "".join(str(part.value) for part in text.values if isinstance(part, ast.Constant))
    return ["".join(map(str, each)) for each in product(*parts)] if re.search("[a-z]{2}", said) else []


def test_every_detail_that_we_give_is_known_in_chinese() -> None:
    root = Path(notifier.__file__).parent
    files = [
        *root.glob("sinks/*.py"),
        *root.glob("sources/*.py"),
        root / "outbound.py",
        *root.glob("engine/*.py"),
        root / "domain/standing.py",
    ]
    files = [file for file in files if file.stem not in {"conformance", "simulator", "gateway", "scenarios"}]
    unknown = []
    for file in files:
        for text in _texts(ast.parse(file.read_text())):
            filled = _filled(text)
            if filled and not any(details.ours(CHINESE.phrases.details, CHINESE.span, each) for each in filled):
                unknown.append(f"{file.name}:{text.lineno}: {filled[0]}")
    assert [each for each in unknown if each.partition(": ")[2] not in FOR_COMMANDS] == []
