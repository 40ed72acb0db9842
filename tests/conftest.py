"""What holds for every test: no law is judged by how long its examples took, since the machine may be doing other things.

And what a machine may lack, so that what needs it is skipped and says so.
"""

import pytest
from hypothesis import HealthCheck, settings

from notifier.report.fonts import NoFontError, fonts_for

settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def latin_font() -> None:
    """There is a font to write a picture with."""
    _font("text")


@pytest.fixture
def chinese_font() -> None:
    """There is one with Chinese, too."""
    _font("升级")


def _font(text: str) -> None:
    try:
        fonts_for(text)
    except NoFontError as error:
        pytest.skip(f"NO PICTURE IS DRAWN: {error}")
