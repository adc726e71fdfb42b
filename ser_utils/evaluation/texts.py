"""Results as text: numbers, names and the headline, rendered from tables."""

import pandas as pd

from ser_utils.core.tables import SPEAKER_NORMS, SYSTEM_COLUMNS
from ser_utils.evaluation import intervals
from ser_utils.evaluation.protocols import main_protocol, wording

ORIGINAL_SYSTEM = ("original_mlp", "original38")
"""Model and features of the original study."""


def percent(share: float, digits: int = 1) -> str:
    """Format a share from 0 to 1 as a percentage: 0.2449 as "24.5 %"."""
    return f"{100 * share:.{digits}f} %"


def interval_label() -> str:
    """Return the name of the study's intervals, with their level: "95 % interval"."""
    return f"{percent(intervals.CONFIDENCE, 0)} interval"


def unit_label(speakers: pd.Series) -> str:
    """Return the unit that intervals resample (see `resampling_unit`), with the number of speakers where they are 2 or 3.

    An interval over two or three speakers is hardly more than their range.
    """
    unit, n = intervals.resampling_unit(speakers), speakers.nunique()
    return f"{n} speakers" if unit == "speakers" and n < 4 else unit


def system_name(system: pd.Series | dict[str, str]) -> str:
    """Return the name of a system in figures, without its protocol: "mlp, functionals, per-speaker norm"."""
    norm = {"none": [], "speaker": ["per-speaker norm"]}.get(system["speaker_norm"], [system["speaker_norm"]])
    return ", ".join([system["model"], system["features"], *norm])


def headline_text(metrics: pd.DataFrame, over: str = "speakers") -> str:
    """Return the main result of the study in two or three sentences, rendered from ``metrics.csv``.

    The result is that of the main protocol (`ser_utils.evaluation.protocols.main_protocol`), in that protocol's wording: only
    results under ``speaker`` are about unseen speakers. The study's network is the first system that is not the original one.

    Parameters
    ----------
    metrics : pd.DataFrame
        From `ser_utils.evaluation.metrics.metrics_with_intervals`.
    over : str
        The unit that the intervals resample, from `unit_label`.
    """
    main = main_protocol(metrics.protocol)
    uar = metrics[metrics.metric == "uar"].set_index(SYSTEM_COLUMNS)
    sentences = [*_study_sentences(uar, main, over), *_original_sentences(uar, main)]
    if main != "speaker":
        sentences.append("No speaker was left out, so these results say nothing about unseen speakers.")
    return " ".join(sentences)


def _study_sentences(uar: pd.DataFrame, main: str, over: str) -> list[str]:
    systems = [(model, features) for _, model, features, _ in uar.index if (model, features) != ORIGINAL_SYSTEM]
    keys = {norm: (main, *system, norm) for system in systems[:1] for norm in SPEAKER_NORMS}
    sentences = []
    for norm, row in {norm: uar.loc[key] for norm, key in keys.items() if key in uar.index}.items():
        interval = f"{100 * row.ci_low:.1f} to {percent(row.ci_high)}"
        if norm == "none":
            sentences.append(
                f"For {wording(main).many}, the study's network reaches a UAR of {percent(row.value)} (unweighted average "
                f"recall; {interval_label()} over {over} {interval}; {int(row.n_seeds)} seeds)."
            )
        else:
            sentences.append(
                f"With per-speaker normalisation (the speaker's unlabelled clips) it reaches {percent(row.value)} ({interval})."
            )
    return sentences


def _original_sentences(uar: pd.DataFrame, main: str) -> list[str]:
    as_published, in_main = (uar.value.get((protocol, *ORIGINAL_SYSTEM, "none")) for protocol in ("as_published", main))
    if as_published is None or in_main is None:
        return []
    return [
        f"The original network reaches {percent(as_published)} under the published protocol and {percent(in_main)} for "
        f"{wording(main).many}."
    ]
