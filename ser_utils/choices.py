"""Names that parameters choose by, of networks, protocols and the like: checked before anything runs.

The notebooks check them, too, when their turn comes. This is a module of its own since it imports what computes: notebooks
that imported it would follow from all of that (see `ser_utils.stages`).
"""

import ast
from collections.abc import Mapping

NAMES = ("AUGMENTATIONS", "PROTOCOLS", "BASELINES", "MODEL", "FEATURES", "SPEAKER_NORMS", "SEARCH", "MODELS")


def check(parameters: Mapping, known: Mapping[str, Mapping]) -> None:
    """Check the parameters of a run.

    Parameters
    ----------
    parameters : mapping
        Those that are set, from `ser_utils.study.parse_settings`.
    known : mapping
        All of them with their defaults, from `ser_utils.study.known_parameters`.

    Raises
    ------
    StudyError
        One names what is not there, or does not go with another.
    """
    if not set(NAMES) & set(parameters):
        return
    from ser_utils import augment, baselines, experiment, folds, models, networks  # TensorFlow takes seconds

    variants, protocols, classical, model, features, norms, search, others = (
        parameters.get(name, ast.literal_eval(known[name]["default"])) for name in NAMES
    )
    augment.check_variants(variants)
    folds.check_protocols(protocols)
    folds.main_protocol(protocols)
    baselines.check(classical)
    experiment.systems(model, features, norms)
    models.searched(models.get_model(model), search)
    networks.check(others, search)
