"""Networks and classical models, and how they are trained.

`registry` has one entry per Keras network, `baselines` one per scikit-learn classifier. `training` trains many small networks
in stacks that share one compiled step, `sequences` trains networks that take sequences of frames. `backend` and `optimizers`
make TensorFlow give the same numbers each time. Add a network in `registry.MODELS`, a baseline in `baselines.BASELINES`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "backend": ["keras"],
        "baselines": ["BASELINES", "Baseline", "check_baselines"],
        "optimizers": ["Adam", "AdamW"],
        "registry": [
            "MODELS",
            "Model",
            "build_network",
            "cnn",
            "get_model",
            "load_model",
            "lstm",
            "masked_input",
            "mlp",
            "original_mlp",
            "pooled_statistics",
            "save_model",
            "with_normalisation",
            "with_random_search",
        ],
        "sequences": ["spec_augment"],
    },
)
