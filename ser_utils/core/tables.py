"""Names of columns and of special values in the study's tables, which several packages share."""

ORIGINAL = "original"


UNKNOWN = "unknown"
"""What stands for a speaker, a gender or a sentence that nothing tells."""


UTTERANCE_COLUMNS = [
    "file",
    "corpus",
    "speaker",
    "gender",
    "sentence",
    "emotion",
    "duration_s",
    "sample_rate",
    "channels",
    "sha256",
    "level_dbfs",
    "peak",
    "audio_sha256",
]
"""Columns of ``utterances.csv``; `file` is relative to the corpus' folder, or absolute where it lies elsewhere."""


FOLD_COLUMNS = ["protocol", "seed", "fold", "role", "file", "variant"]
"""Columns of ``folds.csv``. A row of features (file, variant) that a fold does not name trains in it."""


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


SPEAKER_NORMS = ("none", "speaker")


SYSTEM_COLUMNS = ["protocol", "model", "features", "speaker_norm"]
"""What identifies one system; a row of predictions belongs to one system and one seed."""


EXTRA_CORPUS = "extra_corpus"
"""Column of rows: the extra corpus that a row comes from (`ser_utils.experiments.extra_corpora`), nothing for rows of the corpus itself."""


FRAMES = "frames"
"""The column of a table of sequences: in each row an array [shape=(n_frames, n_features)]."""
