"""Feature sets and data augmentation: from recordings to tables of features.

`registry` has one entry per feature set: `original38` (features of the original study), `functionals` (statistics of low-level
descriptors, F0 and rhythm) and `log_mel` (sequences of frames). `augmentation` has one entry per augmentation. `extraction`
computes the tables on all cores. Add a feature set to `registry.FEATURE_SETS`, an augmentation to `augmentation.AUGMENTATIONS`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "augmentation": ["AUGMENTATIONS", "Augmentation", "STRENGTHS", "augment", "check_strengths", "check_variants"],
        "extraction": ["feature_tables"],
        "f0": ["signal_measures"],
        "functionals": ["describe_functionals"],
        "registry": [
            "FEATURE_SETS",
            "FeatureSet",
            "STANDARD_SETS",
            "check_feature_sets",
            "feature_file_name",
            "get_feature_set",
            "read_features",
            "variance_by",
            "variants_of",
            "write_features",
            "write_tables",
        ],
    },
)
