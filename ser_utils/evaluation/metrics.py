"""How good predictions are, with intervals that respect how few speakers there are.

All functions take the table of predictions (see `ser_utils.core.tables.PREDICTION_COLUMNS`).
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm, t
from sklearn.metrics import classification_report, confusion_matrix

from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.core.tables import SYSTEM_COLUMNS, UNKNOWN
from ser_utils.evaluation.protocols import PROTOCOLS, main_protocol, wording

METRICS = ("uar", "accuracy", "macro_f1")
"""Unweighted average recall (the headline: Schuller et al., INTERSPEECH 2009 challenge), accuracy, macro F1."""


def uar(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """UAR of many answers to the same clips at once.

    Parameters
    ----------
    truth : np.ndarray [shape=(n_clips,), dtype=int]
    predicted : np.ndarray [shape=(..., n_clips), dtype=int]
        Class numbers.

    Returns
    -------
    np.ndarray [shape=(...)]
        From 0 to 1, over the classes in `truth`.
    """
    return np.mean([(predicted[..., truth == number] == number).mean(axis=-1) for number in np.unique(truth)], axis=0)


UNITS = {"speakers": "speaker", "clips": "file"}
"""What an interval may resample, and the column that names it."""


def resampling_unit(speakers: pd.Series) -> str:
    """What intervals resample: ``speakers`` where two or more are known and none is unknown, else ``clips``.

    Clips of one speaker are alike: an interval over clips says nothing of other voices.
    """
    return "speakers" if speakers.nunique() > 1 and not (speakers == UNKNOWN).any() else "clips"


def unit_label(speakers: pd.Series) -> str:
    """`unit` in words: "speakers", "clips", or with their number where they are few, as in "2 speakers".

    Of two or three speakers an interval is hardly more than their range.
    """
    n, name = speakers.nunique(), resampling_unit(speakers)
    return f"{n} speakers" if name == "speakers" and n < 4 else name


def metrics_by_speaker(predictions: pd.DataFrame) -> pd.DataFrame:
    """The metrics of each speaker, mean over seeds: the columns of `SETUP`, then speaker, metric, value, n_clips."""
    rows = []
    for keys, table in predictions.groupby(SYSTEM_COLUMNS, sort=False):
        matrices, speakers = _matrices(table)
        heard = matrices.sum(axis=(2, 3))
        found = np.nanmean(_from_matrix(matrices), axis=1)
        for speaker, values, clips in zip(speakers, found, heard, strict=True):
            where = {**dict(zip(SYSTEM_COLUMNS, keys, strict=True)), "speaker": speaker}
            n = clips.sum() // np.count_nonzero(clips)
            rows += [
                {**where, "metric": name, "value": value, "n_clips": n} for name, value in zip(METRICS, values, strict=True)
            ]
    return pd.DataFrame(rows)


def metrics_with_intervals(
    predictions: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0, n_jobs: int = 1
) -> pd.DataFrame:
    """``metrics.csv``: each system's metrics, mean over seeds, with 95 % intervals.

    The interval is the expanded percentile bootstrap (see `tail`) over speakers, and over seeds within: clips of one
    speaker are alike, so resampling clips would promise a precision that six speakers cannot give. Where there are no two
    known speakers, clips are resampled all the same (see `unit`): say so wherever such an interval is shown.

    Parameters
    ----------
    predictions : pd.DataFrame
        Predictions of any number of systems.
    n_resamples : int
        Bootstrap resamples.
    seed : int
        Seed of the bootstrap.
    n_jobs : int
        Threads; -1 for one a core. The intervals do not depend on it.

    Returns
    -------
    pd.DataFrame [columns=protocol, model, features, speaker_norm, metric, value, ci_low, ci_high, n_clips, n_seeds]
        `value`, `ci_low` and `ci_high` are from 0 to 1; `n_clips` counts test rows of one seed.
    """
    systems = list(predictions.groupby(SYSTEM_COLUMNS, sort=False))
    over = UNITS[resampling_unit(predictions.speaker)]
    done = parallel_map(
        _summary_of, ((table, over, n_resamples, seed) for _, table in systems), execution=Execution(n_jobs), threads=True
    )
    rows = [
        {**dict(zip(SYSTEM_COLUMNS, keys, strict=True)), **row}
        for (keys, _), part in zip(systems, done, strict=True)
        for row in part
    ]
    return pd.DataFrame(rows)


def _summary_of(table: pd.DataFrame, over: str, n_resamples: int, seed: int) -> list[dict]:
    """The rows of one system in `summary`, without its name."""
    matrices, _ = _matrices(table, over)
    n_units, n_seeds = matrices.shape[:2]
    value = _from_matrix(matrices.sum(axis=0)).mean(axis=0)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(n_units, size=(n_resamples, n_units))
    drawn = [_from_matrix(_sums(matrices, chosen, rng.integers(n_seeds, size=chosen.shape))) for _ in range(n_seeds)]
    drawn = np.mean(drawn, axis=0)
    drawn = drawn[~np.isnan(drawn).any(axis=1)]  # units that a random split does not test may be all that is drawn
    low, high = (
        np.quantile(drawn, [expanded_alpha(n_units), 1 - expanded_alpha(n_units)], axis=0)
        if len(drawn)
        else np.full((2, 3), np.nan)
    )
    counts = {"n_clips": len(table) // n_seeds, "n_seeds": n_seeds}
    return [
        {"metric": name, "value": value[i], "ci_low": low[i], "ci_high": high[i], **counts} for i, name in enumerate(METRICS)
    ]


def _sums(matrices: np.ndarray, units: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Sums of the matrices [shape=(n_units, n_seeds, n, n)] drawn in each resample [shape=(n_resamples, n_units)].

    By how often each is drawn, some resamples at a time: thousands of clips would else fill the memory.
    """
    flat = matrices.reshape(-1, matrices[0, 0].size).astype(float)
    drawn, sums = units * matrices.shape[1] + seeds, np.empty((len(units), flat.shape[1]))
    cells = flat.argmax(axis=1) if (flat.sum(axis=1) == 1).all() else None  # one clip each: count cells, add no matrices
    width = flat.shape[1] if cells is not None else len(flat)
    at_once = max(1, 5_000_000 // max(width, drawn.shape[1]))
    for start in range(0, len(drawn), at_once):
        part = drawn[start : start + at_once]
        places = (part if cells is None else cells[part]) + width * np.arange(len(part))[:, None]
        counts = np.bincount(places.ravel(), minlength=len(part) * width).reshape(len(part), width)
        sums[start : start + at_once] = counts if cells is not None else counts @ flat
    return sums.reshape(-1, *matrices.shape[2:])


def expanded_alpha(n_speakers: int) -> float:
    """The share to cut off at each end of a bootstrap over so few speakers, for an interval of 95 %.

    The plain 2.5 % make it too short (with six speakers it covers the truth in some 86 %), so that the percentiles taken are
    further out: the expanded percentile interval of Hesterberg (The American Statistician, 2015).
    """
    if n_speakers < 2:
        return 0.025
    return float(norm.cdf(-t.ppf(0.975, n_speakers - 1) * np.sqrt(n_speakers / (n_speakers - 1))))


def _matrices(table: pd.DataFrame, over: str = "speaker") -> tuple[np.ndarray, list]:
    """Confusion matrices [shape=(n_speakers, n_seeds, n_classes, n_classes)], truth in rows, of one system; and the speakers
    (or what else the column `over` names).

    Every metric comes from a confusion matrix, and matrices of speakers add up: one per speaker and seed is enough.
    """
    classes = sorted(set(table.emotion) | set(table.predicted))
    truth, predicted = (pd.Categorical(table[name], classes).codes for name in ("emotion", "predicted"))
    (speaker, speakers), (seed, seeds) = (pd.factorize(table[name], sort=True) for name in (over, "seed"))
    matrices = np.zeros((len(speakers), len(seeds), len(classes), len(classes)), int)
    np.add.at(matrices, (speaker, seed, truth, predicted), 1)
    return matrices, list(speakers)


def _from_matrix(matrix: np.ndarray) -> np.ndarray:
    """UAR, accuracy and macro F1 [shape=(..., 3)] from confusion matrices [shape=(..., n, n)], truth in rows; NaN for none."""
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    truth, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    there = truth > 0
    n_classes = there.sum(axis=-1)
    recall = np.divide(right, truth, out=np.zeros(right.shape), where=there)
    f1 = np.divide(2 * right, truth + predicted, out=np.zeros(right.shape), where=there)
    with np.errstate(invalid="ignore"):
        return np.stack([recall.sum(-1) / n_classes, right.sum(-1) / truth.sum(-1), f1.sum(-1) / n_classes], axis=-1)


def chance_level(predictions: pd.DataFrame) -> float:
    """The UAR of guessing: one over the number of emotions."""
    return 1 / predictions.emotion.nunique()


def confusion_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """``confusion_matrix.csv``: per system and true emotion, the share of its clips given each label.

    Shares are normalised by true label: each row sums to 1, and the diagonal is the recall. All seeds count.

    Returns
    -------
    pd.DataFrame [columns=protocol, model, features, speaker_norm, emotion, then one per class]
    """
    tables = []
    for keys, part in predictions.groupby(SYSTEM_COLUMNS, sort=False):
        shares = confusion_matrix(part.emotion, part.predicted, labels=classes, normalize="true")
        table = pd.DataFrame({**dict(zip(SYSTEM_COLUMNS, keys, strict=True)), "emotion": classes})
        tables.append(table.join(pd.DataFrame(shares, columns=classes)))
    return pd.concat(tables, ignore_index=True)


def report_table(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """``classification_report.csv``: per system and emotion precision, recall, f1 (all seeds) and the clips of a seed."""
    tables = []
    for keys, part in predictions.groupby(SYSTEM_COLUMNS, sort=False):
        report = classification_report(part.emotion, part.predicted, labels=classes, output_dict=True, zero_division=0)
        table = pd.DataFrame({name: report[name] for name in [*classes, "macro avg"]}).T.rename(columns={"f1-score": "f1"})
        table["support"] = (table.support / part.seed.nunique()).round().astype(int)
        table = table.rename_axis("emotion").reset_index().assign(**dict(zip(SYSTEM_COLUMNS, keys, strict=True)))
        tables.append(table[[*SYSTEM_COLUMNS, "emotion", "precision", "recall", "f1", "support"]])
    return pd.concat(tables, ignore_index=True)


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


def headline_text(metrics: pd.DataFrame, over: str = "speakers") -> str:
    """The study's result in two or three sentences, rendered from ``metrics.csv``.

    The study's network is what comes first there beside the original one. The result is that of the main protocol
    (`ser_utils.evaluation.protocols.main_protocol`), and the words are its own: only ``speaker`` is of voices never heard.

    Parameters
    ----------
    metrics : pd.DataFrame
    over : str
        What the intervals resample, from the function of that name.
    """
    main = main_protocol(metrics.protocol)
    words = wording(main)
    original = (metrics.model == "original_mlp") & (metrics.features == "original38")
    model, features = ([*metrics[~original][["model", "features"]].itertuples(index=False)] or [("", "")])[0]
    uar = metrics[metrics.metric == "uar"].set_index(SYSTEM_COLUMNS)
    said = []
    if (main, model, features, "none") in uar.index:
        row = uar.loc[(main, model, features, "none")]
        said.append(
            f"{words.sentence}, the study's network finds the right emotion in {percent(row.value)} (unweighted "
            f"average recall; 95 % interval over {over} {percent(row.ci_low)} to {percent(row.ci_high)}; "
            f"{int(row.n_seeds)} seeds)."
        )
    if (main, model, features, "speaker") in uar.index:
        row = uar.loc[(main, model, features, "speaker")]
        said.append(
            f"Where its features may be normalised by that voice's own unlabelled clips, it is {percent(row.value)} "
            f"({percent(row.ci_low)} to {percent(row.ci_high)})."
        )
    original = [uar.value.get((name, "original_mlp", "original38", "none")) for name in ("as_published", main)]
    if None not in original:
        said.append(
            f"The original network seems to reach {percent(original[0])} when tested as published, and gets "
            f"{percent(original[1])} {words.sentence.replace('In ', 'for ', 1)}."
        )
    if main != "speaker":
        said.append("No speaker was left out, so that nothing here says how well it does in a voice it does not know.")
    return " ".join(said)


PREDICTIONS = ("predictions.csv", "predictions_compared.csv")
"""Files of predictions: of the study's network, and of what it is compared with (the original network, baselines)."""


def read_predictions(folder: Path) -> pd.DataFrame:
    """All predictions of a run as one table: see `PREDICTIONS`."""
    text = dict.fromkeys(("file", "speaker", "sentence", "variant", "emotion", "predicted"), str)
    return pd.concat([pd.read_csv(folder / name, dtype=text, keep_default_na=False) for name in PREDICTIONS], ignore_index=True)


def protocol_comparison(metrics: pd.DataFrame) -> pd.DataFrame:
    """``protocol_ladder.csv``: UAR of each system under each protocol, and the cost of the leak in points.

    Returns
    -------
    pd.DataFrame [columns=model, features, speaker_norm, one per protocol, cost_of_the_leak]
        `cost_of_the_leak` is what ``as_published`` adds to the main protocol, in points of UAR, each trained by its own
        rule; it is NaN without ``as_published``. Protocols that were not possible have no column.
    """
    uar = metrics[metrics.metric == "uar"]
    table = uar.pivot_table(index=SYSTEM_COLUMNS[1:], columns="protocol", values="value", sort=False)
    table = table[[name for name in PROTOCOLS if name in table]]
    table = table[table.notna().all(axis=1)].copy()
    published = table.get("as_published", np.nan)
    table["cost_of_the_leak"] = 100 * (published - table[main_protocol(table.columns)])
    return table.reset_index().rename_axis(columns=None)


def published_results(corpus: str) -> pd.DataFrame:
    """Published results on a corpus, with their sources: system, uar, kind, source, protocol, comparable (yes or no)."""
    table = pd.read_csv(Path(__file__).with_name("published_results.csv"))
    return table[table.corpus == corpus].drop(columns="corpus")
