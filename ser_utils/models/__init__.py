"""Networks and classical models, and their training.

`networks` builds Keras networks; `registry` has one entry per network, `baselines` one per scikit-learn classifier. `fits`
describes training runs. `training` runs them: `stacked` trains row networks in stacks, `sequences` trains sequence networks.
`saved_model` is the model directory. `backend` and `optimizers` make TensorFlow deterministic and faster. Add a network in
`registry.MODELS`, a baseline in `baselines.BASELINES`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "backend": ["keras"],
        "baselines": ["BASELINES", "Baseline", "check_baselines"],
        "networks": ["cnn", "lstm", "masked_input", "mlp", "original_mlp", "pooled_statistics"],
        "optimizers": ["Adam", "AdamW"],
        "registry": ["MODELS", "Model", "build_network", "get_model", "with_random_search"],
        "saved_model": ["load_model", "save_model", "with_normalisation"],
        "sequences": ["spec_augment"],
    },
)
