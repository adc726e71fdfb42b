"""The runner: parameters, notebooks, stages, manifest and report.

`command_line` is ``python -m ser_utils``. `parameters` checks every parameter before anything is computed; `runner` executes
the notebooks in order by papermill and skips those whose inputs are unchanged (`stages`); `report` and `index_page` render
the pages; `manifest` writes down what went into a run and what came out; `verify` compares two runs. `progress_lines` shows
how far a run is where there is no terminal, and `profile_tables` where its time went.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "inputs": ["ensure_extra_corpora", "ensure_files"],
        "parameters": ["versions"],
    },
)
