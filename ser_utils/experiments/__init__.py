"""Runs that combine the packages above: from tables of features and folds to tables of predictions.

`data` joins features with labels, `systems` names what is tested, and `experiment` trains and tests one system under one
protocol (`fits` trains, `selection` chooses settings by inner folds). `baseline_runs` does the same for classical models.
`model_comparison`, `extra_corpora` and `cross_corpus` combine several networks or corpora; `analysis` computes calibration,
feature importance and enrolment curves; `trials` has `trial`, a quick result for one system.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "analysis": ["enrolment", "importance", "temperatures"],
        "baseline_runs": ["run_baseline"],
        "cross_corpus": ["cross_corpus_predictions", "cross_corpus_table", "emotion_codes", "shared_counts"],
        "data": ["Data", "load_data"],
        "experiment": ["cross_validation", "prediction_table", "run_protocol", "run_protocols"],
        "extra_corpora": ["join_extra_corpora", "read_extra_corpora", "relabel_data", "usable_extra_corpora"],
        "fits": ["as_input", "final_model", "make_fits"],
        "model_comparison": ["check_models", "compare_models", "pairwise_comparisons", "registered_models"],
        "systems": ["RunSettings", "System", "study_limits", "systems_by_norm", "usable_norms"],
        "trials": ["trial"],
    },
)
