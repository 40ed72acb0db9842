"""A picture as PNG, for mail and chat, which show no SVG. Needs the extra ``png``."""

from notifier.report.fonts import NoFontError, fonts_for

SHARPER = 2.0
"""Pixels per unit: readable on a screen of today, and enlarged on a telephone."""


class NoPictureError(Exception):
    """There can be no PNG here; the message says why and what would help."""


def png(svg: str) -> bytes:
    """Draw an SVG that `picture` made.

    Raises:
        NoPictureError: The extra is not installed, or there is no font.
    """
    try:
        from resvg_py import svg_to_bytes  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise NoPictureError("a PNG needs the extra `png`: pip install 'css-upgrade-notifier[png]'") from None
    try:
        fonts = fonts_for(svg)
        return svg_to_bytes(
            svg_string=svg,
            zoom=SHARPER,
            background="#ffffff",
            # Only what is needed: to load every font of a machine takes longer than to draw.
            skip_system_fonts=True,
            font_files=list(fonts.files),
            font_family=fonts.family,
            sans_serif_family=fonts.family,
        )
    except NoFontError as error:
        raise NoPictureError(f"no PNG: {error}") from None
    except ValueError as error:
        raise NoPictureError(f"no PNG: {error}") from None
