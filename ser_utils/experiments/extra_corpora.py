"""Extra training corpora: clips of other corpora that train in every fold and are never tested.

An extra corpus is prepared in a run of its own. Its clips with emotions of the main corpus become rows after those of the
main corpus, standardised by their own statistics, so that networks do not learn differences in microphone or language as
emotion. No fold names these rows, so they are training rows in every fold. `ser_utils.evaluation.leakage` raises an error if
they are validation or test rows.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import EXTRA_CORPUS
from ser_utils.corpora.utterances import read_utterances
from ser_utils.experiments.data import Data, load_data, standardise_by_group
from ser_utils.features.registry import feature_file_name, read_features

LEFT_OUT_COLUMNS = ["corpus", "emotion", "clips", "reason"]
"""Columns of ``extra_left_out.csv``."""


def read_extra_corpora(runs: list[str], features: str) -> dict[str, Data]:
    """Read prepared corpora by the names of their runs: all clips, with features as extracted."""
    prepared = {}
    for name in runs:
        out = paths.out_dir(name)
        table = read_features(out / feature_file_name(features), features)
        prepared[name] = load_data(table, read_utterances(out / "utterances.csv"), drop=[], rename={})
    return prepared


def select_rows(data: Data, keep: np.ndarray, **columns: pd.Series) -> Data:
    """Return the rows marked in `keep`, with some columns replaced."""
    return replace(data, rows=data.rows.assign(**columns)[keep].reset_index(drop=True), x=data.x[keep])


def corpus_prefixes(name: str) -> dict[str, str]:
    """Return the prefix of a corpus' files, speakers and sentences in a table of several corpora."""
    return {"file": f"{name}/", "speaker": f"{name}:", "sentence": f"{name}:"}


def prefixed_columns(name: str, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the columns file, speaker and sentence with the corpus' prefix, which makes them unique among corpora."""
    return {column: prefix + rows[column] for column, prefix in corpus_prefixes(name).items()}


def relabel_data(data: Data, *, drop: list[str], rename: Mapping[str, str]) -> Data:
    """Drop and rename emotions; unlike in `ser_utils.corpora.labels.relabel`, the corpus may lack some of them."""
    return select_rows(data, ~data.rows.emotion.isin(drop).to_numpy(), emotion=data.rows.emotion.replace(dict(rename)))


def usable_extra_corpora(
    main: Data, extra: Mapping[str, Data], *, drop: list[str], rename: Mapping[str, str]
) -> tuple[dict[str, Data], pd.DataFrame]:
    """Select the clips of extra corpora whose emotions the main corpus has, after both are relabelled.

    Parameters
    ----------
    main : Data
        The main corpus, relabelled.
    extra : mapping
        From `read_extra_corpora`.
    drop, rename
        As used for the main corpus.

    Returns
    -------
    usable : dict
        The extra corpora with the selected clips.
    left_out : pd.DataFrame [columns=LEFT_OUT_COLUMNS]
        Number of clips left out, by corpus and emotion.

    Raises
    ------
    StudyError
        An extra corpus shares no emotion with the main corpus, or contains one of its recordings.
    """
    usable, left_out = {}, []
    for name, data in extra.items():
        _check_recordings(name, data, main)
        emotion = data.rows.emotion.mask(data.rows.emotion.isin(drop)).replace(dict(rename))
        shared = emotion.isin(main.classes).to_numpy()
        if not shared.any():
            raise StudyError(
                f"The extra corpus {name} shares no emotion with the main corpus: it has {', '.join(data.classes)}, expected "
                f"some of {', '.join(main.classes)}; remove it from EXTRA_CORPORA, or rename emotions with RENAME_EMOTIONS."
            )
        usable[name] = select_rows(data, shared, emotion=emotion)
        counts = data.rows[~shared].groupby("emotion").file.nunique()
        left_out += [
            (name, label, n, "dropped by DROP_EMOTIONS" if label in drop else "the corpus has no such emotion")
            for label, n in counts.items()
        ]
    return usable, pd.DataFrame(left_out, columns=LEFT_OUT_COLUMNS)


def _check_recordings(name: str, data: Data, main: Data) -> None:
    if n := len(set(main.rows.audio_sha256) & set(data.rows.audio_sha256)):
        raise StudyError(
            f"The extra corpus {name} contains {n} of the main corpus' recordings, so it may contain test speakers: remove it "
            "from EXTRA_CORPORA, or remove these recordings from its folder."
        )


def join_extra_corpora(main: Data, extra: Mapping[str, Data], *, speaker_norm: str) -> Data:
    """Append the rows of extra corpora, standardised, to those of the main corpus.

    Parameters
    ----------
    main : Data
        The main corpus, normalised as the system requires.
    extra : mapping
        From `usable_extra_corpora`, with features as extracted.
    speaker_norm : str
        ``speaker``: each speaker of an extra corpus is standardised by its own clips; unknown speakers count as one.
        ``none``: each extra corpus is standardised by all of its clips. (The main corpus is standardised in each fold by its
        training rows; see `ser_utils.models.training.Fit.extra_rows`.)

    Returns
    -------
    Data
        With a column `ser_utils.core.tables.EXTRA_CORPUS`. Files, speakers and sentences of extra corpora have the corpus'
        name as prefix.
    """
    rows, x = [main.rows.assign(**{EXTRA_CORPUS: ""})], [main.x]
    for name, data in extra.items():
        groups = data.rows.speaker if speaker_norm == "speaker" else pd.Series(name, index=data.rows.index)
        rows.append(data.rows.assign(**prefixed_columns(name, data.rows), **{EXTRA_CORPUS: name}))
        x.append(standardise_by_group(data.x, data.rows, groups))
    return replace(main, rows=pd.concat(rows, ignore_index=True), x=np.concatenate(x))
