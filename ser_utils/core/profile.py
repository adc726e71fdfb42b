"""Where the time of a run goes, for ``./run_all.sh --profile``.

With the environment variable ``SER_PROFILE``, the path of a file, each cell of a notebook and each call that computes features
or fits appends a line of JSON to it. Without it nothing is recorded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def record(kind: str, **facts: object) -> None:
    """Append facts, which are JSON values, to the profile if there is one."""
    if path := os.environ.get("SER_PROFILE"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **facts}) + "\n")


def read(path: Path, kind: str) -> pd.DataFrame:
    """Return what was recorded of one kind, a row each."""
    import pandas as pd

    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pd.DataFrame([line for line in lines if line.pop("kind") == kind])
