"""From tables on disk to predictions: joins features with labels and folds, trains, and writes what was predicted."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ser_utils.augment import ORIGINAL
from ser_utils.corpora import class_order, relabel
from ser_utils.errors import StudyError
from ser_utils.models import Model, get_model, with_normalisation
from ser_utils.training import Fit, Fitted, chosen_epochs, fit_all

PREDICTION_COLUMNS = [
    "file",
    "speaker",
    "sentence",
    "protocol",
    "model",
    "features",
    "speaker_norm",
    "seed",
    "fold",
    "variant",
    "emotion",
    "predicted",
]
"""Columns of ``predictions.csv``; one probability column ``p_<emotion>`` per class follows."""


def labelled_rows(
    features: pd.DataFrame, utterances: pd.DataFrame, *, drop: list[str], rename: Mapping[str, str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of features with their labels, after dropping and renaming emotions.

    Returns
    -------
    rows : pd.DataFrame [columns=file, variant, speaker, sentence, emotion]
    x : np.ndarray [shape=(n_rows, n_features), dtype=float32]
    """
    labels = utterances.set_index("file")[["speaker", "sentence", "emotion"]]
    unknown = set(features.file) ^ set(labels.index)
    if unknown:
        raise StudyError(
            f"The features and utterances.csv differ in {len(unknown)} clips, first {min(unknown)}: "
            "run 01_explore and 02_augment_features again."
        )
    emotion = relabel(labels.emotion, drop=drop, rename=rename)
    kept = features.file.isin(emotion.index)
    rows = features.loc[kept, ["file", "variant"]].reset_index(drop=True)
    rows = rows.join(labels[["speaker", "sentence"]], on="file").join(emotion, on="file")
    return rows, features.loc[kept].drop(columns=["file", "variant"]).to_numpy(np.float32)


def fits_of(folds: Mapping[int, pd.DataFrame], rows: pd.DataFrame) -> dict[tuple[int, int], Fit]:
    """The fits of one protocol by (seed, fold), from `ser_utils.folds.of_seeds`: its roles as row numbers of `rows`.

    Rows of emotions that were dropped have a fold but no number, and take no part.
    """
    number = pd.Series(np.arange(len(rows)), index=pd.MultiIndex.from_frame(rows[["file", "variant"]]))
    fits = {}
    for seed, table in folds.items():
        for fold, part in table.groupby("fold"):
            index = number.reindex(pd.MultiIndex.from_frame(part[["file", "variant"]])).to_numpy()
            roles = {role: index[(part.role == role) & ~np.isnan(index)].astype(int) for role in part.role.unique()}
            fits[seed, int(fold)] = Fit(seed=seed, **roles)
    return fits


def run_as_published(
    model: Model, rows: pd.DataFrame, x: np.ndarray, folds: Mapping[int, pd.DataFrame], *, batch_size: int
) -> dict[tuple[int, int], tuple[Fit, Fitted]]:
    """The original study's training: each fold stops early by the loss of its own validation rows."""
    fits = fits_of(folds, rows)
    y, n_classes = class_numbers(rows)
    fitted = fit_all(model, x, y, list(fits.values()), n_classes=n_classes, batch_size=batch_size, desc="as_published")
    return {key: (fit, done) for (key, fit), done in zip(fits.items(), fitted, strict=True)}


def run_speaker(
    model: Model, rows: pd.DataFrame, x: np.ndarray, folds: Mapping[int, pd.DataFrame], *, batch_size: int
) -> tuple[dict[tuple[int, int], tuple[Fit, Fitted]], pd.DataFrame]:
    """Leave one speaker out, with the epochs chosen on training speakers alone.

    For each fold an inner leave-one-speaker-out among the training speakers says for how many epochs to train
    (`ser_utils.training.chosen_epochs`, over all seeds); then the network is trained on all of them for so long.

    Returns
    -------
    fitted : dict
        By (seed, fold).
    inner : pd.DataFrame [columns=fold, seed, held_out, epoch, loss, accuracy, val_loss, val_accuracy]
        Learning curves of the inner fits.
    """
    fits = fits_of(folds, rows)
    y, n_classes = class_numbers(rows)
    inner = {
        (fold, seed, name): fit
        for (seed, fold), outer in fits.items()
        for name, fit in inner_fits(outer, rows, model.max_epochs).items()
    }
    curves = fit_all(model, x, y, list(inner.values()), n_classes=n_classes, batch_size=batch_size, desc="inner folds")
    by_fold: dict[int, list[Fitted]] = {}
    for (fold, _, _), done in zip(inner, curves, strict=True):
        by_fold.setdefault(fold, []).append(done)
    for (_, fold), fit in fits.items():
        fit.epochs = chosen_epochs(by_fold[fold])
    fitted = fit_all(model, x, y, list(fits.values()), n_classes=n_classes, batch_size=batch_size, desc="speaker")
    table = pd.concat(
        [
            done.history.assign(fold=fold, seed=seed, held_out=name)
            for (fold, seed, name), done in zip(inner, curves, strict=True)
        ],
        ignore_index=True,
    )
    columns = ["fold", "seed", "held_out"]
    return (
        {key: (fit, done) for (key, fit), done in zip(fits.items(), fitted, strict=True)},
        table[columns + [name for name in table if name not in columns]],
    )


def inner_fits(fit: Fit, rows: pd.DataFrame, epochs: int) -> dict[str, Fit]:
    """Inner leave-one-speaker-out: for each training speaker a fit that trains on the others and is measured on that one.

    The test rows of `fit` are not looked at; only original clips are measured, as in a test.
    """
    speakers, original = rows.speaker.to_numpy()[fit.train], (rows.variant == ORIGINAL).to_numpy()[fit.train]
    return {
        str(name): Fit(
            train=fit.train[speakers != name],
            validation=fit.train[(speakers == name) & original],
            seed=fit.seed,
            epochs=epochs,
        )
        for name in np.unique(speakers)
    }


def class_numbers(rows: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Class number of each row, in the order of `ser_utils.corpora.class_order`, and the number of classes."""
    classes = class_order(rows.emotion)
    return rows.emotion.map({name: i for i, name in enumerate(classes)}).to_numpy(), len(classes)


def prediction_table(
    fitted: Mapping[tuple[int, int], tuple[Fit, Fitted]],
    rows: pd.DataFrame,
    *,
    protocol: str,
    model: str,
    features: str,
    speaker_norm: str,
) -> pd.DataFrame:
    """What was predicted for the test rows, one row each: `PREDICTION_COLUMNS`, then ``p_<emotion>``."""
    classes = class_order(rows.emotion)
    parts = []
    for (seed, fold), (fit, done) in fitted.items():
        part = rows.iloc[fit.test].assign(
            protocol=protocol,
            model=model,
            features=features,
            speaker_norm=speaker_norm,
            seed=seed,
            fold=fold,
            predicted=[classes[i] for i in done.probabilities.argmax(axis=1)],
        )
        chances = pd.DataFrame(done.probabilities.round(4), index=part.index, columns=[f"p_{name}" for name in classes])
        parts.append(part[PREDICTION_COLUMNS].join(chances))
    return pd.concat(parts, ignore_index=True)


def cross_validation(fitted: Mapping[tuple[int, int], tuple[Fit, Fitted]]) -> pd.DataFrame:
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
    return pd.DataFrame(best).rename(columns={"val_loss": "loss", "val_accuracy": "accuracy"})


def curve_table(fitted: Mapping[tuple[int, int], tuple[Fit, Fitted]], protocol: str) -> pd.DataFrame:
    """Learning curves: protocol, seed, fold, epoch, loss, accuracy, val_loss, val_accuracy."""
    return pd.concat(
        [done.history.assign(protocol=protocol, seed=seed, fold=fold) for (seed, fold), (_, done) in fitted.items()],
        ignore_index=True,
    )


def final_model(model: str, rows: pd.DataFrame, x: np.ndarray, *, epochs: int, batch_size: int, seed: int):
    """The network that is kept: trained on every row for the given epochs, its normalisation inside.

    Returns
    -------
    keras.Sequential
        Takes features as extracted [shape=(n, n_features)], gives probabilities [shape=(n, n_classes)].
    """
    entry = get_model(model)
    y, n_classes = class_numbers(rows)
    fit = Fit(train=np.arange(len(rows)), seed=seed, epochs=epochs)
    done = fit_all(entry, x, y, [fit], n_classes=n_classes, batch_size=batch_size, desc="final model")[0]
    network = entry.build(x.shape[1], n_classes)
    network.set_weights(done.weights)
    return with_normalisation(network, done.scaler.mean_, done.scaler.scale_)
