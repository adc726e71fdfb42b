"""How to split a corpus, and how to score predictions.

`protocols` has one entry per protocol (leave-one-speaker-out is the main one) and makes the folds; `leakage` checks every fit
before it is trained. `metrics` has UAR, accuracy and F1 with intervals over speakers; `statistics` compares systems in pairs;
`calibration` judges probabilities. Add a protocol in `protocols.PROTOCOLS`. Nothing here trains a model or draws a figure.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "calibration": ["before_and_after", "coverage_of", "of_norm"],
        "folds": [
            "describe_left_out",
            "folds_by_seed",
            "held_out",
            "iter_folds",
            "make_folds",
            "protocol_plan",
            "train_test_overlap",
        ],
        "leakage": ["LeakError", "check_fit", "plant_leaks"],
        "metrics": [
            "PREDICTIONS",
            "chance_level",
            "confusion_table",
            "headline_text",
            "metrics_by_speaker",
            "metrics_with_intervals",
            "percent",
            "protocol_comparison",
            "published_results",
            "read_predictions",
            "report_table",
            "resampling_unit",
            "uar",
            "unit_label",
        ],
        "protocols": ["PROTOCOLS", "Protocol", "check_protocols", "main_protocol", "wording"],
        "statistics": [
            "above_chance",
            "comparison_table",
            "confused_pairs",
            "misclassified_by_every_seed",
            "over_speakers",
            "paired_comparison",
            "seed_ensemble",
            "select_system",
            "uar_by_group",
        ],
    },
)
