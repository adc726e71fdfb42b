"""Runs that combine the packages above: from tables of features and folds to tables of predictions.

`experiment` trains and tests one system under one protocol, with settings chosen by inner folds; `baseline_runs` does so for
classical models. `model_comparison`, `extra_corpora` and `cross_corpus` are studies of several networks or corpora; `analysis`
asks trained networks for calibration, feature importance and enrolment; `trials` has `trial`, a quick look at one system.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "analysis": ["enrolment", "importance", "temperatures"],
        "baseline_runs": ["run_baseline"],
        "cross_corpus": ["cross_corpus_predictions", "cross_corpus_table", "emotion_codes", "shared_counts"],
        "experiment": [
            "Data",
            "RunSettings",
            "System",
            "as_input",
            "cross_validation",
            "final_model",
            "load_data",
            "make_fits",
            "prediction_table",
            "run_protocol",
            "run_protocols",
            "study_limits",
            "systems_by_norm",
            "usable_norms",
        ],
        "extra_corpora": ["join_extra_corpora", "read_extra_corpora", "relabel_data", "usable_extra_corpora"],
        "model_comparison": ["check_models", "compare_models", "pairwise_comparisons", "registered_models"],
        "trials": ["trial"],
    },
)
