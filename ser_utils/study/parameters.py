"""Notebook parameters: what the notebooks have, what a user set, and whether the two agree."""

import ast
import json
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from ser_utils.core.errors import StudyError
from ser_utils.study.notebooks import list_notebooks, read_notebook

REPORTED_PACKAGES = ("tensorflow", "keras", "librosa", "numpy", "scikit-learn", "pandas", "papermill")
"""Packages whose versions reports and manifests list."""
MINIMUM = {"N_SEEDS": 1, "N_SEEDS_OTHER": 1, "N_FOLDS": 2, "N_RESAMPLES": 1, "N_PERMUTATIONS": 1, "BATCH_SIZE": 0, "SEARCH": 0}
"""Smallest values of parameters that count something."""
TYPES = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}
PARAMETER = re.compile(r"^(\w+): (\w+) = (.*?)  # (.*)$", re.MULTILINE)
"""A line of the cell of parameters, as papermill reads it: name, type, default, help. Importing papermill takes a second."""
NETWORK_PARAMETERS = ("MODEL", "FEATURES", "MODELS")
"""Parameters that name networks and what they read."""
REGISTERED_NAMES = ("AUGMENTATIONS", "FEATURE_SETS", "PROTOCOLS", "BASELINES", "SPEAKER_NORMS", "SEARCH", *NETWORK_PARAMETERS)
"""Parameters whose values `check_names` looks up in the registries."""


def known_parameters() -> dict[str, dict]:
    """Every notebook parameter by name: type, default (as written), help, and the notebooks that have it."""
    known: dict[str, dict] = {}
    for notebook in list_notebooks():
        tagged = [cell for cell in read_notebook(notebook)["cells"] if "parameters" in cell["metadata"].get("tags", [])]
        for name, kind, default, text in PARAMETER.findall(tagged[0]["source"] if tagged else ""):
            entry = {"type": kind, "default": default, "help": text, "notebooks": []}
            known.setdefault(name, entry)["notebooks"].append(notebook.stem)
    return known


def with_defaults(parameters: Mapping) -> dict[str, object]:
    """All parameters of the notebooks: the values that are set, and the defaults of the others."""
    return {name: ast.literal_eval(entry["default"]) for name, entry in known_parameters().items()} | dict(parameters)


def parse_settings(settings: Sequence[str], known: Mapping[str, dict]) -> dict[str, object]:
    """Parse ``NAME=VALUE`` texts, the values as JSON.

    Raises
    ------
    StudyError
        A parameter is unknown, or its value is no JSON, of the wrong type or out of range.
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
            return text  # quotes within quotes are not expected around a single word
        raise StudyError(f"--set {name}={text}: the value is not JSON; expected {kind}, such as {name}={example}.") from error
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise StudyError(f"--set {name}={text}: found {type(value).__name__}, expected {kind}, such as {name}={example}.")
    parts = [*value, *value.values()] if kind == "dict" else value if kind == "list" else []
    if not all(isinstance(part, str) for part in parts):
        raise StudyError(f"--set {name}={text}: expected texts in the {kind}, such as {name}={example}.")
    if name in MINIMUM and value < MINIMUM[name]:
        raise StudyError(f"--set {name}={text}: expected {MINIMUM[name]} or more.")
    if name == "N_JOBS" and value == 0:
        raise StudyError("--set N_JOBS=0: expected a number of processes, or -1 for one a core.")
    return value


def check_names(parameters: Mapping) -> None:
    """Check parameters that name registered objects, such as protocols and models, before anything is computed.

    The notebooks check them again, as they can be run alone.

    Parameters
    ----------
    parameters : mapping
        The parameters that are set, from `parse_settings`.

    Raises
    ------
    StudyError
        A name is not registered, or does not go with another parameter.
    """
    if not set(REGISTERED_NAMES) & set(parameters):
        return
    from ser_utils import evaluation, experiments, features, models

    values = with_defaults(parameters)
    features.check_variants(values["AUGMENTATIONS"])
    features.check_feature_sets(values["FEATURE_SETS"])
    if values["PROTOCOLS"]:  # none stands for the default of the corpus
        evaluation.check_protocols(values["PROTOCOLS"])
        evaluation.main_protocol(values["PROTOCOLS"])
    models.check_baselines(values["BASELINES"])
    experiments.systems_by_norm(values["MODEL"], values["FEATURES"], values["SPEAKER_NORMS"])
    models.with_random_search(models.get_model(values["MODEL"]), values["SEARCH"])
    experiments.check_models(values["MODELS"], values["SEARCH"])


def network_features(parameters: Mapping) -> list[str]:
    """Feature sets of the networks that the parameters MODEL, FEATURES and MODELS name; none where no parameter is set."""
    if not set(NETWORK_PARAMETERS) & set(parameters):
        return []
    from ser_utils.models import get_model

    values = with_defaults(parameters)
    names = [values["FEATURES"] or get_model(values["MODEL"]).features]
    names += [get_model(name).features for name in values["MODELS"]]
    return list(dict.fromkeys(names))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{package: version(package) for package in REPORTED_PACKAGES}}
