"""Figure of training (notebook 03): learning curves."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ser_utils.figures import style


def learning_curves(curves: pd.DataFrame, title: str, validation: str) -> Figure:
    """Draw loss and accuracy over epochs: thin lines for the folds of the first seed, thick lines for the mean of all fits.

    Parameters
    ----------
    curves : pd.DataFrame [columns=seed, fold, epoch, loss, accuracy, val_loss, val_accuracy]
    title : str
    validation : str
        Legend entry of the validation rows.
    """
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    first_seed = curves[curves.seed == curves.seed.min()]
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        for column, colour, label in ((name, style.BLUE, "training (with dropout)"), (f"val_{name}", style.ORANGE, validation)):
            folds = first_seed.pivot_table(index="epoch", columns="fold", values=column)
            ax.plot(folds, color=colour, linewidth=0.7, alpha=0.5)
            ax.plot(curves.groupby("epoch")[column].mean(), color=colour, linewidth=2, label=label)
        ax.set(xlabel="epoch", ylabel=name)
    axes[0].set_ylim(0, min(axes[0].get_ylim()[1], 5))
    axes[1].set_ylim(0, 1)
    axes[0].legend()
    style.set_title(fig, title)
    return fig
