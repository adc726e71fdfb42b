"""Recordings, their speakers and their emotion labels.

`registry` has one entry per known corpus, its download included; `lookup` finds a corpus by name or path, and has the folders
of its runs. `file_names`, `folders` and `metadata` read labels from file names, folder names and CSVs; `labels` maps them to
common names. `utterances` lists the recordings of a corpus and reads them into the table of utterances, and `validation` checks
that table. `download` fetches a corpus. Add a corpus by one entry in `registry.CORPORA`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "corpus": ["Corpus", "Download"],
        "file_names": ["parse_name"],
        "files": ["audio_files", "has_audio"],
        "folders": ["describe_reading"],
        "labels": ["EMOTIONS", "class_order", "relabel"],
        "lookup": ["get_corpus", "run_folder", "source_of_run"],
        "registry": ["CORPORA"],
        "utterances": [
            "check_corpus",
            "input_files",
            "one_per_emotion",
            "read_utterances",
            "speakers_with_most_clips",
            "utterance_table",
        ],
        "validation": [
            "check_utterances",
            "counts_by_class",
            "data_warnings",
            "missing_cells",
            "skipped_by_reason",
            "validation_table",
        ],
    },
)
