"""The fonts that a PNG is written with. None is brought along: a machine without one is told so."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from unicodedata import east_asian_width

FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
)

LATIN = (
    ("DejaVu Sans", "dejavusans.ttf", "dejavusans-bold.ttf"),
    ("Noto Sans", "notosans-regular.ttf", "notosans-bold.ttf"),
    ("Liberation Sans", "liberationsans-regular.ttf", "liberationsans-bold.ttf"),
    ("Ubuntu", "ubuntu-r.ttf", "ubuntu-b.ttf"),
    ("FreeSans", "freesans.ttf", "freesansbold.ttf"),
    ("Arial", "arial.ttf", "arialbd.ttf"),
    ("Arial", "arial.ttf", "arial bold.ttf"),
)
"""Family, and the files that hold its regular and bold face; the first that is there is taken."""

CHINESE = (
    "notosanscjk-regular.ttc",
    "notosanscjksc-regular.otf",
    "notosanssc-regular.otf",
    "notosanssc-regular.ttf",
    "sourcehansanssc-regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "droidsansfallbackfull.ttf",
    "pingfang.ttc",
    "stheiti light.ttc",
    "hiragino sans gb.ttc",
)
"""Files that hold Chinese."""

REMEDY = {
    False: "install one, such as the package fonts-dejavu-core",
    True: "install one, such as the package fonts-noto-cjk or fonts-wqy-microhei",
}


class NoFontError(Exception):
    """There is no font for a text; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Fonts:
    """A family and the files to load."""

    family: str
    files: tuple[str, ...]


def fonts_for(text: str, folders: tuple[str, ...] = FOLDERS) -> Fonts:
    """The fonts that a text needs.

    Raises:
        NoFontError: There is none, or none that holds the Chinese in it.
    """
    there = _there(folders)
    found = next(((family, regular, bold) for family, regular, bold in LATIN if regular in there), None)
    if found is None:
        raise NoFontError(f"there is no font to write with in {', '.join(folders)}: {REMEDY[False]}")
    family, regular, bold = found
    files = [there[regular], *([there[bold]] if bold in there else [])]
    if any(east_asian_width(letter) in "WF" for letter in text):
        chinese = next((there[name] for name in CHINESE if name in there), None)
        if chinese is None:
            raise NoFontError(f"there is no font with Chinese in {', '.join(folders)}: {REMEDY[True]}")
        files.append(chinese)
    return Fonts(family, tuple(files))


@lru_cache(maxsize=4)
def _there(folders: tuple[str, ...]) -> dict[str, str]:
    """Every font file, by its name in small letters. Fonts that are installed later are found after a restart."""
    return {path.name.lower(): str(path) for folder in folders for path in _files(Path(folder).expanduser())}


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in {".ttf", ".otf", ".ttc"})
