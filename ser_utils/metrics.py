"""How good predictions are, with intervals that respect how few speakers there are.

All functions take the table of predictions (see `ser_utils.experiment.PREDICTION_COLUMNS`).
"""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, f1_score, recall_score

SETUP = ["protocol", "model", "features", "speaker_norm"]
"""What identifies one system; a row of predictions belongs to one system and one seed."""
METRICS = ("uar", "accuracy", "macro_f1")
"""Unweighted average recall (the headline: Schuller et al., INTERSPEECH 2009 challenge), accuracy, macro F1."""


def scores(truth: pd.Series, predicted: pd.Series) -> dict[str, float]:
    """UAR, accuracy and macro F1 of one set of predictions, each from 0 to 1, over the classes in `truth`."""
    classes = sorted(truth.unique())
    return {
        "uar": float(recall_score(truth, predicted, labels=classes, average="macro", zero_division=0)),
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": float(f1_score(truth, predicted, labels=classes, average="macro", zero_division=0)),
    }


def by_speaker(predictions: pd.DataFrame) -> pd.DataFrame:
    """The metrics of each speaker, mean over seeds: the columns of `SETUP`, then speaker, metric, value, n_clips."""
    rows = []
    for keys, clips in predictions.groupby([*SETUP, "speaker"], sort=False):
        seeds = pd.DataFrame([scores(part.emotion, part.predicted) for _, part in clips.groupby("seed")])
        n = len(clips) // clips.seed.nunique()
        rows += [
            {**dict(zip([*SETUP, "speaker"], keys, strict=True)), "metric": name, "value": value, "n_clips": n}
            for name, value in seeds.mean().items()
        ]
    return pd.DataFrame(rows)


def summary(predictions: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """``metrics.csv``: each system's metrics, mean over seeds, with 95 % intervals.

    The interval is the percentile bootstrap over speakers, and over seeds within: clips of one speaker are alike, so
    resampling clips would promise a precision that six speakers cannot give.

    Parameters
    ----------
    predictions : pd.DataFrame
        Predictions of any number of systems.
    n_resamples : int
        Bootstrap resamples.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    pd.DataFrame [columns=protocol, model, features, speaker_norm, metric, value, ci_low, ci_high, n_clips, n_seeds]
        `value`, `ci_low` and `ci_high` are from 0 to 1; `n_clips` counts test rows of one seed.
    """
    rows = []
    for keys, table in predictions.groupby(SETUP, sort=False):
        value = pd.DataFrame([scores(part.emotion, part.predicted) for _, part in table.groupby("seed")]).mean()
        low, high = _interval(table, np.random.default_rng(seed), n_resamples)
        for i, name in enumerate(METRICS):
            rows.append(
                {
                    **dict(zip(SETUP, keys, strict=True)),
                    "metric": name,
                    "value": value[name],
                    "ci_low": low[i],
                    "ci_high": high[i],
                    "n_clips": len(table) // table.seed.nunique(),
                    "n_seeds": table.seed.nunique(),
                }
            )
    return pd.DataFrame(rows)


def _interval(table: pd.DataFrame, rng: np.random.Generator, n_resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """2.5 and 97.5 % points [shape=(3,) each] of the metrics of one system, resampling speakers and seeds within.

    Every metric comes from a confusion matrix, and matrices of speakers add up: one matrix per speaker and seed is enough.
    """
    classes = sorted(set(table.emotion) | set(table.predicted))
    matrices = np.array(
        [
            [
                confusion_matrix(part.emotion, part.predicted, labels=classes)
                for part in (clips[clips.seed == seed] for seed in sorted(table.seed.unique()))
            ]
            for _, clips in table.groupby("speaker")
        ]
    )
    n_speakers, n_seeds = matrices.shape[:2]
    chosen = rng.integers(n_speakers, size=(n_resamples, n_speakers))
    seeds = rng.integers(n_seeds, size=(n_resamples, n_speakers))
    drawn = _from_matrix(matrices[chosen, seeds].sum(axis=1))
    return np.quantile(drawn, 0.025, axis=0), np.quantile(drawn, 0.975, axis=0)


def _from_matrix(matrix: np.ndarray) -> np.ndarray:
    """UAR, accuracy and macro F1 [shape=(..., 3)] from confusion matrices [shape=(..., n, n)], truth in rows."""
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    truth, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    there = truth > 0
    n_classes = there.sum(axis=-1)
    recall = np.divide(right, truth, out=np.zeros(right.shape), where=there)
    f1 = np.divide(2 * right, truth + predicted, out=np.zeros(right.shape), where=there)
    return np.stack([recall.sum(-1) / n_classes, right.sum(-1) / truth.sum(-1), f1.sum(-1) / n_classes], axis=-1)


def chance(predictions: pd.DataFrame) -> float:
    """The UAR of guessing: one over the number of emotions."""
    return 1 / predictions.emotion.nunique()


def confusion_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """``confusion_matrix.csv``: per protocol and true emotion, the share of its clips given each label.

    Shares are normalised by true label: each row sums to 1, and the diagonal is the recall. All seeds count.

    Returns
    -------
    pd.DataFrame [columns=protocol, emotion, then one per class]
    """
    tables = []
    for protocol, part in predictions.groupby("protocol", sort=False):
        shares = confusion_matrix(part.emotion, part.predicted, labels=classes, normalize="true")
        table = pd.DataFrame(shares, columns=classes)
        table.insert(0, "emotion", classes)
        table.insert(0, "protocol", protocol)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def report_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """``classification_report.csv``: per protocol and emotion precision, recall, f1 (all seeds) and the clips of a seed."""
    tables = []
    for protocol, part in predictions.groupby("protocol", sort=False):
        report = classification_report(part.emotion, part.predicted, labels=classes, output_dict=True, zero_division=0)
        table = pd.DataFrame({name: report[name] for name in [*classes, "macro avg"]}).T.rename(columns={"f1-score": "f1"})
        table["support"] = (table.support / part.seed.nunique()).round().astype(int)
        table.insert(0, "protocol", protocol)
        tables.append(table.rename_axis("emotion").reset_index())
    return pd.concat(tables, ignore_index=True)[["protocol", "emotion", "precision", "recall", "f1", "support"]]


def value_of(metrics: pd.DataFrame, **where: str) -> float:
    """The one value in ``metrics.csv`` at the given columns, such as ``protocol="speaker", metric="uar"``."""
    found = metrics
    for column, wanted in where.items():
        found = found[found[column] == wanted]
    if len(found) != 1:
        raise KeyError(f"{len(found)} rows of metrics.csv match {where}, expected one")
    return float(found.value.iloc[0])


def percent(share: float, digits: int = 1) -> str:
    """A share from 0 to 1 as per cent: 0.2449 as "24.5 %"."""
    return f"{100 * share:.{digits}f} %"


def headline(metrics: pd.DataFrame) -> str:
    """The study's result in one or two sentences, rendered from ``metrics.csv``."""
    uar = metrics[metrics.metric == "uar"].set_index("protocol")
    said = []
    if "speaker" in uar.index:
        row = uar.loc["speaker"]
        said.append(
            f"In a voice it has never heard, the network finds the right emotion in {100 * row.value:.1f} % "
            f"(unweighted average recall; 95 % interval over speakers {100 * row.ci_low:.1f} to "
            f"{100 * row.ci_high:.1f} %; {int(row.n_seeds)} seeds)."
        )
    if "as_published" in uar.index:
        said.append(
            f"Tested as the original study tested it, the same network seems to reach "
            f"{100 * uar.loc['as_published'].value:.1f} %."
        )
    return " ".join(said)
