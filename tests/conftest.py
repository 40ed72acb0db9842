"""What holds for every test: no law is judged by how long its examples took, since the machine may be doing other things, and
the examples are the same each time, so that what fails has been changed. `make explore` looks for others, and for many more.

And what a machine may lack, so that what needs it is skipped and says so.
"""

import pytest
from hypothesis import HealthCheck, settings

from notifier.report.fonts import NoFontError, fonts_for

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("exploring", untimed, derandomize=False, max_examples=1000, print_blob=True)
settings.register_profile("settled", untimed, derandomize=True)
settings.load_profile("settled")


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
