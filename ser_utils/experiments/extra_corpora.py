"""More speech for training: other corpora join the training side of every fold, and do nothing else.

An extra corpus is prepared like any other, in a run of its own. Its clips of emotions that the corpus has, too, become rows
behind the corpus' own, standardised by their own statistics, so that a microphone or a language does not pass for an emotion.
No fold names these rows, so that they train in each; `ser_utils.evaluation.leakage` sees to it that they are never tested or measured.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import EXTRA_CORPUS
from ser_utils.experiments.experiment import Data, load_data, standardise_by_group
from ser_utils.features.registry import feature_file_name, read_features

LEFT_OUT_COLUMNS = ["corpus", "emotion", "clips", "reason"]
"""Columns of ``extra_left_out.csv``."""


def read_extra_corpora(runs: list[str], features: str) -> dict[str, Data]:
    """Prepared corpora by the names of their runs (see `ser_utils.study.inputs.ensure_extra_corpora`): all clips, features as extracted."""
    found = {}
    for name in runs:
        out = paths.out_dir(name)
        utterances = corpora.read_utterances(out / "utterances.csv")
        found[name] = load_data(read_features(out / feature_file_name(features), features), utterances, drop=[], rename={})
    return found


def select_rows(data: Data, keep: np.ndarray, **columns: pd.Series) -> Data:
    """Some rows of a table, in place of all; with other columns where given."""
    return replace(data, rows=data.rows.assign(**columns)[keep].reset_index(drop=True), x=data.x[keep])


def corpus_prefixes(name: str) -> dict[str, str]:
    """What stands before a corpus' files, speakers and sentences, where it stands beside others."""
    return {"file": f"{name}/", "speaker": f"{name}:", "sentence": f"{name}:"}


def prefixed_columns(name: str, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Columns of rows with the corpus' name in front: its clips, voices and sentences are no other's of the same name."""
    return {column: mark + rows[column] for column, mark in corpus_prefixes(name).items()}


def relabel_data(data: Data, *, drop: list[str], rename: Mapping[str, str]) -> Data:
    """Without the emotions to drop, and the others renamed; unlike at `ser_utils.corpora.labels.relabel` the corpus may lack some."""
    return select_rows(data, ~data.rows.emotion.isin(drop).to_numpy(), emotion=data.rows.emotion.replace(dict(rename)))


def usable_extra_corpora(
    main: Data, extra: Mapping[str, Data], *, drop: list[str], rename: Mapping[str, str]
) -> tuple[dict[str, Data], pd.DataFrame]:
    """What of extra corpora may train beside a corpus: the emotions it has, after both were relabelled alike.

    Parameters
    ----------
    main : Data
        The corpus, relabelled.
    extra : mapping
        From `read`.
    drop, rename
        As the corpus itself was relabelled.

    Returns
    -------
    dict
        The extra corpora without the rest.
    left_out : pd.DataFrame [columns=LEFT_OUT]
        What the rest is.

    Raises
    ------
    StudyError
        A corpus shares no emotion with the main one, or holds a recording of it.
    """
    kept, left_out = {}, []
    heard = set(main.rows.audio_sha256)
    for name, data in extra.items():
        if n := len(heard & set(data.rows.audio_sha256)):
            raise StudyError(
                f"The extra corpus {name} holds {n} of the recordings that are to be tested, so that it may hold their voices: "
                "take it out of EXTRA_CORPORA, or these recordings out of its folder."
            )
        emotion = data.rows.emotion.mask(data.rows.emotion.isin(drop)).replace(dict(rename))
        fits = emotion.isin(main.classes).to_numpy()
        if not fits.any():
            raise StudyError(
                f"The extra corpus {name} shares no emotion with the corpus: it has {', '.join(data.classes)}, and expected "
                f"are some of {', '.join(main.classes)}; take it out of EXTRA_CORPORA, or map names with RENAME_EMOTIONS."
            )
        kept[name] = select_rows(data, fits, emotion=emotion)
        rest = data.rows[~fits].groupby("emotion").file.nunique()
        left_out += [
            (name, what, n, "dropped by DROP_EMOTIONS" if what in drop else "the corpus has no such emotion")
            for what, n in rest.items()
        ]
    return kept, pd.DataFrame(left_out, columns=LEFT_OUT_COLUMNS)


def join_extra_corpora(main: Data, extra: Mapping[str, Data], *, speaker_norm: str) -> Data:
    """The rows of a corpus, and behind them those of extra corpora, standardised.

    Parameters
    ----------
    main : Data
        The corpus, normalised as the system wants it.
    extra : mapping
        From `fitting`, as extracted.
    speaker_norm : str
        ``speaker``: each speaker of an extra corpus is standardised by its own clips, and those unknown as one. ``none``: each
        extra corpus is, by all of its clips; the corpus itself is by its training rows alone, fold by fold (see
        `ser_utils.models.training.Fit.extra_rows`).

    Returns
    -------
    Data
        With a column `ser_utils.core.tables.EXTRA_CORPUS`. Rows of extra corpora have its name before file, speaker and sentence.
    """
    rows, x = [main.rows.assign(**{EXTRA_CORPUS: ""})], [main.x]
    for name, data in extra.items():
        groups = data.rows.speaker if speaker_norm == "speaker" else pd.Series(name, index=data.rows.index)
        rows.append(data.rows.assign(**prefixed_columns(name, data.rows), **{EXTRA_CORPUS: name}))
        x.append(standardise_by_group(data.x, data.rows, groups))
    return replace(main, rows=pd.concat(rows, ignore_index=True), x=np.concatenate(x))
