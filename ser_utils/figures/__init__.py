"""Table in, figure out: the figures of the notebooks, and audio players.

One style file (`ser.mplstyle`) and one colour per emotion. Every figure is drawn from a table that is saved beside it as CSV,
and `show` saves it with a caption and an alternative text. Nothing here computes a result.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "cross_corpus": ["cross_corpus_matrix", "emotions_by_corpus"],
        "evaluation": [
            "coverage",
            "enrolment",
            "heat_by_group",
            "importance",
            "paired_differences",
            "protocol_comparison",
            "published_results",
            "reliability",
        ],
        "model_comparison": ["augmented_frames", "uar_by_speaker"],
        "players": ["audio_players"],
        "plots": [
            "colour_of",
            "confusion",
            "counts",
            "durations_and_levels",
            "feature_spread",
            "headline",
            "learning_curves",
            "levels_by_speaker",
            "one_sentence",
            "show",
            "variance_shares",
            "variants",
        ],
    },
)
