"""Results by group of clips, by class and by clip: where does a system fail?

All functions take a table of predictions (see `ser_utils.evaluation.predictions`). Shares and recalls are from 0 to 1.
"""

import pandas as pd

from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.corpora.labels import class_order
from ser_utils.evaluation.predictions import TEST_ROW, iter_systems, select_system

MAX_PAIRS = 5
"""Number of confusions to list for each speaker."""


def uar_by(predictions: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Compute the UAR, mean over seeds, within groups of rows, over the classes in the truth of each group.

    Where the emotion is among the columns, a group has one class, and the UAR is its recall.
    """
    keys = dict.fromkeys([*columns, "seed", "emotion"])
    recall = (predictions.emotion == predictions.predicted).groupby([predictions[name] for name in keys]).mean()
    return recall.groupby(level=[*columns, "seed"]).mean().groupby(level=columns).mean()


def uar_by_group(predictions: pd.DataFrame, columns: str | list[str]) -> pd.DataFrame:
    """Compute each system's UAR, mean over seeds, within groups of clips; by emotion, the recall of that emotion.

    Parameters
    ----------
    columns : str or list of str
        The columns that define the groups, such as ``"sentence"`` or ``["emotion", "speaker"]``.

    Returns
    -------
    pd.DataFrame [columns=SYSTEM_COLUMNS, `columns`, metric, value, n_clips, n_speakers]
        metric is ``recall`` where the emotion is among the columns, else ``uar``; `n_clips` is the number of clips of a group.
    """
    by = [*SYSTEM_COLUMNS, *([columns] if isinstance(columns, str) else columns)]
    metric, groups = "recall" if "emotion" in by else "uar", predictions.groupby(by)
    counts = {"n_clips": groups.file.nunique(), "n_speakers": groups.speaker.nunique()}
    table = pd.DataFrame({"metric": metric, "value": uar_by(predictions, by), **counts}).reset_index()
    if metric == "uar":
        return table
    position = {name: i for i, name in enumerate(class_order(table.emotion))}
    return table.sort_values(by, key=lambda keys: keys.map(position) if keys.name == "emotion" else keys, ignore_index=True)


def confusion_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Compute ``confusion_matrix.csv``: for each system and true emotion, the share of its clips predicted as each class.

    Predictions of all seeds count. Shares are normalised by true emotion: each row sums to 1, and the diagonal is the recall.

    Returns
    -------
    pd.DataFrame [columns=SYSTEM_COLUMNS, emotion, then one per class]
    """
    from sklearn.metrics import confusion_matrix

    tables = []
    for system, part in iter_systems(predictions):
        shares = confusion_matrix(part.emotion, part.predicted, labels=classes, normalize="true")
        tables.append(pd.DataFrame({**system, "emotion": classes}).join(pd.DataFrame(shares, columns=classes)))
    return pd.concat(tables, ignore_index=True)


def report_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Compute ``classification_report.csv``: for each system and emotion precision, recall and F1, and their macro averages.

    They are those of scikit-learn for each seed, averaged over the seeds; the macro F1 is therefore that of ``metrics.csv``.

    Returns
    -------
    pd.DataFrame [columns=SYSTEM_COLUMNS, emotion, precision, recall, f1, support]
        `support` is the number of test clips of one seed.
    """
    from sklearn.metrics import classification_report

    tables = []
    for system, part in iter_systems(predictions):
        reports = [
            pd.DataFrame(classification_report(one.emotion, one.predicted, output_dict=True, zero_division=0)).T
            for _, one in part.groupby("seed")
        ]
        means = pd.concat(reports).groupby(level=0).mean().rename(columns={"f1-score": "f1"})
        table = means.reindex([*classes, "macro avg"], fill_value=0)
        table["support"] = table.support.round().astype(int)
        tables.append(table.rename_axis("emotion").reset_index().assign(**system))
    return pd.concat(tables, ignore_index=True)[[*SYSTEM_COLUMNS, "emotion", "precision", "recall", "f1", "support"]]


def misclassified_by_every_seed(predictions: pd.DataFrame) -> pd.DataFrame:
    """List the clips that one system misclassifies under every seed, among those that every seed tests.

    Returns
    -------
    pd.DataFrame [columns=file, variant, speaker, sentence, emotion, answer, answer_share]
        `answer` is the most frequent prediction (the first in alphabetical order of equally frequent ones) and `answer_share`
        the share of seeds that predict it. Clips with the largest share come first.
    """
    table = select_system(predictions)
    rows = []
    for (file, variant), clip in table.groupby(TEST_ROW):
        if len(clip) == table.seed.nunique() and (clip.predicted != clip.emotion).all():
            shares = clip.predicted.value_counts(normalize=True).sort_index()
            labels = clip.iloc[0][["speaker", "sentence", "emotion"]]
            rows.append((file, variant, *labels, shares.idxmax(), round(shares.max(), 6)))
    wrong = pd.DataFrame(rows, columns=[*TEST_ROW, "speaker", "sentence", "emotion", "answer", "answer_share"])
    return wrong.sort_values(["answer_share", *TEST_ROW], ascending=[False, True, True], ignore_index=True)


def confused_pairs(predictions: pd.DataFrame) -> pd.DataFrame:
    """List the most frequent confusions of one system, over all speakers and for each speaker.

    Returns
    -------
    pd.DataFrame [columns=speaker, emotion, predicted, share]
        At most `MAX_PAIRS` rows of speaker ``all``, then of each speaker. `share` is the share among the true emotion's clips
        of all seeds. Pairs that do not occur are left out.
    """
    table = select_system(predictions)
    tables = []
    for name, part in [("all", table), *table.groupby("speaker")]:
        shares = part.groupby("emotion").predicted.value_counts(normalize=True).rename("share").reset_index()
        wrong = shares[shares.emotion != shares.predicted]
        wrong = wrong.sort_values(["share", "emotion", "predicted"], ascending=[False, True, True]).head(MAX_PAIRS)
        tables.append(wrong.assign(speaker=name))
    return pd.concat(tables, ignore_index=True)[["speaker", "emotion", "predicted", "share"]]
