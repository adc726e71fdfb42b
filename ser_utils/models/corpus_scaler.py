"""Standardisation for baselines that also train on extra corpora."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import StandardScaler


class CorpusScaler(TransformerMixin, BaseEstimator):
    """Standardise the rows of the main corpus; rows of extra corpora, marked with 1 in the last column, do not change."""

    def fit(self, x: np.ndarray, y: np.ndarray | None = None) -> "CorpusScaler":
        self.scaler_ = StandardScaler().fit(x[x[:, -1] == 0, :-1])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        return np.where(x[:, -1:] == 0, self.scaler_.transform(x[:, :-1]), x[:, :-1])
