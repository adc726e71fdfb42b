"""Start of the command line: ``python -m ser_utils``."""

import sys

from ser_utils.study.command_line import main

if __name__ == "__main__":
    sys.exit(main())
