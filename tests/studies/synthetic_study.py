"""Made-up results of a study, as files: accuracy and measures whose truth is planted."""

import json

import numpy as np
import pandas as pd

from collabtheory.ranking import write_frame
from collabtheory.studies.methods import METHODS
from collabtheory.studies.plan import FIT, MEASURE
from collabtheory.studies.steps import FIT_FILE, MEASURES_FILE, USERS_FILE

FOLDS, USERS = 5, 600

# What every claim needs for its parts to be true: lead in nDCG@100, and measures as (mean, per-user spread).
TRUE_ACCURACY = {
    "ease": 0.46,
    "modern": 0.50,
    "kl_by_size": 0.44,
    "kl_learned": 0.44,
    "mult_vae_pia": 0.45,
    "mult_vae": 0.42,
    "mult_vae_pia_shuffled": 0.40,
    "rec_vae_pia": 0.45,
    "rec_vae": 0.42,
    "mult_dae": 0.41,
}
OTHERS = 0.38
TRUE_MEASURES = {
    "collaboration.clean.cosine.local": {"": 0.30},
    "collaboration.clean.cosine.global": {"": 0.10},
    "collaboration.clean.loss_change.local": {"": 0.30},
    "collaboration.clean.loss_change.global": {"": 0.10},
    "collaboration.reference.cosine.global": {"": 0.20, "mult_vae_pia": 0.22, "mult_vae_clean": 0.15},
    "mixing.same": {"": 0.60},
    "drift.reference.between_draws": {"": 0.30, "mult_vae_pia": 0.40},
    "sparsity.kl": {"": 40.0, "full_kl": 20.0, "strong_kl": 5.0},
    "sparsity.active_units": {"": 30.0, "strong_kl": 5.0},
    "familiarity.per_doubling.kl": {"": 2.0},
    "familiarity.unrelated_items.kl": {"": -3.0},
    "familiarity.popular_minus_rare.kl": {"": 1.0},
}
NUMBERS = {
    "collaboration.clean.cosine.local.pair_share": 0.05,
    "collaboration.clean.cosine.global.pair_share": 0.40,
    "collaboration.clean.loss_change.local.pair_share": 0.05,
    "collaboration.clean.loss_change.global.pair_share": 0.40,
    "mixing.by_chance": 0.35,
    "familiarity.partial.history.kl": 0.3,
}


def write_study(folder, *, accuracy=None, measures=None, rising=(), seed=0):
    """Write results of every method and return them as the inputs of a check."""
    accuracy = {**dict.fromkeys(METHODS, OTHERS), **(TRUE_ACCURACY if accuracy is None else accuracy)}
    measures = TRUE_MEASURES if measures is None else measures
    rng = np.random.default_rng(seed)
    sizes = rng.choice([7, 30, 70, 150], USERS)
    talent = rng.normal(0, 0.1, USERS)
    inputs = {}
    for name in METHODS:
        for fold in range(FOLDS):
            rows = np.arange(fold, USERS, FOLDS)
            values = accuracy[name] + talent[rows] + rng.normal(0, 0.03, len(rows))
            frame = {"fold": np.full(len(rows), fold), "row": rows, "n_items": sizes[rows]}
            columns = dict.fromkeys(("ndcg@100", "recall@20", "recall@50"), values)
            path = folder / f"fit-{name}-{fold}"
            write_frame(pd.DataFrame({**frame, **columns}), path / USERS_FILE)
            about = {"method": name, "settings": {}, "validation": 0.4, "still_rising": name in rising}
            about["exposure"] = {"coverage": 0.5, "popularity_percentile": 0.8}
            (path / FIT_FILE).write_text(json.dumps(about))
            inputs[f"{FIT} {name} {fold}"] = path
            if METHODS[name].measured:
                inputs[f"{MEASURE} {name} {fold}"] = _measures(folder, name, fold, measures, rng)
    return inputs


def _measures(folder, name, fold, measures, rng):
    users = list(range(80))
    vectors = {}
    for measure, by_method in measures.items():
        mean = by_method.get(name, by_method.get("", 0.0))
        vectors[measure] = (mean + rng.normal(0, 0.2 * abs(mean) + 1e-3, len(users))).tolist()
    values = {
        key: {"value": float(np.mean(vector)), "low": None, "high": None, "n": 80} for key, vector in vectors.items()
    }
    values |= {key: {"value": number, "low": None, "high": None, "n": 80} for key, number in NUMBERS.items()}
    path = folder / f"measure-{name}-{fold}"
    path.mkdir(parents=True)
    (path / MEASURES_FILE).write_text(json.dumps({"users": users, "values": values, "per_user": vectors}))
    return path
