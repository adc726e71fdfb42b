"""Examples of every figure, and functions that read the texts and error bars of a figure."""

import functools

import matplotlib
import numpy as np
import pandas as pd

from ser_utils import figures

matplotlib.use("Agg")
matplotlib.rcParams["figure.max_open_warning"] = 0  # `figure` keeps one of each

CLASSES = ["neutral", "joy", "sadness"]
SPEAKERS = ["f1", "m1"]
RNG = np.random.default_rng(0)
CLIPS = pd.DataFrame([(s, e) for s in SPEAKERS for e in CLASSES for _ in range(4)], columns=["speaker", "emotion"]).assign(
    duration_s=RNG.uniform(1, 3, 24), level_dbfs=RNG.uniform(-40, -20, 24), zcr=RNG.uniform(0, 0.2, 24)
)
CURVES = pd.DataFrame(
    [
        (seed, fold, epoch, 2 / epoch + seed, 1 - 1 / epoch - 0.1 * seed)
        for seed in (0, 1)
        for fold in (1, 2)
        for epoch in range(1, 6 - seed)
    ],
    columns=["seed", "fold", "epoch", "loss", "accuracy"],
).assign(val_loss=lambda t: t.loss + 0.5, val_accuracy=lambda t: t.accuracy - 0.1 * t.fold)
SHARES = pd.DataFrame({"emotion": [0.1, 0.2], "speaker": [0.5, 0.05]}, index=["rms", "zcr"])
CONFUSION = pd.concat(
    [
        pd.DataFrame(matrix, columns=CLASSES).assign(
            protocol=protocol, model="mlp", features="f", speaker_norm="none", emotion=CLASSES
        )
        for protocol, matrix in (("as_published", np.eye(3)), ("speaker", [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0, 0.5, 0.5]]))
    ]
)
BARS = pd.DataFrame(
    {
        "name": ["as published", "unseen speakers"],
        "value": [0.8, 0.25],
        "ci_low": [0.7, 0.2],
        "ci_high": [0.85, 0.4],
        "leaks": [True, False],
    }
)


def harmonic_tone(sr=16_000, f0_hz=200, duration_s=0.6):
    t = np.arange(round(duration_s * sr)) / sr
    return sum(np.sin(2 * np.pi * k * f0_hz * t) / k for k in range(1, 6)).astype(np.float32) / 4, sr


SOUNDS = {"neutral": harmonic_tone(), "joy": harmonic_tone(48_000, 300, 0.9), "sadness": harmonic_tone(8_000, 120)}
VARIANTS = {"original": harmonic_tone(), "stretch_pitch": harmonic_tone(duration_s=0.8)}
CHANCE = 1 / 7


def metric_rows(model, features, norm, **values):
    return [
        {"protocol": name, "model": model, "features": features, "speaker_norm": norm, "metric": "uar", "value": value}
        | {"ci_low": value - 0.05, "ci_high": value + 0.06}
        for name, value in values.items()
    ]


METRICS = pd.DataFrame(
    metric_rows("original_mlp", "original38", "none", speaker=0.247, as_published=0.842, clip=0.62)
    + metric_rows("mlp", "functionals", "none", as_published=0.95, clip=0.7, sentence=0.66, speaker=0.41, speaker_sentence=0.4)
    + metric_rows(
        "mlp", "functionals", "speaker", as_published=0.96, clip=0.75, sentence=0.7, speaker=0.48, speaker_sentence=0.47
    )
    + metric_rows("logistic_regression", "functionals", "speaker", speaker=0.45)
    + [{**metric_rows("mlp", "functionals", "none", speaker=0.99)[0], "metric": "accuracy"}]
)
PUBLISHED = pd.DataFrame(
    [
        ("eGeMAPS + SVM", 0.374, "Haider et al. 2021, as cited by Pentari et al. 2022", "hand-crafted", None, None),
        ("WavLM large, frozen", 0.488, "EmoBox 2024", "frozen encoder", None, None),
        ("mlp, functionals, per-speaker norm", 0.48, "this study", "ours", 0.41, 0.55),
        ("wav2vec 2.0 base, frozen", 0.311, "EmoBox 2024", "frozen encoder", None, None),
    ],
    columns=["system", "uar", "source", "kind", "ci_low", "ci_high"],
)
BEFORE = pd.DataFrame(
    {
        "low": [0.2, 0.8, 0.9],
        "high": [0.3, 0.9, 1],
        "confidence": [0.25, 0.85, 0.95],
        "accuracy": [0.4, 0.3, 0.45],
        "n": [10, 30, 60],
    }
)
AFTER = BEFORE.assign(low=[0.2, 0.3, 0.4], high=[0.3, 0.4, 0.5], confidence=[0.25, 0.35, 0.45], accuracy=[0.25, 0.35, 0.45])
COVERAGE = pd.DataFrame(
    [(s, c, 0.4 + gain * (1 - c)) for s, gain in (("mlp", 0.4), ("svm", 0.2)) for c in (1.0, 0.5, 0.1)],
    columns=["system", "coverage", "accuracy"],
)
FAMILIES = pd.DataFrame(
    [("energy shape", 0.02, -0.01, 0.05), ("F0 in semitones", 0.08, 0.03, 0.12), ("log-mel", -0.004, -0.03, 0.02)],
    columns=["family", "drop", "low", "high"],
)
ENROLMENT = pd.DataFrame(
    [(10, 0.45, 0.38, 0.51), (0, 0.41, 0.35, 0.47), (1, 0.31, 0.25, 0.37), (98, 0.48, 0.41, 0.54)],
    columns=["n_clips", "uar", "low", "high"],
)
PAIRED = pd.DataFrame({"speaker": ["f1", "f2", "m1"], "uar_a": [0.5, 0.45, 0.61], "uar_b": [0.44, 0.46, 0.5]})
GROUPS = pd.DataFrame(
    [
        (e, m, v, "recall", 14, 1)
        for m, loss in (("svm", 0), ("mlp", 0.1))
        for e, v in (("neutral", 0.2), ("joy", 0.705 - loss))
    ],
    columns=["emotion", "model", "value", "metric", "n_clips", "n_speakers"],
).assign(protocol="speaker", features="functionals", speaker_norm="none")
SPEAKER_UAR = pd.DataFrame(
    [(m, n, s, v) for m, v in (("mlp", 0.5), ("cnn", 0.4)) for n in ("none", "speaker") for s in ("f1", "m1")],
    columns=["model", "speaker_norm", "speaker", "value"],
)
MODEL_UAR = SPEAKER_UAR.drop(columns="speaker").drop_duplicates().assign(ci_low=0.3, ci_high=0.6)
FRAMES = {name: RNG.normal(size=(n, 40)) for name, n in (("original", 100), ("masked (1)", 120))}
CODES = pd.DataFrame(
    [("emovo", "Italian", 588, emotion, emotion[:3]) for emotion in ("neutral", "joy", "fear", "anger", "surprise", "sadness")]
    + [("emodb", "German", 454, "joy", "F"), ("emodb", "German", 454, "anger", "W")],
    columns=["corpus", "language", "n_utterances", "emotion", "code"],
)
MATRIX = pd.DataFrame(
    [(i, j, "mlp", norm) for norm in ("none", "speaker") for i in ("demo", "emodb") for j in ("demo", "emodb")],
    columns=["train", "test", "model", "speaker_norm"],
).assign(n_emotions=6, chance=1 / 6, uar=0.512, ci_low=0.41, ci_high=0.6, n_speakers=6)

EXAMPLES = {
    "counts": lambda: figures.counts(CLIPS, CLASSES),
    "durations_and_levels": lambda: figures.durations_and_levels(CLIPS, CLASSES),
    "levels_by_speaker": lambda: figures.levels_by_speaker(CLIPS, CLASSES),
    "one_sentence": lambda: figures.one_sentence(SOUNDS, "Speaker f1, sentence b1"),
    "variants": lambda: figures.variants(VARIANTS, "a.wav and its variants"),
    "augmented_frames": lambda: figures.augmented_frames(FRAMES, "a.wav: original and masked"),
    "variance_shares": lambda: figures.variance_shares(SHARES),
    "feature_spread": lambda: figures.feature_spread(CLIPS, "zcr", CLASSES),
    "learning_curves": lambda: figures.learning_curves(CURVES, "Learning curves", "held-out speaker"),
    "protocol_comparison": lambda: figures.protocol_comparison(METRICS, CHANCE, "synthetic demo voices"),
    "headline": lambda: figures.headline(BARS, CHANCE, "synthetic demo voices"),
    "published_results": lambda: figures.published_results(PUBLISHED, CHANCE),
    "paired_differences": lambda: figures.paired_differences(PAIRED, CHANCE, a="per-speaker norm", b="no norm"),
    "confusion": lambda: figures.confusion(CONFUSION),
    "heat_by_group": lambda: figures.heat_by_group(GROUPS),
    "reliability": lambda: figures.reliability(BEFORE, AFTER),
    "coverage": lambda: figures.coverage(COVERAGE, CHANCE),
    "importance": lambda: figures.importance(FAMILIES),
    "enrolment": lambda: figures.enrolment(ENROLMENT, CHANCE),
    "uar_by_speaker": lambda: figures.uar_by_speaker(SPEAKER_UAR, MODEL_UAR, CHANCE),
    "emotions_by_corpus": lambda: figures.emotions_by_corpus(CODES),
    "cross_corpus_matrix": lambda: figures.cross_corpus_matrix(MATRIX, "demo: synthetic voices"),
}


@functools.cache
def figure(name):
    """Return an example, made once and drawn, so that everything has its position."""
    fig = EXAMPLES[name]()
    fig.canvas.draw()
    return fig


def texts(fig):
    """Yield every visible text."""
    for text in fig.findobj(matplotlib.text.Text):
        if text.get_visible() and text.get_text().strip() and text.get_window_extent().width:
            yield text


def words(fig):
    return " | ".join(text.get_text() for text in texts(fig))


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def whiskers(container):
    """Return the ends of the error bars of a container, low and high [shape=(n, 2)]."""
    (lines,) = container.lines[2]
    return np.array([np.sort(segment.T[np.ptp(segment, axis=0).argmax()]) for segment in lines.get_segments()])
