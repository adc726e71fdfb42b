"""A quick result for one corpus, feature set, augmentation, protocol, network or baseline, from a notebook or a terminal."""

from collections.abc import Sequence

import pandas as pd

from ser_utils.core.parallel import Execution
from ser_utils.corpora.lookup import get_corpus
from ser_utils.corpora.utterances import utterance_table
from ser_utils.evaluation.folds import folds_by_seed, make_folds, obstacles
from ser_utils.evaluation.metrics import metrics_with_intervals
from ser_utils.evaluation.protocols import main_protocol
from ser_utils.experiments.baseline_runs import run_baseline
from ser_utils.experiments.data import load_data
from ser_utils.experiments.experiment import prediction_table, run_protocol
from ser_utils.experiments.systems import RunSettings, System, resolve_feature_set, usable_norms
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.extraction import feature_tables
from ser_utils.models.baselines import BASELINES


def trial(
    corpus: str,
    *,
    model: str = "mlp",
    features: str = "",
    variants: Sequence[str] = (),
    speaker_norm: str = "none",
    protocol: str = "",
    n_seeds: int = 1,
    n_jobs: int = 1,
) -> pd.DataFrame:
    """Train and test one network or baseline under one protocol, as the notebooks do; only the cache is written.

    Parameters
    ----------
    corpus : str
        A registered name, or the path of a folder or a CSV; see `ser_utils.corpora.utterances.get_corpus`.
    model : str
        A name in `ser_utils.models.registry.MODELS` or `ser_utils.models.baselines.BASELINES`.
    features : str
        A name in `ser_utils.features.registry.FEATURE_SETS`; empty for the model's default.
    variants : sequence of str
        Names in `ser_utils.features.augmentation.AUGMENTATIONS`: a network also trains on these variants of the training
        clips; a baseline does not.
    speaker_norm : str
        ``none`` or ``speaker``.
    protocol : str
        A name in `ser_utils.evaluation.protocols.PROTOCOLS`; empty for the corpus' main protocol. As in the study, a network
        under another protocol than the main one has its default settings.
    n_seeds, n_jobs : int
        Number of seeds, and of processes.

    Returns
    -------
    pd.DataFrame [columns=protocol, model, features, speaker_norm, metric, value, ci_low, ci_high, n_clips, n_seeds]
        Values from 0 to 1 with 95 % intervals (see `ser_utils.evaluation.metrics.metrics_with_intervals`).

    Raises
    ------
    StudyError
        A name is unknown, the corpus is missing or cannot be split by the protocol, or the model cannot take the features.
    """
    features = resolve_feature_set(model, features)
    entry = get_corpus(corpus)
    utterances, _ = utterance_table(entry)
    usable_norms([speaker_norm], utterances.speaker)
    execution, seeds = Execution(n_jobs), list(range(n_seeds))
    tables = feature_tables(
        list(utterances.file),
        root=entry.root,
        features=[features],
        variants=list(variants),
        strengths=STRENGTHS,
        execution=execution,
    )
    data = load_data(tables[features], utterances, drop=[], rename={}, speaker_norm=speaker_norm)
    main = main_protocol(name for name, obstacle in obstacles(data.rows).items() if not obstacle)
    protocol = protocol or main
    folds = folds_by_seed(make_folds(data.rows, protocol=protocol, seeds=seeds, n_folds=5), protocol, seeds)
    if model in BASELINES:
        predictions = run_baseline(
            model, data, folds, protocol=protocol, features=features, speaker_norm=speaker_norm, execution=execution
        )
    else:
        system = System(model, features, speaker_norm)
        settings = RunSettings(main, augmented=True if variants else None)
        result = run_protocol(system, data, folds, protocol=protocol, settings=settings, execution=execution)
        predictions = prediction_table(result.fitted, data, system, protocol)
    return metrics_with_intervals(predictions)
