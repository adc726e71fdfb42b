"""Which recordings there are, who speaks in them, and which emotion they are labelled with.

`registry` has one entry per known corpus, its download included; `file_names`, `folders` and `metadata` read labels from file
names, folder levels and tables; `labels` maps them to common names. `utterances` reads a corpus into the table of utterances,
`validation` checks that table, and `download` fetches a corpus. Add a corpus by one entry in `registry.CORPORA`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "corpus": ["Corpus", "ListedFile"],
        "file_names": ["parse_name"],
        "files": ["audio_files", "has_audio"],
        "labels": ["EMOTIONS", "class_order", "relabel"],
        "registry": ["CORPORA"],
        "utterances": [
            "check_corpus",
            "describe_reading",
            "get_corpus",
            "input_files",
            "one_per_emotion",
            "read_utterances",
            "run_folder",
            "source_of_run",
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
