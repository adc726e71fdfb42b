"""The command line: ``python -m ser_utils``."""

import argparse
import sys
from collections.abc import Sequence

from ser_utils.errors import StudyError


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m ser_utils", description="A reproducible study of speech emotion recognition.")
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="run the study and render its reports (what ./run_all.sh calls)",
        description="Runs the notebooks in order and writes out/CORPUS and reports/CORPUS.",
    )
    run.add_argument("corpus", nargs="?", help="demo or emovo (default: emovo where data/EMOVO is there, else demo)")
    run.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a notebook parameter; the value is JSON, such as N_SEEDS=2 or DROP_EMOTIONS='[\"joy\"]'",
    )
    run.add_argument("--from", dest="start", default="", metavar="NN", help="start from this notebook, such as 03")
    run.add_argument("--fresh", action="store_true", help="remove what earlier runs left before starting")
    fetch = commands.add_parser("fetch", help="download a corpus into data/")
    fetch.add_argument("corpus", help="emovo")
    commands.add_parser("parameters", help="list the notebooks' parameters")
    commands.add_parser("notebooks", help="execute the committed notebooks on the demo corpus and save them so")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a user's mistake is one sentence on standard error and status 1."""
    given = parser().parse_args(arguments)
    try:
        if given.command == "fetch":
            from ser_utils.fetch import fetch

            fetch(given.corpus)
            return 0
        from ser_utils import study

        if given.command == "run":
            return study.run(given.corpus, settings=given.settings, start=given.start, fresh=given.fresh)
        if given.command == "notebooks":
            return study.refresh_notebooks()
        for name, entry in study.known_parameters().items():
            print(f"{name}: {entry['type']} = {entry['default']}  # {entry['help']}")
        return 0
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
