"""Statistics that respect how few speakers there are: is a result above chance, is one system better than another, and where
does it fail?

All functions take the table of predictions (see `ser_utils.core.tables.PREDICTION_COLUMNS`). The unit of evidence is the
speaker: clips of one actor are alike, and seeds of one network are not new voices. Shares and recalls are from 0 to 1.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.corpora.labels import class_order
from ser_utils.evaluation.metrics import expanded_alpha, resampling_unit

CLIP = ["file", "variant"]
"""What identifies a test row of one system and seed."""
ALL_FLIPS = 16
"""Up to so many speakers, every flip of signs is tried (65 536); beyond, `RANDOM_FLIPS` are drawn."""
RANDOM_FLIPS = 20_000
AT_ONCE = 5_000_000
"""Numbers drawn at once: with thousands of units, all resamples together would fill the memory."""


def select_system(predictions: pd.DataFrame, **where: str) -> pd.DataFrame:
    """The predictions of one system, named by columns of `SETUP`, such as ``protocol="speaker", model="mlp"``.

    Raises
    ------
    StudyError
        No system or more than one has these names; the message lists what there is.
    """
    found = predictions
    for column, wanted in where.items():
        found = found[found[column] == wanted]
    n = len(found[SYSTEM_COLUMNS].drop_duplicates())
    if n != 1:
        there = predictions[SYSTEM_COLUMNS].drop_duplicates().astype(str).to_numpy()
        listed = "; ".join(", ".join(keys) for keys in there) or "none"
        named = ", ".join(f"{column}={wanted}" for column, wanted in where.items()) or "no names"
        raise StudyError(f"{n} systems match {named}, expected one; there are ({', '.join(SYSTEM_COLUMNS)}): {listed}.")
    return found


def system_name(setup: Mapping[str, str] | pd.Series) -> str:
    """A system's name for people, without its protocol: "mlp, functionals, per-speaker norm"."""
    norm_name = {"none": [], "speaker": ["per-speaker norm"]}.get(setup["speaker_norm"], [setup["speaker_norm"]])
    return ", ".join([setup["model"], setup["features"], *norm_name])


def uar_by(predictions: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Mean over seeds of the unweighted average recall, by the given columns; a class counts where it is in the truth."""
    right = (predictions.emotion == predictions.predicted).astype(float)
    recall = right.groupby([predictions[name] for name in [*columns, "seed", "emotion"]]).mean()
    return recall.groupby(level=[*columns, "seed"]).mean().groupby(level=columns).mean()


# Above chance?


def above_chance(predictions: pd.DataFrame, *, n_permutations: int = 1000, n_jobs: int = 1) -> pd.DataFrame:
    """`permutation_test` of every system in a table.

    Parameters
    ----------
    n_jobs : int
        Threads; -1 for one a core. The result does not depend on it.

    Returns
    -------
    pd.DataFrame [columns=protocol, model, features, speaker_norm, uar, chance, null_95, p, n_permutations]
    """
    systems = list(predictions.groupby(SYSTEM_COLUMNS, sort=False))
    done = parallel_map(
        permutation_test, ((part, n_permutations) for _, part in systems), execution=Execution(n_jobs), threads=True
    )
    return pd.DataFrame(
        [{**dict(zip(SYSTEM_COLUMNS, keys, strict=True)), **one} for (keys, _), one in zip(systems, done, strict=True)]
    )


def permutation_test(predictions: pd.DataFrame, n_permutations: int = 1000, *, seed: int = 0) -> dict[str, float]:
    """Is one system's UAR, mean over seeds, above chance?

    Truth is shuffled among the clips of each speaker, the same way for every seed and variant of a clip: a network that knows
    the voices but hears no emotion, or whose seeds agree in their mistakes, gains nothing by it (Ojala & Garriga, JMLR 2010).

    Returns
    -------
    dict
        ``uar``; ``chance``, the mean of the shuffled; ``null_95``, the UAR that chance exceeds once in twenty; ``p``, which is
        (1 + shuffles at least as good) / (1 + shuffles); ``n_permutations``.

    Raises
    ------
    StudyError
        The table holds more than one system.
    """
    table = select_system(predictions)
    clips = table.drop_duplicates("file").sort_values("file")
    classes, truth = np.unique(clips.emotion, return_inverse=True)
    truths = np.tile(truth, (n_permutations + 1, 1))  # the first row stays as it is
    rng = np.random.default_rng(seed)
    for index in clips.groupby("speaker").indices.values():
        truths[1:, index] = rng.permuted(truths[1:, index], axis=1)
    uar, *null = _uar_under(truths, table, clips.file.to_numpy(), classes)
    return {
        "uar": float(uar),
        "chance": float(np.mean(null)),
        "null_95": float(np.quantile(null, 0.95)),
        "p": (1 + int(np.sum(np.array(null) >= uar - 1e-12))) / (1 + n_permutations),
        "n_permutations": n_permutations,
    }


def _uar_under(truths: np.ndarray, table: pd.DataFrame, files: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """UAR, mean over seeds [shape=(n,)], had the truth of the (sorted) files been a row of `truths` [shape=(n, n_files)].

    Hits of a class are a matrix product: which files have the class, times how often each is predicted to be of it.
    """
    file, (seeds, run) = np.searchsorted(files, table.file), np.unique(table.seed, return_inverse=True)
    tested = np.zeros((len(files), len(seeds)), np.float32)
    np.add.at(tested, (file, run), 1)
    recalls, there = [], []
    for number, name in enumerate(classes):
        guessed = np.zeros_like(tested)
        chosen = (table.predicted == name).to_numpy()
        np.add.at(guessed, (file[chosen], run[chosen]), 1)
        has = (truths == number).astype(np.float32)
        hits, total = has @ guessed, has @ tested
        recalls.append(np.divide(hits, total, out=np.zeros(hits.shape), where=total > 0))
        there.append(total > 0)
    return (np.sum(recalls, axis=0) / np.sum(there, axis=0)).mean(axis=1)


# Better than another?


def paired_comparison(predictions_a: pd.DataFrame, predictions_b: pd.DataFrame) -> dict:
    """Two systems, speaker by speaker: by how much is A better than B, and could the speakers drawn have made it so?

    Each speaker's UAR counts the same. Where speakers have unequal numbers of clips or lack an emotion, the mean over speakers
    is therefore not quite the UAR of ``metrics.csv``, which pools their clips.

    Returns
    -------
    dict
        ``speakers``, a table (speaker, uar_a, uar_b, difference = A - B; each UAR the mean over the system's seeds);
        ``uar_a``, ``uar_b`` and ``difference``, their means over speakers; ``ci_low``, ``ci_high`` of the mean difference
        (`interval`); ``n_better``, the speakers for whom A is better; ``n_speakers``; ``p`` and ``smallest_p`` (`sign_flip`).
        Without two known speakers (`ser_utils.evaluation.metrics.resampling_unit`) the clips are compared, each by its part in the UAR, and
        counted: ``n_clips`` stands for ``n_speakers``.

    Raises
    ------
    StudyError
        A table holds more than one system, or they were not tested on the same speakers.
    """
    a, b = (uar_by(select_system(table), ["speaker"]) for table in (predictions_a, predictions_b))
    if set(a.index) != set(b.index):
        odd = sorted(set(a.index) ^ set(b.index))
        raise StudyError(f"The two systems were not tested on the same speakers: only one has {', '.join(map(str, odd))}.")
    speakers = pd.DataFrame({"uar_a": a, "uar_b": b}).sort_index().rename_axis("speaker").reset_index()
    speakers["difference"] = speakers.uar_a - speakers.uar_b
    over = resampling_unit(predictions_a.speaker)
    units = speakers if over == "speakers" else _by_clip(predictions_a, predictions_b)
    low, high = bootstrap_interval(units.difference.to_numpy())
    p, smallest_p = sign_flip_test(units.difference.to_numpy())
    return {
        "speakers": speakers,
        **units[["uar_a", "uar_b", "difference"]].mean().to_dict(),
        "ci_low": low,
        "ci_high": high,
        "n_better": int((units.difference > 0).sum()),
        f"n_{over}": len(units),
        "p": p,
        "smallest_p": smallest_p,
    }


def _by_clip(predictions_a: pd.DataFrame, predictions_b: pd.DataFrame) -> pd.DataFrame:
    """Each clip's part in the UAR of two systems: what is right, mean over seeds, times what a clip of its emotion weighs.

    The mean over clips is the UAR.
    """
    emotion = predictions_a.drop_duplicates("file").set_index("file").emotion
    weight = len(emotion) / (emotion.nunique() * emotion.map(emotion.value_counts()))
    right = [
        (table.emotion == table.predicted).astype(float).groupby(table.file).mean() * weight
        for table in (predictions_a, predictions_b)
    ]
    if not right[0].index.equals(right[1].index):
        raise StudyError("The two systems were not tested on the same clips.")
    clips = pd.DataFrame({"uar_a": right[0], "uar_b": right[1]})
    return clips.assign(difference=clips.uar_a - clips.uar_b)


def comparison_table(
    predictions: pd.DataFrame, pairs: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]]
) -> pd.DataFrame:
    """`compare` for several questions.

    Parameters
    ----------
    predictions : pd.DataFrame
        Predictions of any number of systems.
    pairs : mapping
        Question to the names of A and of B, as `select` takes them.

    Returns
    -------
    pd.DataFrame [columns=comparison, uar_a, uar_b, difference, ci_low, ci_high, n_better, n_speakers, p, smallest_p]
        ``n_clips`` for ``n_speakers`` where clips were compared.
    """
    rows = []
    for question, (a, b) in pairs.items():
        found = paired_comparison(select_system(predictions, **a), select_system(predictions, **b))
        rows.append({"comparison": question, **{name: value for name, value in found.items() if name != "speakers"}})
    return pd.DataFrame(rows)


def bootstrap_interval(values: np.ndarray, *, n_resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of one value a speaker, resampling speakers.

    An expanded percentile interval: see `ser_utils.evaluation.metrics.expanded_alpha`.

    Parameters
    ----------
    values : np.ndarray [shape=(n_speakers,)]

    Raises
    ------
    StudyError
        There are fewer than two speakers.
    """
    n = len(values)
    if n < 2:
        raise StudyError(f"Found {n} speaker, expected two or more: an interval over speakers needs speakers to resample.")
    rng, parts = np.random.default_rng(seed), _parts(n_resamples, n)
    means = np.concatenate([np.asarray(values)[rng.integers(n, size=(part, n))].mean(axis=1) for part in parts])
    low, high = np.quantile(means, [expanded_alpha(n), 1 - expanded_alpha(n)])
    return float(low), float(high)


def _parts(n_draws: int, n: int) -> list[int]:
    """Numbers of draws of `n` values each that add up to `n_draws`, none of more than `AT_ONCE` values."""
    most = max(1, AT_ONCE // n)
    return [min(most, n_draws - start) for start in range(0, n_draws, most)]


def sign_flip_test(differences: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """Two-sided permutation p of a mean difference, and the smallest p that so many speakers can give.

    Were two systems alike, each speaker's difference might as well have the other sign (Fisher's randomisation test). All
    2^n flips are tried: exact. With six speakers the smallest p is 2 / 64 = 0.031, so that six actors can never show more.
    With more than `ALL_FLIPS` speakers, `RANDOM_FLIPS` flips are drawn instead.
    """
    differences, n = np.asarray(differences), len(differences)
    if n <= ALL_FLIPS:
        signs = np.array(list(itertools.product([1, -1], repeat=n)))
        smallest_p = 2 / len(signs)
        flipped = np.abs(signs @ differences) / n
    else:
        rng = np.random.default_rng(seed)
        drawn = [rng.choice([1, -1], size=(part, n)) @ differences for part in _parts(RANDOM_FLIPS, n)]
        smallest_p = 1 / (1 + RANDOM_FLIPS)
        flipped = np.abs(np.concatenate([[differences.sum()], *drawn])) / n
    return float(np.mean(flipped >= flipped[0] - 1e-12)), smallest_p


# Where does it fail?


def uar_by_group(
    predictions: pd.DataFrame, columns: str | list[str], *, of_speaker: Mapping[str, str] | pd.Series | None = None
) -> pd.DataFrame:
    """Each system's UAR, mean over seeds, within groups of clips; by emotion it is the recall of that emotion.

    Parameters
    ----------
    predictions : pd.DataFrame
        Predictions of any number of systems.
    columns : str or list of str
        Such as ``"sentence"`` or ``["emotion", "speaker"]``. A name that is no column is taken from `of_speaker`.
    of_speaker : mapping or pd.Series
        Speaker to group, such as the gender.

    Returns
    -------
    pd.DataFrame [columns=SETUP, then `columns`, metric, value, n_clips, n_speakers]
        metric is ``recall`` where the emotion is among the columns, else ``uar``; `n_clips` are the clips of a group.

    Raises
    ------
    StudyError
        A column is neither in the predictions nor given, or a speaker has no group.
    """
    columns = [columns] if isinstance(columns, str) else list(columns)
    table = predictions
    for name in set(columns).difference(predictions.columns):
        table = table.assign(**{name: _group_of(predictions.speaker, name, of_speaker)})
    groups = table.groupby([*SYSTEM_COLUMNS, *columns])
    found = pd.DataFrame(
        {
            "metric": "recall" if "emotion" in columns else "uar",
            "value": uar_by(table, [*SYSTEM_COLUMNS, *columns])
            if "emotion" not in columns
            else _recall_by(table, [*SYSTEM_COLUMNS, *columns]),
            "n_clips": groups.file.nunique(),
            "n_speakers": groups.speaker.nunique(),
        }
    ).reset_index()
    if "emotion" in columns:
        place = {name: i for i, name in enumerate(class_order(table.emotion))}
        by = [*SYSTEM_COLUMNS, *columns]
        found = found.sort_values(by, key=lambda one: one.map(place) if one.name == "emotion" else one, ignore_index=True)
    return found


def _group_of(speaker: pd.Series, name: str, of_speaker: Mapping[str, str] | pd.Series | None) -> pd.Series:
    """The group of each row's speaker."""
    if of_speaker is None:
        raise StudyError(f"The predictions have no column {name!r}: give the {name} of each speaker as of_speaker.")
    group = speaker.map(dict(of_speaker))
    if group.isna().any():
        raise StudyError(f"The speaker {speaker[group.isna()].iloc[0]!r} has no {name}: of_speaker must name every speaker.")
    return group


def _recall_by(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Mean over seeds of the share of clips that are right."""
    right = (table.emotion == table.predicted).astype(float)
    return right.groupby([table[name] for name in [*columns, "seed"]]).mean().groupby(level=columns).mean()


def misclassified_by_every_seed(predictions: pd.DataFrame) -> pd.DataFrame:
    """Clips that one system gets wrong under every seed, among those that every seed tested.

    Returns
    -------
    pd.DataFrame [columns=file, variant, speaker, sentence, emotion, answer, answer_share]
        `answer` is the most frequent prediction (the first by the alphabet, where two are as frequent) and `answer_share`
        the share of seeds that give it. Clips that all seeds mistake for the same emotion come first.
    """
    table = select_system(predictions)
    rows = []
    for (file, variant), clip in table.groupby(CLIP):
        if len(clip) == table.seed.nunique() and (clip.predicted != clip.emotion).all():
            answers = clip.predicted.value_counts(normalize=True).sort_index()
            first = clip.iloc[0]
            rows.append(
                (file, variant, first.speaker, first.sentence, first.emotion, answers.idxmax(), round(answers.max(), 6))
            )
    columns = [*CLIP, "speaker", "sentence", "emotion", "answer", "answer_share"]
    wrong = pd.DataFrame(rows, columns=columns)
    return wrong.sort_values(["answer_share", *CLIP], ascending=[False, True, True], ignore_index=True)


def confused_pairs(predictions: pd.DataFrame, *, top: int = 5) -> pd.DataFrame:
    """What one system mistakes for what, most often first: over all speakers, then for each.

    Returns
    -------
    pd.DataFrame [columns=speaker, emotion, predicted, share]
        At most `top` rows of speaker ``all`` and of each speaker. `share` is the share of the true emotion's clips, over all
        seeds; pairs that never occur are left out.
    """
    table = select_system(predictions)
    speakers = sorted(table.speaker.unique())
    parts = [table.assign(speaker="all"), *(table[table.speaker == name] for name in speakers)]
    found = []
    for part in parts:
        shares = part.groupby("emotion").predicted.value_counts(normalize=True).rename("share").reset_index()
        wrong = shares[shares.emotion != shares.predicted]
        worst = wrong.sort_values(["share", "emotion", "predicted"], ascending=[False, True, True]).head(top)
        found.append(worst.assign(speaker=part.speaker.iloc[0]))
    return pd.concat(found, ignore_index=True)[["speaker", "emotion", "predicted", "share"]]


# All seeds as one


def seed_ensemble(predictions: pd.DataFrame) -> pd.DataFrame:
    """The seeds of each system as one: probabilities averaged, the model renamed ``<model>_ensemble``, seed 0.

    Rows keep the order, and the fold, of their first occurrence. The probabilities are rounded as in ``predictions.csv``.

    Raises
    ------
    StudyError
        The seeds of a system did not test the same clips, or gave no probabilities.
    """
    made = []
    for keys, table in predictions.groupby(SYSTEM_COLUMNS, sort=False):
        columns = [name for name in table if name.startswith("p_") and table[name].notna().any()]
        counts = table.groupby(CLIP).size()
        if (counts != table.seed.nunique()).any():
            raise StudyError(
                f"The seeds of {', '.join(keys)} tested different clips, first {counts.idxmin()[0]}: an ensemble needs the "
                "same test clips of every seed."
            )
        if not columns or table[columns].isna().any(axis=None):
            raise StudyError(f"{', '.join(keys)} has rows without probabilities: an ensemble averages probabilities.")
        means = table.groupby(CLIP, sort=False)[columns].mean()
        one = table.drop_duplicates(CLIP).assign(seed=0, model=f"{keys[1]}_ensemble")
        one[columns] = means.round(4).to_numpy()
        one["predicted"] = means.idxmax(axis=1).str.removeprefix("p_").to_numpy()
        made.append(one)
    return pd.concat(made, ignore_index=True)


def over_speakers(table: pd.DataFrame, value: str, by: list[str]) -> pd.DataFrame:
    """Mean over speakers with the 95 % interval of `interval`: columns `by`, then `value`, low, high.

    One speaker alone has no interval: low and high are NaN.
    """
    rows = []
    for keys, part in table.groupby(by, sort=False):
        low, high = bootstrap_interval(part[value].to_numpy()) if len(part) > 1 else (np.nan, np.nan)
        rows.append({**dict(zip(by, keys, strict=True)), value: part[value].mean(), "low": low, "high": high})
    return pd.DataFrame(rows)
