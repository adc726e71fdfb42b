"""The library that the notebooks of the study import.

===============  ======================================================================================
`core`           what everything needs: errors, paths, column names, reading audio, cache, parallel execution
`corpora`        which recordings there are, who speaks, which label
`features`       recordings to numbers: feature sets and augmentation
`evaluation`     how to split, how to score: protocols, leakage checks, metrics, statistics
`models`         networks and classical models, and how they are trained
`experiments`    runs that combine the packages above
`figures`        table in, figure out
`study`          the runner: command line, parameters, stages, manifest, reports
===============  ======================================================================================

Each package imports only from those above it; `features` and `evaluation` do not import each other. Importing `ser_utils`
sets defaults of the process before librosa and TensorFlow read them. Values that the user has set are kept.
"""

import os
import warnings

from ser_utils.core.paths import ROOT

# TensorFlow's start-up messages would fill the reports.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the order of sums does not depend on the machine
# numba's cached kernels crash after two processes have written them at once (numba issue 10128), so the study has its own
# cache, which one process fills before any worker starts (see ser_utils.features.extraction.warm_up).
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))
# Libraries that import the notebook version of tqdm cause a warning about ipywidgets; the study's bars are plain text.
warnings.filterwarnings("ignore", message="IProgress not found")
