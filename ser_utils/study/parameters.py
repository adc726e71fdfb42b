"""Names that parameters choose by, of networks, protocols and the like: checked before anything runs.

The notebooks check them, too, when their turn comes. This is a module of its own since it imports what computes: notebooks
that imported it would follow from all of that (see `ser_utils.study.stages`).
"""

import ast
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from ser_utils import models
from ser_utils.core.errors import StudyError
from ser_utils.experiments import model_comparison, systems
from ser_utils.features import augmentation
from ser_utils.models import baselines
from ser_utils.study.notebooks import list_notebooks

REGISTERED_NAMES = ("AUGMENTATIONS", "PROTOCOLS", "BASELINES", "MODEL", "FEATURES", "SPEAKER_NORMS", "SEARCH", "MODELS")


def check_names(parameters: Mapping, known: Mapping[str, Mapping]) -> None:
    """Check the parameters of a run.

    Parameters
    ----------
    parameters : mapping
        Those that are set, from `ser_utils.study.parameters.parse_settings`.
    known : mapping
        All of them with their defaults, from `ser_utils.study.parameters.known_parameters`.

    Raises
    ------
    StudyError
        One names what is not there, or does not go with another.
    """
    if not set(REGISTERED_NAMES) & set(parameters):
        return
    # TensorFlow takes seconds

    variants, protocols, classical, model, features, norms, search, others = (
        parameters.get(name, ast.literal_eval(known[name]["default"])) for name in REGISTERED_NAMES
    )
    augmentation.check_variants(variants)
    protocols.check_protocols(protocols)
    protocols.main_protocol(protocols)
    baselines.check_baselines(classical)
    systems.systems_by_norm(model, features, norms)
    models.with_random_search(models.get_model(model), search)
    model_comparison.check_models(others, search)


REPORTED_PACKAGES = ("tensorflow", "keras", "librosa", "numpy", "scikit-learn", "pandas", "papermill")


MINIMUM = {"N_SEEDS": 1, "N_FOLDS": 2, "N_RESAMPLES": 1, "N_PERMUTATIONS": 1, "BATCH_SIZE": 0, "SEARCH": 0}
"""The smallest value of parameters that count something."""


TYPES = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}


def known_parameters() -> dict[str, dict]:
    """Every notebook parameter by name: type, default (as written), help, and the notebooks that have it."""
    from papermill import inspect_notebook

    known: dict[str, dict] = {}
    for notebook in list_notebooks():
        for name, found in inspect_notebook(str(notebook)).items():
            entry = known.setdefault(
                name,
                {
                    "type": found["inferred_type_name"],
                    "default": found["default"],
                    "help": found["help"],
                    "notebooks": [],
                },
            )
            entry["notebooks"].append(notebook.stem)
    return known


def parse_settings(settings: Sequence[str], known: Mapping[str, dict]) -> dict[str, object]:
    """``NAME=VALUE`` texts as parameters, the values as JSON.

    Raises
    ------
    StudyError
        No such parameter, no JSON, or a value of the wrong type.
    """
    parameters = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise StudyError(f"--set {setting}: expected NAME=VALUE, such as --set N_SEEDS=2.")
        if name not in known:
            listed = "\n".join(
                f"  {key} ({entry['type']}, {entry['default']}): {entry['help']}" for key, entry in known.items()
            )
            raise StudyError(f"Unknown parameter {name!r}; the notebooks have:\n{listed}")
        parameters[name] = _parse_value(name, text, known[name]["type"])
    return parameters


def _parse_value(name: str, text: str, kind: str) -> object:
    example = {"str": "'\"text\"'", "list": '\'["a", "b"]\'', "dict": '\'{"a": "b"}\'', "bool": "true"}.get(kind, "2")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if kind == "str":
            return text  # no one types quotes within quotes for a word
        raise StudyError(f"--set {name}={text}: the value is not JSON; expected {kind}, such as {name}={example}.") from error
    is_bool = isinstance(value, bool)
    if not isinstance(value, TYPES[kind]) or (is_bool and kind != "bool"):
        raise StudyError(f"--set {name}={text}: found {type(value).__name__}, expected {kind}, such as {name}={example}.")
    parts = [*value, *value.values()] if kind == "dict" else value if kind == "list" else []
    if not all(isinstance(part, str) for part in parts):
        raise StudyError(f"--set {name}={text}: expected texts in the {kind}, such as {name}={example}.")
    if name in MINIMUM and value < MINIMUM[name]:
        raise StudyError(f"--set {name}={text}: expected {MINIMUM[name]} or more.")
    if name == "N_JOBS" and value == 0:
        raise StudyError("--set N_JOBS=0: expected a number of processes, or -1 for one a core.")
    return value


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{package: version(package) for package in REPORTED_PACKAGES}}
