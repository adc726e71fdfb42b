"""Audio files below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from ser_utils.core.audio import SUFFIXES

LOSSLESS = (".wav", ".flac")


UNREAD_SUFFIXES = (".m4a", ".aac", ".wma", ".opus", ".amr", ".3gp", ".aif", ".aiff", ".au", ".caf")
"""Endings of recordings that are not read; people have them, so they are said to be left out."""


def visible_files(root: Path) -> Iterator[str]:
    """Paths of the files at any depth below `root`, also behind links, without hidden ones and what a Mac adds to archives."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        folders[:] = [] if place in seen else [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        if place not in seen:  # a link that leads back up would never end
            yield from (Path(folder, name).relative_to(root).as_posix() for name in names if not name.startswith("."))
        seen.add(place)


def audio_files(root: Path) -> list[Path]:
    """Audio files at any depth below `root`, sorted; hidden ones (also macOS' ``._x.wav``) are not audio."""
    return [root / name for name in sorted(visible_files(root)) if _is_audio(root, name)]


def has_audio(root: Path) -> bool:
    """Whether there is any audio below `root`."""
    return any(_is_audio(root, name) for name in visible_files(root))


def _is_audio(root: Path, name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and (root / name).is_file()


def lossless_first(root: Path) -> list[str]:
    """Names of the audio files below `root`, lossless formats first, each sorted."""
    names = [path.relative_to(root).as_posix() for path in audio_files(root)]
    return sorted(names, key=lambda name: not name.lower().endswith(LOSSLESS))


def without_suffix(name: str) -> str:
    """A path without the ending of an audio file."""
    return name[: -len(Path(name).suffix)] if name.lower().endswith(SUFFIXES) else name
