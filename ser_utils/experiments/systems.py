"""Systems: a network on a feature set with a normalisation, and which of them a corpus allows."""

from dataclasses import dataclass

import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import SPEAKER_NORMS
from ser_utils.evaluation.folds import held_out
from ser_utils.evaluation.intervals import resampling_unit
from ser_utils.evaluation.protocols import main_protocol, wording
from ser_utils.features.registry import FEATURE_SETS, get_feature_set
from ser_utils.models.baselines import BASELINES
from ser_utils.models.registry import get_model

BASELINE_FEATURES = "functionals"
"""Default feature set of baselines."""


@dataclass(frozen=True)
class System:
    """A network (or a baseline) on a feature set with a normalisation."""

    model: str
    features: str
    speaker_norm: str = "none"


@dataclass(frozen=True)
class RunSettings:
    """Settings of `ser_utils.experiments.experiment.run_protocol`; the defaults take each network's registry entry."""

    main: str = "speaker"
    """The main protocol, from `ser_utils.evaluation.protocols.main_protocol`: inner folds choose settings under it."""
    batch_size: int = 0
    """Rows per step; 0 for the network's default."""
    search: int = 0
    """Number of settings drawn at random for the inner folds to choose among, in addition to the network's own choices."""
    augmented: bool | None = None
    """Whether augmented variants are training rows; None for the network's default. ``as_published`` always uses them."""


def resolve_feature_set(model: str, features: str = "") -> str:
    """Return the feature set of a network or baseline: the given one, or its default if `features` is empty.

    Raises
    ------
    StudyError
        A name is unknown, or the model cannot take the features.
    """
    if model in BASELINES:
        default, sequences = BASELINE_FEATURES, False
    else:
        default, sequences = get_model(model).features, get_model(model).sequences
    features = features or default
    if get_feature_set(features).sequences != sequences:
        suitable = [name for name, entry in FEATURE_SETS.items() if entry.sequences == sequences]
        kind = "sequences of frames" if sequences else "one row per clip"
        raise StudyError(
            f"The model {model!r} takes {kind}, which the feature set {features!r} does not provide: expected FEATURES among "
            f"{', '.join(suitable)}."
        )
    return features


def systems_by_norm(model: str, features: str, speaker_norms: list[str]) -> dict[str, System]:
    """Return a system per normalisation for the parameters of a notebook; empty `features` is the network's default.

    Raises
    ------
    StudyError
        A name is unknown, the network cannot take the features, or the system is the original one, which every run tests.
    """
    features = resolve_feature_set(model, features)
    _check_norms(speaker_norms)
    if (model, features) == ("original_mlp", "original38"):
        raise StudyError(
            "MODEL 'original_mlp' with FEATURES 'original38' is the original system, which every run tests: set another MODEL "
            "or FEATURES."
        )
    return {norm: System(model, features, norm) for norm in SPEAKER_NORMS if norm in speaker_norms}


def usable_norms(speaker_norms: list[str], speakers: pd.Series) -> list[str]:
    """Return the normalisations that a corpus allows; ``speaker`` needs two or more speakers, all of them known.

    Raises
    ------
    StudyError
        A name is unknown, or no normalisation is left.
    """
    _check_norms(speaker_norms)
    allowed = SPEAKER_NORMS if resampling_unit(speakers) == "speakers" else ("none",)
    usable = [name for name in allowed if name in speaker_norms]
    if not usable:
        raise StudyError(
            "SPEAKER_NORMS is ['speaker'], which needs two or more known speakers, and this corpus does not have them: add "
            "'none'."
        )
    return usable


def _check_norms(speaker_norms: list[str]) -> None:
    if not speaker_norms or not set(speaker_norms) <= set(SPEAKER_NORMS):
        raise StudyError(f"SPEAKER_NORMS is {speaker_norms}: expected one or both of {', '.join(SPEAKER_NORMS)}.")


def study_limits(rows: pd.DataFrame, protocols: list[str], *, wanted: list[str], speaker_norms: list[str]) -> list[str]:
    """Describe in sentences which parts of the study the corpus and its folds allow.

    Parameters
    ----------
    rows : pd.DataFrame
        `ser_utils.experiments.data.Data.rows` of the corpus.
    protocols, wanted : list of str
        Protocols that have folds, and the requested protocols.
    speaker_norms : list of str
        Requested normalisations.
    """
    main = main_protocol(protocols)
    sentences = [f"The main protocol, which gives the headline result, is `{main}`: each fold tests {wording(main).many}."]
    if main != "speaker":
        sentences.append("The main protocol leaves no speaker out: its results do not apply to unseen speakers.")
    sentences.append(f"Inner folds that hold out {held_out(rows, main)} choose settings and epochs.")
    if main == "speaker" and rows.speaker.nunique() == 2:
        sentences.append("With two speakers, training has one speaker, so the inner folds hold out clips of that speaker.")
    if missing := [name for name in wanted if name not in protocols]:
        sentences.append(
            f"Protocols without folds in `folds.csv` are left out: {', '.join(missing)}; see `02_augment_features`."
        )
    for norm in set(speaker_norms) - set(usable_norms(speaker_norms, rows.speaker)):
        sentences.append(f"`speaker_norm={norm}` is left out: it needs two or more speakers, all of them known.")
    return sentences
