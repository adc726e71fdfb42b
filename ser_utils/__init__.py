"""Tested functions behind the notebooks of the study; the story is in ``notebooks/``.

Importing the package sets defaults of the process, before librosa and TensorFlow read them; a value that the user has
set is kept.
"""

import os
import warnings

from ser_utils.core.paths import ROOT

# TensorFlow's start-up notices say nothing about the study and would fill the reports.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the same sums in the same order on every machine of a platform
# numba's cached kernels crash when two processes have written them at once (numba issue 10128), so the study has a
# cache of its own, filled by one process before any worker starts (see ser_utils.features.extraction.warm_up).
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))
# tqdm asks for ipywidgets when a library imports its notebook flavour; the study's bars are plain text.
warnings.filterwarnings("ignore", message="IProgress not found")
