"""Estimators of scikit-learn's kind: `from triune.sklearn import TextClassifier`."""

from triune.estimators.classifier import TextClassifier

__all__ = ["TextClassifier"]
