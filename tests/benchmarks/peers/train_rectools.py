"""Train with RecTools: EASE."""

from __future__ import annotations

import numpy as np
from protocol import coordinates, in_own_columns, run


def ease(job, train, watch):
    import pandas as pd
    from rectools.dataset import Dataset
    from rectools.models import EASEModel

    users, items = coordinates(train)
    frame = pd.DataFrame({"user_id": users, "item_id": items, "weight": 1.0, "datetime": "2000-01-01"})
    data = Dataset.construct(frame)
    model = EASEModel(regularization=job.l2)
    with watch.epoch():
        model.fit(data)
    column_of = np.asarray(data.item_id_map.convert_to_internal(np.arange(train.shape[1])))

    def scorer(fold_in):
        return np.asarray(in_own_columns(fold_in, column_of, train.shape[1]) @ model.weight)[:, column_of]

    return scorer


if __name__ == "__main__":
    run("RecTools", ("rectools", "numpy", "scipy"), {"ease": ease})
