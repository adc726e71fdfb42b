"""What every package needs, and what knows nothing of emotion: errors, paths, column names, reading audio.

`tables` names columns and special values; `audio` reads, checks and resamples; `paths` finds folders and writes files safely;
`cache` and `code_version` keep computed results; `parallel` and `progress` run many tasks and show how far they are, and
`profile` records how long they took.
A user's mistake is a `StudyError` with one sentence. This package imports from no other package of the study.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "audio": ["read_audio"],
        "errors": ["StudyError"],
        "parallel": ["Execution"],
        "paths": ["out_dir", "run_name", "write_aside", "write_json"],
        "tables": ["ORIGINAL", "SYSTEM_COLUMNS", "UNKNOWN"],
    },
)
