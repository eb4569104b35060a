"""Train with LensKit: EASE."""

from __future__ import annotations

import numpy as np
from protocol import coordinates, in_own_columns, run


def ease(job, train, watch):
    import pandas as pd
    import torch
    from lenskit.data import from_interactions_df
    from lenskit.knn.ease import EASEScorer

    torch.set_num_threads(1)
    users, items = coordinates(train)
    data = from_interactions_df(pd.DataFrame({"user_id": users, "item_id": items}))
    model = EASEScorer(regularization=job.l2)
    with watch.epoch():
        model.train(data)
    column_of = np.asarray(model.items.numbers(np.arange(train.shape[1])))

    def scorer(fold_in):
        return np.asarray(in_own_columns(fold_in, column_of, train.shape[1]) @ model.weights)[:, column_of]

    return scorer


if __name__ == "__main__":
    run("LensKit", ("lenskit", "torch", "numpy", "scipy"), {"ease": ease})
