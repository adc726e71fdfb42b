"""Names of columns and special values that several packages share."""

ORIGINAL = "original"
"""The variant of a recording without augmentation."""
UNKNOWN = "unknown"
"""The speaker, gender or sentence of a recording for which it is not known."""
SPEAKER_NORMS = ("none", "speaker")
"""``none``: training statistics only; ``speaker``: features standardised by each speaker's own unlabelled clips."""
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
"""Columns of ``utterances.csv``. `file` is relative to the folder of the corpus, or absolute for files elsewhere."""
FRAMES = "frames"
"""Column of a table of sequences: one array [shape=(n_frames, n_features)] per row."""
FOLD_COLUMNS = ["protocol", "seed", "fold", "role", "file", "variant"]
"""Columns of ``folds.csv``. A row of the feature table (file, variant) that a fold does not name is a training row of it."""
SYSTEM_COLUMNS = ["protocol", "model", "features", "speaker_norm"]
"""Columns that identify a system. A row of predictions belongs to one system and one seed."""
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
EXTRA_CORPUS = "extra_corpus"
"""Column with the extra training corpus of a row (`ser_utils.experiments.extra_corpora`); empty for the corpus itself."""
