"""From tables on disk to predictions: joins features with labels and folds, guards, chooses, trains, tells what came out."""

import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import FRAMES, ORIGINAL, PREDICTION_COLUMNS, SPEAKER_NORMS
from ser_utils.corpora.labels import class_order, relabel
from ser_utils.evaluation.folds import held_out, inner_groups, iter_folds
from ser_utils.evaluation.leakage import check_fit, is_extra
from ser_utils.evaluation.metrics import resampling_unit
from ser_utils.evaluation.protocols import PROTOCOLS, TEST, VALIDATION, main_protocol, wording
from ser_utils.features.registry import FEATURE_SETS, get_feature_set
from ser_utils.models.registry import Model, build_network, get_model, with_random_search
from ser_utils.models.saved_model import with_normalisation
from ser_utils.models.sequences import pad_sequences
from ser_utils.models.training import Fit, FitResult, chosen_epochs, fit_all

Key = tuple[int, int]
Name = TypeVar("Name")


@dataclass(frozen=True)
class RunSettings:
    """How `run_protocol` trains; the defaults are those of each network's registry entry."""

    main: str = "speaker"
    """The main protocol, from `ser_utils.evaluation.protocols.main_protocol`: inner folds choose settings under it."""
    batch_size: int = 0
    """Rows per step; 0 for the network's default."""
    search: int = 0
    """Number of settings to draw at random for the inner folds to choose among, besides the network's own choices."""
    augmented: bool | None = None
    """Whether augmented variants are training rows; None for the network's default. Under ``as_published`` they always are."""


@dataclass(frozen=True)
class System:
    """What is tested: a network on a feature set under a normalisation."""

    model: str
    features: str
    speaker_norm: str = "none"


def resolve_feature_set(model: str, features: str = "") -> str:
    """The feature set that a model is to listen to: the one named, else its own.

    Raises
    ------
    StudyError
        A name is unknown, or the model cannot take the features.
    """
    features = features or get_model(model).features
    if get_feature_set(features).sequences != get_model(model).sequences:
        fit = [name for name, entry in FEATURE_SETS.items() if entry.sequences == get_model(model).sequences]
        kind = "sequences of frames" if get_model(model).sequences else "one row a clip"
        raise StudyError(
            f"The model {model!r} takes {kind}, which {features!r} is not: expected FEATURES among {', '.join(fit)}."
        )
    return features


def systems_by_norm(model: str, features: str, speaker_norms: list[str]) -> dict[str, System]:
    """The systems that a notebook's parameters name, by normalisation; without `features`, on the model's own.

    Raises
    ------
    StudyError
        A name is unknown, the model cannot take the features, or the system is the original one, which is tested anyway.
    """
    features = resolve_feature_set(model, features)
    _check_norms(speaker_norms)
    if (model, features) == ("original_mlp", "original38"):
        raise StudyError("The original network on the original features is tested anyway: name another MODEL or FEATURES.")
    return {norm: System(model, features, norm) for norm in SPEAKER_NORMS if norm in speaker_norms}


def _check_norms(speaker_norms: list[str]) -> None:
    if not speaker_norms or not set(speaker_norms) <= set(SPEAKER_NORMS):
        raise StudyError(f"SPEAKER_NORMS is {speaker_norms}: expected one or both of {', '.join(SPEAKER_NORMS)}.")


def usable_norms(speaker_norms: list[str], speakers: pd.Series) -> list[str]:
    """The normalisations that a corpus allows: the one by speaker takes two or more speakers, and all of them known.

    Raises
    ------
    StudyError
        A name is unknown, or none is left.
    """
    _check_norms(speaker_norms)
    allowed = SPEAKER_NORMS if resampling_unit(speakers) == "speakers" else ("none",)
    usable = [name for name in allowed if name in speaker_norms]
    if not usable:
        raise StudyError("SPEAKER_NORMS is ['speaker'], and this corpus has no two speakers that are known: add 'none'.")
    return usable


def study_limits(rows: pd.DataFrame, protocols: list[str], *, wanted: list[str], speaker_norms: list[str]) -> list[str]:
    """What of the study this corpus and the folds allow, in sentences.

    Parameters
    ----------
    rows : pd.DataFrame
        Of a `Data`.
    protocols, wanted : list of str
        Protocols that have folds, and those asked for.
    speaker_norms : list of str
        Normalisations asked for.
    """
    main = main_protocol(protocols)
    said = [f"The main protocol, which gives the headline, is `{main}`: {wording(main).one}."]
    if main != "speaker":
        said.append(
            "No speaker is left out: no result here says how well emotion is heard in a voice that training does not know."
        )
    said.append(f"Settings and epochs are chosen by inner folds that hold out {held_out(rows, main)}.")
    if main == "speaker" and rows.speaker.nunique() == 2:
        said.append("With two speakers, one is left to train on, so that the inner folds share its voice.")
    if lacking := [name for name in wanted if name not in protocols]:
        said.append(f"Left out, since `folds.csv` has no folds of it (`02_augment_features` says why): {', '.join(lacking)}.")
    for norm in set(speaker_norms) - set(usable_norms(speaker_norms, rows.speaker)):
        said.append(f"`speaker_norm={norm}` is left out: it takes two or more speakers, all of them known.")
    return said


@dataclass
class Data:
    """One feature table with its labels, as a system sees it."""

    rows: pd.DataFrame
    """Columns file, variant, speaker, gender, sentence, emotion, audio_sha256; where other corpora were joined
    (`ser_utils.experiments.extra_corpora`), extra_corpus."""
    x: np.ndarray
    """Features [shape=(n_rows, n_features)], or sequences [shape=(n_rows,), dtype=object] of arrays [shape=(n_frames,
    n_features)]; normalised by speaker where the system is."""
    names: list[str]

    @functools.cached_property
    def classes(self) -> list[str]:
        """Emotions in their order; a class number is a place in it."""
        return class_order(self.rows.emotion)

    @functools.cached_property
    def y(self) -> np.ndarray:
        """Class number of each row."""
        return self.rows.emotion.map({name: i for i, name in enumerate(self.classes)}).to_numpy()


@dataclass
class Result:
    """What a system does under one protocol."""

    fitted: dict[Key, tuple[Fit, FitResult]]
    """By (seed, fold)."""
    selection: pd.DataFrame
    """Settings searched by inner folds with their inner scores; empty where nothing was chosen."""
    curves: pd.DataFrame
    """Learning curves: seed, fold, epoch, loss, accuracy, val_loss, val_accuracy, val_uar."""
    inner: dict[int | Key, list[tuple[Fit, FitResult]]]
    """By fold (`chooses`), the inner fits with the settings that were chosen; empty where nothing was chosen."""


def load_data(
    features: pd.DataFrame, utterances: pd.DataFrame, *, drop: list[str], rename: Mapping[str, str], speaker_norm: str = "none"
) -> Data:
    """Join features with the labels of their clips, after dropping and renaming emotions, and normalise.

    Raises
    ------
    StudyError
        The tables are of different clips, or the labels cannot be dropped or renamed so.
    """
    labels = utterances.set_index("file")[["speaker", "gender", "sentence", "emotion", "audio_sha256"]]
    unknown = set(features.file) ^ set(labels.index)
    if unknown:
        raise StudyError(
            f"The features and utterances.csv differ in {len(unknown)} clips, first {min(unknown)}: "
            "run 01_explore and 02_augment_features again."
        )
    emotion = relabel(labels.emotion, drop=drop, rename=rename)
    kept = features.file.isin(emotion.index)
    rows = features.loc[kept, ["file", "variant"]].reset_index(drop=True)
    rows = rows.join(labels.drop(columns="emotion"), on="file").join(emotion, on="file")
    if FRAMES in features:
        x = features.loc[kept, FRAMES].to_numpy()
        names = [f"band_{i:02d}" for i in range(x[0].shape[1])]
    else:
        names = [name for name in features if name not in ("file", "variant")]
        x = features.loc[kept, names].to_numpy(np.float32)
    return Data(rows, normalise(x, rows, speaker_norm), names)


def normalise(x: np.ndarray, rows: pd.DataFrame, speaker_norm: str) -> np.ndarray:
    """Features as they are (``none``), or each speaker's standardised by that speaker's own clips (``speaker``).

    The means and standard deviations are of the speaker's original clips of all emotions, without their labels. For a new
    voice it takes several clips of the person, with a mixture of emotions: the enrolment curve shows how many.
    """
    if speaker_norm not in SPEAKER_NORMS:
        raise StudyError(f"Unknown speaker normalisation {speaker_norm!r}: expected one of {', '.join(SPEAKER_NORMS)}.")
    if speaker_norm == "none":
        return x
    return standardise_by_group(x, rows, rows.speaker)


def standardise_by_group(x: np.ndarray, rows: pd.DataFrame, groups: pd.Series) -> np.ndarray:
    """Each group of rows standardised by its own original clips, all of them, whatever their emotion.

    Parameters
    ----------
    x : np.ndarray [shape=(n_rows, n_features)], or [shape=(n_rows,), dtype=object] of sequences
        A sequence [shape=(n_frames, n_bands)] is standardised by band, over all frames of the group's clips.
    rows : pd.DataFrame [columns=variant, ...]
    groups : pd.Series
        Such as the speaker of each row.
    """
    out, original = np.empty_like(x), (rows.variant == ORIGINAL).to_numpy()
    for index in groups.groupby(groups.to_numpy()).indices.values():
        own = x[index[original[index]]]
        own = np.concatenate(list(own)) if x.dtype == object else own
        mean, scale = own.mean(axis=0), safe_scale(own.std(axis=0))
        for part in index if x.dtype == object else [index]:
            out[part] = (x[part] - mean) / scale
    return out


def safe_scale(std: np.ndarray) -> np.ndarray:
    """A standard deviation to divide by: 1 where a feature never varies."""
    return np.where(std < 1e-6, 1, std)


def make_fits(folds: Mapping[int, pd.DataFrame], data: Data, *, augmented: bool) -> dict[Key, Fit]:
    """The fits of one protocol by (seed, fold), from `ser_utils.evaluation.protocols.folds_by_seed`; without augmented rows where not wanted."""
    original, extra = (data.rows.variant == ORIGINAL).to_numpy(), is_extra(data.rows)
    fits = {}
    for seed, table in folds.items():
        for fold, roles in iter_folds(table, data.rows):
            train = roles["train"] if augmented else roles["train"][original[roles["train"]]]
            if len(roles[TEST]):
                fits[seed, fold] = Fit(
                    train=train,
                    test=roles[TEST],
                    seed=seed,
                    validation=roles[VALIDATION] if len(roles[VALIDATION]) else None,
                    extra_rows=_extra_rows(train, extra),
                )
    return fits


def _extra_rows(train: np.ndarray, extra: np.ndarray) -> np.ndarray | None:
    """Those of the training rows that are of extra corpora, where there are any."""
    return train[extra[train]] if extra[train].any() else None


def run_protocol(
    system: System,
    data: Data,
    folds: Mapping[int, pd.DataFrame],
    *,
    protocol: str,
    settings: RunSettings = RunSettings(),
    execution: Execution = Execution(),
) -> Result:
    """Train and predict one system under one protocol, after the leak guard has passed every fit.

    How long to train, and with which settings: under ``as_published`` each fold stops by the loss of its validation rows, as
    the original did. Under the main protocol inner folds of the training side choose (see `choose`). Elsewhere the network's
    defaults hold, so that nothing there is chosen at all.

    Parameters
    ----------
    system : System
    data : Data
        From `load`, with the system's features and normalisation.
    folds : mapping
        Seed to folds, from `ser_utils.evaluation.protocols.folds_by_seed`.
    protocol : str
        A name in `ser_utils.evaluation.protocols.PROTOCOLS`.
    settings : RunSettings
    execution : Execution
        Processes or cluster.

    Raises
    ------
    ser_utils.evaluation.leakage.LeakError
        Something crosses a boundary that the protocol declares.
    StudyError
        The model's function builds no network for these features and emotions.
    """
    build_network(system.model, len(data.names), len(data.classes), **get_model(system.model).choices[0])
    entry = with_random_search(get_model(system.model), settings.search)
    more = protocol == "as_published" or (entry.augmented if settings.augmented is None else settings.augmented)
    if more and not entry.augmented:  # as many steps as without augmentation
        share = (data.rows.variant == ORIGINAL).mean()
        entry = replace(entry, max_epochs=round(entry.max_epochs * share))
    fits = make_fits(folds, data, augmented=more)
    selection, curves, inner = pd.DataFrame(), pd.DataFrame(), {}
    if protocol == settings.main:
        selection, curves, inner = select_settings(
            system, data, fits, entry, protocol=protocol, batch_size=settings.batch_size, execution=execution
        )
    else:
        early = protocol == "as_published"
        how = {
            "epochs": entry.max_epochs if early else entry.epochs,
            "stop_early": early,
            "settings": entry.choices[0],
            "keep_weights": False,
        }
        fits = {key: replace(fit, **how) for key, fit in fits.items()}
    for fit in fits.values():
        check_fit(
            data.rows,
            protocol=protocol,
            train=fit.train,
            test=fit.test,
            fitted_on={"early stopping": fit.validation} if fit.validation is not None else None,
        )
    desc = f"{protocol} {system.model} {system.speaker_norm}"
    fitted = fit_system(system, data, fits, batch_size=settings.batch_size, execution=execution, desc=desc)
    if protocol == "as_published":
        curves = pd.concat([one.history.assign(seed=seed, fold=fold) for (seed, fold), (_, one) in fitted.items()])
    return Result(fitted, selection, curves, inner)


def fit_system(
    system: System, data: Data, fits: Mapping[Name, Fit], *, batch_size: int, desc: str, execution: Execution = Execution()
) -> dict[Name, tuple[Fit, FitResult]]:
    """Train a system's network for each fit, by name."""
    if get_model(system.model).sequences:  # an epoch shows as many clips as there are, each in one of its variants
        original = (data.rows.variant == ORIGINAL).to_numpy()
        fits = {name: replace(fit, rows_per_epoch=int(original[fit.train].sum())) for name, fit in fits.items()}
    how = {"n_classes": len(data.classes), "batch_size": batch_size, "execution": execution, "desc": desc}
    done = fit_all(system.model, data.x, data.y, list(fits.values()), **how)
    return {name: (fit, one) for (name, fit), one in zip(fits.items(), done, strict=True)}


def run_protocols(
    system: System,
    data: Data,
    folds: Mapping[str, Mapping[int, pd.DataFrame]],
    *,
    settings: RunSettings = RunSettings(),
    execution: Execution = Execution(),
) -> dict[str, Result]:
    """`run` under several protocols, two at a time, so that no process waits for the last fit of another's protocol.

    Parameters
    ----------
    folds : mapping
        Protocol to what `run` takes; the other parameters are those of `run`.
    """
    longest_first = sorted(folds, key=lambda name: (name == settings.main, len(folds[name][min(folds[name])])), reverse=True)
    with ThreadPoolExecutor(2) as pool:
        how = {"settings": settings, "execution": execution}
        started = {name: pool.submit(run_protocol, system, data, folds[name], protocol=name, **how) for name in longest_first}
        try:
            return {name: started[name].result() for name in folds}
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an error, or a person who stops it, does not wait for the rest
            raise


def selection_key(key: Key, protocol: str) -> int | Key:
    """For what a fit's settings are chosen: its fold, or (seed, fold) where each seed has folds of its own."""
    return key if PROTOCOLS[protocol].is_random else key[1]


def select_settings(
    system: System,
    data: Data,
    fits: dict[Key, Fit],
    entry: Model,
    *,
    protocol: str = "speaker",
    batch_size: int,
    execution: Execution,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[int | Key, list[tuple[Fit, FitResult]]]]:
    """Choose settings and epochs for each fold by inner folds of its training side, and write them into `fits`.

    The inner folds leave out one training speaker each, or what else `ser_utils.evaluation.protocols.inner_groups` says. For each of
    these every choice of settings is trained on the others and measured, after each epoch, on the held-out original clips.
    The choice and the epoch with the highest mean (over inner folds and
    the model's `selection_seeds`, smoothed over five epochs) are taken; then the whole training side trains, for so long.

    Returns
    -------
    selection : pd.DataFrame [columns=fold, test_speaker, settings, epochs, inner_score, chosen]
        With a column seed in front, where each seed has folds of its own.
    curves : pd.DataFrame
        Learning curves of the chosen settings' inner fits.
    kept : dict
        By fold (`chooses`), those inner fits.
    """
    members: dict[int | Key, list[Key]] = {}
    for key in sorted(fits):
        members.setdefault(selection_key(key, protocol), []).append(key)
    asked = {key for keys in members.values() for key in keys[: entry.selection_seeds]}
    inner = {
        (selection_key(key, protocol), number, key[0], name): replace(fit, settings=settings)
        for key, outer in fits.items()
        if key in asked
        for number, settings in enumerate(entry.choices)
        for name, fit in inner_fits(outer, data.rows, entry.max_epochs, protocol=protocol).items()
    }
    desc = f"inner folds {system.model} {system.speaker_norm}"
    done = fit_system(system, data, inner, batch_size=batch_size, execution=execution, desc=desc)
    rows, curves, kept = [], [], {}
    for place, keys in sorted(members.items()):
        scored = [
            chosen_epochs([one for key, (_, one) in done.items() if key[:2] == (place, number)])
            for number in range(len(entry.choices))
        ]
        best = int(np.argmax([score for _, score in scored]))
        where = {"seed": keys[0][0]} if PROTOCOLS[protocol].is_random else {}
        where |= {"fold": keys[0][1], "test_speaker": " ".join(data.rows.speaker.iloc[fits[keys[0]].test].unique())}
        rows += [
            {**where, "settings": _said(settings), "epochs": epochs, "inner_score": score, "chosen": number == best}
            for number, (settings, (epochs, score)) in enumerate(zip(entry.choices, scored, strict=True))
        ]
        chosen = {key: pair for key, pair in done.items() if key[:2] == (place, best)}
        curves += [one.history.assign(seed=key[2], fold=keys[0][1], held_out=key[3]) for key, (_, one) in chosen.items()]
        kept[place] = list(chosen.values())
        for key in keys:
            fits[key].epochs, fits[key].settings = scored[best][0], entry.choices[best]
    return pd.DataFrame(rows), pd.concat(curves), kept


def _said(settings: Mapping) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items()) or "as built"


def inner_groups_of_corpus(rows: pd.DataFrame, protocol: str) -> tuple[str, np.ndarray]:
    """`ser_utils.evaluation.protocols.inner_groups` of training rows, of which those of extra corpora are in none: their group is empty."""
    extra, groups = is_extra(rows), np.full(len(rows), "", object)
    boundary, groups[~extra] = inner_groups(rows[~extra], protocol)
    return boundary, groups.astype(str)


def inner_fits(fit: Fit, rows: pd.DataFrame, epochs: int, *, protocol: str = "speaker") -> dict[str, Fit]:
    """Inner folds: for each training speaker a fit that trains on the others and is measured on that one.

    Of many speakers these are groups, and without speakers to hold out, groups of clips: see
    `ser_utils.evaluation.protocols.inner_groups`. The test rows of `fit` are not looked at, which the guard checks; only original clips are
    measured, as in a test. Rows of extra corpora train in each.
    """
    boundary, groups = inner_groups_of_corpus(rows.iloc[fit.train], protocol)
    original = (rows.variant == ORIGINAL).to_numpy()[fit.train]
    inner = {
        str(name): Fit(
            train=fit.train[groups != name],
            validation=fit.train[(groups == name) & original],
            seed=fit.seed,
            epochs=epochs,
            keep_weights=False,
            extra_rows=fit.extra_rows,
        )
        for name in np.unique(groups[groups != ""])
    }
    for one in inner.values():
        check_fit(rows, protocol=protocol, train=one.train, test=fit.test, fitted_on={"selection": one.validation})
        check_fit(rows, protocol=boundary, train=one.train, test=one.validation)
    return inner


def prediction_table(fitted: Mapping[Key, tuple[Fit, FitResult]], data: Data, system: System, protocol: str) -> pd.DataFrame:
    """What was predicted for the test rows, one row each: `PREDICTION_COLUMNS`, then ``p_<emotion>``.

    Under ``as_published`` the last fold's model is the one that is kept and tested.
    """
    last = max(fold for _, fold in fitted)
    parts = []
    for (seed, fold), (fit, done) in fitted.items():
        if protocol == "as_published" and fold != last:
            continue
        part = data.rows.iloc[fit.test].assign(
            protocol=protocol,
            **asdict(system),
            seed=seed,
            fold=fold,
            predicted=[data.classes[i] for i in done.probabilities.argmax(axis=1)],
        )
        chances = pd.DataFrame(done.probabilities.round(4), index=part.index, columns=[f"p_{name}" for name in data.classes])
        parts.append(part[PREDICTION_COLUMNS].join(chances))
    return pd.concat(parts, ignore_index=True)


def cross_validation(fitted: Mapping[Key, tuple[Fit, FitResult]]) -> pd.DataFrame:
    """``cross_validation.csv``: seed, fold, epochs kept, and loss and accuracy of the fold's validation rows there."""
    best = [
        {
            "seed": seed,
            "fold": fold,
            "epochs": done.epochs,
            **done.history.set_index("epoch").loc[done.epochs, ["val_loss", "val_accuracy"]],
        }
        for (seed, fold), (_, done) in fitted.items()
    ]
    columns = ["seed", "fold", "epochs", "val_loss", "val_accuracy"]
    return pd.DataFrame(best, columns=columns).rename(columns={"val_loss": "loss", "val_accuracy": "accuracy"})


def predict_probabilities(system: System, data: Data, fit: Fit, done: FitResult, x: np.ndarray) -> np.ndarray:
    """What a fitted network says [shape=(n, n_classes)] of other features [shape=(n, ...)], as `data` has them."""
    network = _built(system.model, len(data.names), len(data.classes), tuple(sorted(fit.settings.items())))
    network.set_weights(done.weights)
    x = [done.scaler.transform(clip) for clip in x] if x.dtype == object else done.scaler.transform(x)
    return np.asarray(network(as_input(x)))


def as_input(x: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """Features as a network takes them: rows as they are, sequences padded and with a mask (see `ser_utils.models`)."""
    return pad_sequences(list(x)) if isinstance(x, list) or x.dtype == object else x


@functools.lru_cache(maxsize=4)
def _built(model: str, n_features: int, n_classes: int, settings: tuple):
    """A network to put weights in: building one takes longer than asking it."""
    return build_network(model, n_features, n_classes, **dict(settings))


def network_of(system: System, data: Data, fit: Fit, done: FitResult):
    """The fitted network as a `keras.Model` that takes features as `data` has them."""
    network = build_network(system.model, len(data.names), len(data.classes), **fit.settings)
    network.set_weights(done.weights)
    return with_normalisation(network, done.scaler.mean_, done.scaler.scale_)


def final_model(system: System, data: Data, *, epochs: int, settings: Mapping, batch_size: int = 0, seed: int = 0):
    """The network that is kept: trained on every row for the given epochs, its normalisation inside.

    Returns
    -------
    keras.Model
        Takes features as `data` has them [shape=(n, n_features)], or padded sequences (see `ser_utils.models`), and gives
        probabilities [shape=(n, n_classes)].
    """
    original = (data.rows.variant == ORIGINAL).to_numpy()
    train = np.arange(len(data.rows)) if get_model(system.model).augmented else np.flatnonzero(original)
    fit = Fit(train=train, seed=seed, epochs=epochs, settings=settings, extra_rows=_extra_rows(train, is_extra(data.rows)))
    _, done = fit_system(system, data, {"all": fit}, batch_size=batch_size, desc="final model")["all"]
    return network_of(system, data, fit, done)
