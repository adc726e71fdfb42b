"""Figures of the notebooks, each drawn from a table or from recordings, and audio players.

All figures share one style (`ser_utils.figures.style`): a style file, a palette with one colour per emotion, and `show`, which
saves a figure as PNG and displays it with a caption and an alternative text. This package computes no results.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "comparison": ["headline", "paired_differences", "published_results"],
        "corpus": ["counts", "durations_and_levels", "levels_by_speaker"],
        "cross_corpus": ["cross_corpus_matrix", "emotions_by_corpus"],
        "evaluation": ["confusion", "coverage", "enrolment", "heat_by_group", "importance", "reliability"],
        "features": ["feature_spread", "variance_shares"],
        "model_comparison": ["uar_by_speaker"],
        "players": ["audio_players"],
        "protocols": ["protocol_comparison"],
        "signals": ["augmented_frames", "one_sentence", "variants"],
        "style": ["colour_of", "show"],
        "training": ["learning_curves"],
    },
)
