"""The command line: ``python -m ser_utils``."""

import argparse
import sys
from collections.abc import Sequence

from ser_utils.core.errors import StudyError
from ser_utils.corpora.registry import CORPORA


def parser() -> argparse.ArgumentParser:
    """Return the parser of the commands and their options."""
    top = argparse.ArgumentParser(prog="python -m ser_utils", description="A reproducible study of speech emotion recognition.")
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="run the study and render its reports (what ./run_all.sh calls)",
        description="Runs the notebooks in order and writes out/CORPUS and reports/CORPUS.",
    )
    run.add_argument(
        "corpus",
        nargs="?",
        help=f"{', '.join(CORPORA)}; or a corpus of your own, the path of a folder (one subfolder per emotion, or --set "
        "SCHEME='{speaker}_{emotion}_{sentence}.wav') or of a CSV file,emotion,speaker[,sentence,gender] "
        "(default: emovo if data/EMOVO exists, else demo)",
    )
    run.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a notebook parameter; the value is JSON, such as N_SEEDS=2, DROP_EMOTIONS='[\"joy\"]', or "
        'LABELS=\'{"excited": "joy", "other": ""}\' for labels without a common name',
    )
    run.add_argument(
        "--from", dest="start", default="", metavar="NN", help="start with this notebook, such as 03, and run all later ones"
    )
    run.add_argument("--fresh", action="store_true", help="remove the results of earlier runs and compute everything again")
    run.add_argument("--profile", action="store_true", help="print the seconds of cells and fits at the end")
    downloadable = [name for name, corpus in CORPORA.items() if corpus.download]
    fetch = commands.add_parser("fetch", help="download a corpus into data/")
    fetch.add_argument("corpus", help=f"{', '.join(downloadable)}; for the others, a message says how to get them")
    verify = commands.add_parser(
        "verify",
        help="compare results with the manifest of their run, or with another folder",
        description="Compares the files of out/CORPUS with its manifest, or with another folder, by stage, without computing "
        "any result again. Exit status 1 when a file differs or is missing.",
    )
    verify.add_argument(
        "corpus",
        nargs="?",
        help="name, or path of a corpus of your own (default: emovo if its recordings or manifest exist, else demo)",
    )
    verify.add_argument("--variant", default="", metavar="NAME", help="the run's VARIANT")
    verify.add_argument(
        "--against",
        metavar="DIR",
        help="another folder of results; prints the sizes of the differences, too, and whether another processor makes such",
    )
    cache = commands.add_parser("cache", help="print the size of the cache of computed results")
    cache.add_argument("--clear", action="store_true", help="remove the cached results")
    commands.add_parser("parameters", help="list the notebooks' parameters")
    commands.add_parser("notebooks", help="execute the committed notebooks on the demo corpus and save them")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; a user's mistake prints one sentence on standard error and returns 1."""
    given = parser().parse_args(arguments)
    try:
        if given.command == "fetch":
            from ser_utils.corpora.download import fetch

            fetch(given.corpus)
            return 0
        if given.command == "verify":
            from ser_utils.study import verify

            return verify.command(given.corpus, variant=given.variant, against=given.against)
        if given.command == "cache":
            from ser_utils.core import cache

            return cache.print_cache_size(clear_it=given.clear)
        from ser_utils.study import notebooks, parameters, runner

        if given.command == "notebooks":
            return notebooks.refresh_notebooks()
        if given.command == "run":
            return runner.run_study(
                given.corpus, settings=given.settings, start=given.start, fresh=given.fresh, with_profile=given.profile
            )
        for name, entry in parameters.known_parameters().items():
            print(f"{name}: {entry['type']} = {entry['default']}  # {entry['help']}")
        return 0
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
