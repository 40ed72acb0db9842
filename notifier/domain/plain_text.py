"""Makes text harmless that strangers wrote: names of clusters, failure messages, answers of receivers.

A source cleans what it reads; a sink must not rely on it, because labels, templates and stored events reach it by other ways.
"""

import json
import re

_SPACES = "\\t\\n\\v\\f\\r\\x1c-\\x1e\\x85\\u2028\\u2029"
_BIDI = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
_SURROGATE = "\\ud800-\\udfff"
_UNSAFE = re.compile(f"([{_SPACES}]+)|([{_BIDI}])|[\\x00-\\x1f\\x7f-\\x9f{_SURROGATE}]")
_UNSAFE_IN_JSON = re.compile(f"[\\x7f-\\x9f\\u2028\\u2029{_BIDI}]|([{_SURROGATE}])")


def one_line(text: str, longest: int | None = None) -> str:
    r"""The text as one line that no terminal, header or log can mistake for an instruction.

    Line breaks become a space, bidi controls nothing, other controls and lone surrogates U+FFFD. What is longer than ``longest``
    characters is cut, with an ellipsis for its last one.

    >>> one_line("a\r\nb\x1b[31m")
    'a b�[31m'
    """
    if not text.isprintable():
        text = _UNSAFE.sub(lambda match: " " if match[1] else "" if match[2] else "\ufffd", text)
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def json_line(value: object) -> str:
    """The value as compact JSON on one line, in the order of its keys: the same value gives the same bytes.

    What a terminal might obey is escaped and reads back as it was; a lone surrogate, which UTF-8 cannot carry, becomes U+FFFD.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _UNSAFE_IN_JSON.sub(lambda match: "\ufffd" if match[1] else f"\\u{ord(match[0]):04x}", text)
