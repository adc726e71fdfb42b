"""Rows of a feature table of a small, balanced corpus, and its folds."""

import itertools

import pandas as pd

from ser_utils.core.tables import ORIGINAL
from ser_utils.evaluation import folds

SPEAKERS, EMOTIONS, SENTENCES = ("a", "b", "c", "d"), ("joy", "anger", "fear"), ("s1", "s2", "s3")


def make_rows(speakers=SPEAKERS, emotions=EMOTIONS, sentences=SENTENCES, variants=(ORIGINAL, "noise")):
    """One clip for each speaker, emotion and sentence, in each variant."""
    rows = [
        {
            "file": f"{speaker}-{emotion}-{sentence}.wav",
            "variant": variant,
            "speaker": speaker,
            "sentence": sentence,
            "emotion": emotion,
            "audio_sha256": f"sum of {speaker}-{emotion}-{sentence}",
        }
        for speaker, emotion, sentence, variant in itertools.product(speakers, emotions, sentences, variants)
    ]
    return pd.DataFrame(rows)


def make_many_rows(n_speakers, n_sentences):
    """Original clips of as many speakers and sentences."""
    return make_rows([f"{i:03d}" for i in range(n_speakers)], EMOTIONS, [f"s{i:02d}" for i in range(n_sentences)], (ORIGINAL,))


def rows_and_roles(protocol, rows=None, seeds=(0,), n_folds=5):
    """The rows, and the roles of each fold of all seeds."""
    rows = make_rows() if rows is None else rows
    table = folds.make_folds(rows, protocol=protocol, seeds=list(seeds), n_folds=n_folds)
    by_seed = folds.folds_by_seed(table, protocol, list(seeds))
    return rows, [roles for part in by_seed.values() for _, roles in folds.iter_folds(part, rows)]
