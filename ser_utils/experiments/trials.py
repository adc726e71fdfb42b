"""One quick result: a corpus, a feature set, an augmentation or a network tried out from a notebook or a terminal."""

from collections.abc import Sequence

import pandas as pd

from ser_utils.core.parallel import Execution
from ser_utils.corpora.lookup import get_corpus
from ser_utils.corpora.utterances import utterance_table
from ser_utils.evaluation.folds import folds_by_seed, make_folds, obstacles
from ser_utils.evaluation.metrics import metrics_with_intervals
from ser_utils.evaluation.protocols import main_protocol
from ser_utils.experiments.experiment import (
    RunSettings,
    System,
    load_data,
    prediction_table,
    resolve_feature_set,
    run_protocol,
    usable_norms,
)
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.extraction import feature_tables


def trial(
    corpus: str,
    *,
    model: str = "mlp",
    features: str = "",
    variants: Sequence[str] = (),
    speaker_norm: str = "none",
    n_seeds: int = 1,
    n_jobs: int = 1,
) -> pd.DataFrame:
    """Train and test one network under the corpus' main protocol, as the notebooks do, and write nothing but the cache.

    Parameters
    ----------
    corpus : str
        A registered name, or the path of a folder or a CSV; see `ser_utils.corpora.utterances.get_corpus`.
    model : str
        A name in `ser_utils.models.registry.MODELS`.
    features : str
        A name in `ser_utils.features.registry.FEATURE_SETS`; empty for the model's own.
    variants : sequence of str
        Names in `ser_utils.features.augmentation.AUGMENTATIONS`: these variants of the training clips train, too.
    speaker_norm : str
        ``none`` or ``speaker``.
    n_seeds, n_jobs : int
        Seeds, and processes.

    Returns
    -------
    pd.DataFrame [columns=protocol, model, features, speaker_norm, metric, value, ci_low, ci_high, n_clips, n_seeds]
        Shares from 0 to 1, with 95 % intervals (`ser_utils.evaluation.metrics.metrics_with_intervals`).

    Raises
    ------
    StudyError
        A name is unknown, the corpus is not there or cannot be split, or the network does not fit.
    """
    entry, system = get_corpus(corpus), System(model, resolve_feature_set(model, features), speaker_norm)
    utterances, _ = utterance_table(entry)
    usable_norms([speaker_norm], utterances.speaker)
    how = {"root": entry.root, "features": [system.features], "variants": list(variants), "strengths": STRENGTHS}
    table = feature_tables(list(utterances.file), execution=Execution(n_jobs), **how)[system.features]
    data = load_data(table, utterances, drop=[], rename={}, speaker_norm=speaker_norm)
    protocol = main_protocol([name for name, why_not in obstacles(data.rows).items() if not why_not])
    seeds = list(range(n_seeds))
    folds = folds_by_seed(make_folds(data.rows, protocol=protocol, seeds=seeds, n_folds=5), protocol, seeds)
    augmented = True if variants else None
    result = run_protocol(
        system,
        data,
        folds,
        protocol=protocol,
        settings=RunSettings(main=protocol, augmented=augmented),
        execution=Execution(n_jobs),
    )
    return metrics_with_intervals(prediction_table(result.fitted, data, system, protocol))
