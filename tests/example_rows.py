"""Rows of a feature table of a small, balanced corpus, its folds, and tables of predictions."""

import itertools

import numpy as np
import pandas as pd

from ser_utils.core.tables import ORIGINAL
from ser_utils.evaluation import folds

SPEAKERS, EMOTIONS, SENTENCES = ("a", "b", "c", "d"), ("joy", "anger", "fear"), ("s1", "s2", "s3")
CLASSES = ["neutral", "joy", "anger", "fear"]
SYSTEM = {"protocol": "speaker", "model": "m", "features": "f", "speaker_norm": "none"}


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


def predictions_from(rows, **system):
    """Predictions of one system from (seed, file, speaker, emotion, predicted)."""
    table = pd.DataFrame(rows, columns=["seed", "file", "speaker", "emotion", "predicted"])
    return table.assign(sentence="a", variant=ORIGINAL, fold=1, **SYSTEM | system)


def predictions_of(truth, answers, *, n_speakers=6, **system):
    """Predictions of one system from class numbers: truth [shape=(n,)] of all speakers' clips, answers [shape=(n_seeds, n)]."""
    speakers = np.repeat([f"s{i}" for i in range(n_speakers)], len(truth) // n_speakers)
    files = [f"{speaker}/{i:04d}.wav" for i, speaker in enumerate(speakers)]
    emotions = np.take(CLASSES, truth)
    tables = [
        predictions_from(zip([seed] * len(truth), files, speakers, emotions, np.take(CLASSES, answer), strict=True), **system)
        for seed, answer in enumerate(answers)
    ]
    return pd.concat(tables, ignore_index=True)


def make_predictions(shares, *, n_clips=40, n_seeds=2, rng=None, **system):
    """Predictions of one system: of each speaker about that share is correct, and the wrong ones are spread evenly."""
    rng, shares = rng or np.random.default_rng(0), np.repeat(shares, n_clips)
    truth = np.resize(np.arange(4), len(shares))
    wrong = (truth + rng.integers(1, 4, (n_seeds, len(truth)))) % 4
    answers = np.where(rng.uniform(size=wrong.shape) < shares, truth, wrong)
    return predictions_of(truth, answers, n_speakers=len(shares) // n_clips, **system)
