"""How long something lasts, as a configuration writes it: ``15s``, ``1h30m``."""

import re

_NUMBER = r"\d{1,9}(?:\.\d{1,3})?"
DURATION = rf"(?=.)(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m(?!s))?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?"
"""Days, hours, minutes, seconds, milliseconds, in this order, each at most once."""

_DURATION = re.compile(DURATION)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(text: str) -> float | None:
    """The seconds that a duration such as ``1h30m`` lasts; None if it is none."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    return sum(float(number) * unit for number, unit in zip(match.groups(), _UNITS.values(), strict=True) if number)


def spelled(duration: float) -> str:
    """A duration in seconds as a configuration writes it.

    >>> spelled(5400)
    '1h30m'
    """
    left, parts = round(duration * 1000), []
    for name, unit in _UNITS.items():
        count, left = divmod(left, round(unit * 1000))
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"
