"""One quick result: a corpus, a feature set, an augmentation or a network tried out from a notebook or a terminal."""

from collections.abc import Sequence

import pandas as pd

from ser_utils.augment import STRENGTHS
from ser_utils.corpora import get_corpus, utterance_table
from ser_utils.experiment import System, heard_by, load, prediction_table, run, usable_norms
from ser_utils.extraction import feature_tables
from ser_utils.folds import main_protocol, make_folds, of_seeds, possible
from ser_utils.metrics import summary


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
        A registered name, or the path of a folder or a CSV; see `ser_utils.corpora.get_corpus`.
    model : str
        A name in `ser_utils.models.MODELS`.
    features : str
        A name in `ser_utils.features.FEATURE_SETS`; empty for the model's own.
    variants : sequence of str
        Names in `ser_utils.augment.AUGMENTATIONS`: these variants of the training clips train, too.
    speaker_norm : str
        ``none`` or ``speaker``.
    n_seeds, n_jobs : int
        Seeds, and processes.

    Returns
    -------
    pd.DataFrame [columns=protocol, model, features, speaker_norm, metric, value, ci_low, ci_high, n_clips, n_seeds]
        Shares from 0 to 1, with 95 % intervals (`ser_utils.metrics.summary`).

    Raises
    ------
    StudyError
        A name is unknown, the corpus is not there or cannot be split, or the network does not fit.
    """
    entry, system = get_corpus(corpus), System(model, heard_by(model, features), speaker_norm)
    utterances, _ = utterance_table(entry)
    usable_norms([speaker_norm], utterances.speaker)
    how = {"root": entry.root, "features": [system.features], "variants": list(variants), "strengths": STRENGTHS}
    table = feature_tables(list(utterances.file), n_jobs=n_jobs, **how)[system.features]
    data = load(table, utterances, drop=[], rename={}, speaker_norm=speaker_norm)
    protocol = main_protocol([name for name, why_not in possible(data.rows).items() if not why_not])
    seeds = list(range(n_seeds))
    folds = of_seeds(make_folds(data.rows, protocol=protocol, seeds=seeds, n_folds=5), protocol, seeds)
    augmented = True if variants else None
    result = run(system, data, folds, protocol=protocol, main=protocol, augmented=augmented, n_jobs=n_jobs)
    return summary(prediction_table(result.fitted, data, system, protocol))
