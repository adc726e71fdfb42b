"""How to split a corpus, and how to score predictions.

`protocols` has one entry per protocol (leave-one-speaker-out is the main one), `folds` makes the folds, and `leakage` checks
every fit before it is trained. `predictions` reads the tables of predictions. `metrics` computes UAR, accuracy and F1,
`intervals` their confidence intervals over speakers, `statistics` tests of significance, `breakdown` results by group, class
and clip, `calibration` how reliable the probabilities are, and `texts` sentences for reports. To add a protocol, add an entry
to `protocols.PROTOCOLS`. Nothing here trains a model or draws a figure.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "breakdown": ["confused_pairs", "confusion_table", "misclassified_by_every_seed", "report_table", "uar_by_group"],
        "calibration": ["accuracy_by_coverage", "calibration_tables", "fold_temperatures"],
        "folds": [
            "describe_left_out",
            "folds_by_seed",
            "held_out",
            "make_folds",
            "protocol_plan",
            "train_test_overlap",
        ],
        "intervals": ["over_speakers", "resampling_unit"],
        "leakage": ["LeakError", "check_fit", "check_scaler"],
        "metrics": [
            "chance_level",
            "metrics_by_speaker",
            "metrics_with_intervals",
            "protocol_comparison",
            "published_results",
            "uar",
        ],
        "predictions": ["PREDICTIONS", "read_predictions", "seed_ensemble", "select_system"],
        "protocols": [
            "PROTOCOLS",
            "Protocol",
            "check_protocols",
            "default_protocols",
            "main_protocol",
            "seeds_by_protocol",
            "wording",
        ],
        "statistics": ["above_chance", "comparison_table", "paired_comparison"],
        "texts": ["headline_text", "interval_label", "percent", "unit_label"],
    },
)
