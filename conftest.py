"""All tests, nbval's too, leave the user's results and cache alone and draw no bars: set before the study is imported."""

import atexit
import os
import shutil
import tempfile

_results = tempfile.mkdtemp(prefix="ser-tests-")
atexit.register(shutil.rmtree, _results, ignore_errors=True)
for _name in ("OUT", "REPORTS", "CACHE"):
    os.environ[f"SER_{_name}"] = os.path.join(_results, _name.lower())
os.environ["SER_PROGRESS"] = "off"
