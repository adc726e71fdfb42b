"""Audio files below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from ser_utils.core.audio import SUFFIXES

LOSSLESS = (".wav", ".flac")
UNREAD_SUFFIXES = (".m4a", ".aac", ".wma", ".opus", ".amr", ".3gp", ".aif", ".aiff", ".au", ".caf")
"""Suffixes of common audio formats that are not supported; such files are listed as skipped."""


def visible_files(root: Path) -> Iterator[str]:
    """Yield the paths of all files below `root`, relative to it. Links are followed; hidden files and ``__MACOSX`` are not."""
    visited = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real_path = os.path.realpath(folder)
        if real_path in visited:  # a link to a parent folder would never end
            folders.clear()
            continue
        visited.add(real_path)
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        yield from (Path(folder, name).relative_to(root).as_posix() for name in names if not name.startswith("."))


def audio_files(root: Path) -> list[Path]:
    """Return the audio files at any depth below `root`, sorted, without hidden ones (such as macOS' ``._x.wav``)."""
    return [root / name for name in sorted(visible_files(root)) if _is_audio(root, name)]


def has_audio(root: Path) -> bool:
    """Return whether there is any audio file below `root`."""
    return any(_is_audio(root, name) for name in visible_files(root))


def _is_audio(root: Path, name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and (root / name).is_file()


def lossless_first(root: Path) -> list[str]:
    """Return the relative paths of the audio files below `root`, lossless formats first, each group sorted."""
    names = [path.relative_to(root).as_posix() for path in audio_files(root)]
    return sorted(names, key=lambda name: not name.lower().endswith(LOSSLESS))


def without_suffix(name: str) -> str:
    """Return a path without the suffix of an audio file."""
    return name[: -len(Path(name).suffix)] if name.lower().endswith(SUFFIXES) else name
