"""A run as an estimator of scikit-learn: fit, predict, and everything that is built on them.

`classifier` is the estimator; `columns` makes tables of what scikit-learn hands over, `naming` says which class is
which label, `kept` holds the files of a fitted model so that they can be pickled, `choosing` finds plugins.
"""
