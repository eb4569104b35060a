"""A run folder as the runner writes it, made of random numbers with the shape of real results."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

STAGES = ("initial", "epoch_3", "epoch_10", "trained")
PROGRESS = {"initial": 0.0, "epoch_1": 0.1, "epoch_3": 0.35, "epoch_10": 0.65, "trained": 1.0}
RELATIONS = {"twin": (0.04, 0.1), "near": (0.16, 0.6), "far_related": (0.25, 1.4), "unrelated": (0.55, 1.6)}


def make_pairs(rng, n, stage, *, twins=True):
    t = PROGRESS[stage]
    shares = np.array([share for share, _ in RELATIONS.values()])
    if not twins:
        shares[0] = 0.0
    relation = rng.choice(list(RELATIONS), size=n, p=shares / shares.sum())
    base = np.array([RELATIONS[name][1] for name in relation])
    distance = base * (0.35 + 4.0 * t) * rng.lognormal(0.0, 0.25, n)
    cosine = np.tanh((1.1 - 0.9 * t) * np.exp(-base) + 0.08 - 0.12 * t + rng.normal(0.0, 0.22 - 0.06 * t, n))
    norm_u, norm_v = rng.lognormal(3.0, 0.3, n), rng.lognormal(3.0, 0.3, n)
    learning_rate = 1e-3
    curvature = 0.02 * rng.random(n)
    mismatch = norm_u * np.clip(base * (0.75 + 0.1 * t) * rng.lognormal(0.0, 0.3, n), 0.05, None)
    lipschitz = norm_u * (1.2 + 2.0 * t)
    alignment = norm_u * norm_v * np.tanh(cosine + 0.1 * t * rng.standard_normal(n))
    directional = np.abs(alignment).mean() * 3.0
    frame = pd.DataFrame(
        {
            "u": rng.integers(0, 400, n),
            "v": rng.integers(0, 400, n),
            "relation": relation,
            "sampling": np.where(relation == "near", "nearest", "sampled"),
            "n_u": rng.integers(5, 80, n),
            "n_v": rng.integers(5, 80, n),
            "shared_items": rng.integers(0, 5, n),
            "input_distance": rng.integers(1, 120, n),
            "jaccard": rng.random(n) * 0.3,
            "w1_lower": distance * 0.98,
            "w1_upper": distance * 0.995,
            "w2": distance,
            "transport_cost": distance * 0.99,
            "gradient_norm_u": norm_u,
            "gradient_norm_v": norm_v,
            "inner_product": cosine * norm_u * norm_v,
            "cosine": cosine,
            "gradient_gap": np.sqrt(np.maximum(norm_u**2 + norm_v**2 - 2 * cosine * norm_u * norm_v, 0)),
            "content_mismatch": mismatch,
            "alignment": alignment,
            "loss_change": learning_rate * norm_u * norm_v * (-cosine + curvature),
            "learning_rate": learning_rate,
            "lipschitz_lower": lipschitz,
            "lipschitz_upper": lipschitz * 6.0,
            "directional_lipschitz_lower": directional,
            "directional_lipschitz_upper": directional * 4.0,
            "sharing_radius": np.maximum(0.0, norm_u - mismatch) / (lipschitz * 6.0),
            "sharing_radius_heuristic": np.maximum(0.0, norm_u - mismatch) / lipschitz,
            "aligned_radius": np.maximum(0.0, alignment) / (directional * 4.0),
            "aligned_radius_heuristic": np.maximum(0.0, alignment) / directional,
        }
    )
    # A certified member always helps: that is what the theorem says.
    inside = (frame.transport_cost < frame.sharing_radius) | (frame.transport_cost < frame.aligned_radius)
    frame.loc[inside, "loss_change"] = -np.abs(frame.loc[inside, "loss_change"])
    return frame


def number(value, low=None, high=None, n=None, unit="1", label="", order=0):
    return {"value": value, "low": low, "high": high, "n": n, "unit": unit, "label": label, "order": order}


def radius_numbers(frame, radius):
    frame = frame[frame.sampling == "sampled"]
    helps = frame.loss_change < 0
    numbers = {
        "share_helping": float(helps.mean()),
        "share_positive_radius": float((frame[radius] > 0).mean()),
    }
    for suffix, column in (("", radius), ("_heuristic", f"{radius}_heuristic")):
        inside = frame.transport_cost < frame[column]
        numbers[f"share_inside{suffix}"] = float(inside.mean())
        numbers[f"precision{suffix}"] = float(helps[inside].mean()) if inside.any() else None
        numbers[f"recall{suffix}"] = float(inside[helps].mean())
    return numbers


def record(statement, title, verdict, met, tried, margin, **fields):
    base = {
        "id": statement,
        "title": title,
        "kind": "theorem",
        "control": False,
        "control_name": None,
        "control_text": None,
        "caught": None,
        "stage": None,
        "seed": None,
        "verdict": verdict,
        "rigor": "checked",
        "coverage": {"met": met, "tried": tried},
        "margin": margin,
        "worst": None,
        "parts": [],
        "numbers": {},
        "notes": [],
        "data": "3f" * 32,
        "model": None,
    }
    return {**base, **fields}


def control(statement, name, text, **fields):
    made = record(statement, f"False twin: {text}", "violated", 900, 1000, -0.25, **fields)
    return {
        **made,
        "control": True,
        "control_name": name,
        "control_text": text,
        "caught": made["verdict"] == "violated",
    }


def stage_records(frame, seed, stage):
    rng = np.random.default_rng(seed)
    drawn = frame[frame.sampling == "sampled"]
    where = {"seed": seed, "stage": stage, "model": f"{seed:02d}" * 32}
    records = []
    for statement, title, radius in (
        ("theorem_2_3", "Latent sharing radius: near in latent space means that v helps u", "sharing_radius"),
        ("aligned_radius", "Aligned sharing radius", "aligned_radius"),
    ):
        values = radius_numbers(frame, radius)
        inside = int((frame.transport_cost < frame[radius]).sum())
        if radius == "sharing_radius":
            rho = float(drawn.cosine.corr(drawn.w2, method="spearman"))
            values |= {
                "spearman_cosine_w2": rho,
                "partial_spearman_given_jaccard": rho * 0.8 + 0.01 * rng.standard_normal(),
                "first_order_slope": 2.0 + 0.002 * rng.standard_normal(),
                "certified_lipschitz_ratio": 6.0,
            }
        else:
            values["share_sign_agreement"] = float((np.sign(frame.alignment) == np.sign(frame.inner_product)).mean())
        numbers = {name: number(value, n=len(drawn), order=i) for i, (name, value) in enumerate(values.items())}
        for name in ("spearman_cosine_w2", "partial_spearman_given_jaccard"):
            if name in numbers:
                numbers[name] |= {"low": numbers[name]["value"] - 0.03, "high": numbers[name]["value"] + 0.03}
        worst = {"u": 12, "v": 40, "lhs": 1.2, "rhs": 1.3}
        part = {
            "name": "gap_bound",
            "text": "||g_u - g_v|| <= D(u,v)",
            "verdict": "holds",
            "rigor": "checked",
            "coverage": {"met": len(frame), "tried": len(frame)},
            "margin": 0.031,
            "worst": worst,
        }
        records.append(
            record(
                statement,
                title,
                "holds" if inside else "vacuous",
                inside,
                len(frame),
                0.0123 if inside else None,
                worst=worst if inside else None,
                parts=[part],
                numbers=numbers,
                notes=["The radius is sufficient, not necessary: pairs outside it may help each other too."],
                **where,
            )
        )
    records.append(
        control("theorem_2_3", "drop_content_mismatch", "the content mismatch is left out of the penalty", **where)
    )
    records.append(control("aligned_radius", "flip_alignment", "the sign of the alignment is turned round", **where))
    records.append(
        record(
            "lemma_2_4", "Similar inputs stay close", "holds", len(frame), len(frame), 0.41, rigor="certified", **where
        )
    )
    records.append(control("lemma_2_4", "halve_lipschitz", "a tenth of the encoder's Lipschitz constant", **where))
    return records


def fixed_records():
    return [
        record(
            "wasserstein_bracket",
            "The bracket of W_1 contains optimal transport",
            "holds",
            200,
            200,
            0.002,
            notes=["Compared with optimal transport on samples, whose sampling error is allowed for."],
        ),
        control("wasserstein_bracket", "upper_below_lower", "the upper bound is divided by two"),
        record(
            "proposition_3_1",
            "The PIA loss is an identity in three terms",
            "certified",
            64,
            64,
            0.0,
            rigor="proved",
        ),
        control("proposition_3_1", "drop_trace", "the trace of the covariance is left out"),
        record(
            "assumption_a1",
            "The decoder gradient is Lipschitz in z, everywhere",
            "assumption_fails",
            0,
            1,
            None,
            notes=["It grows along a direction that leaves one unit unsaturated; on a ball it is Lipschitz."],
        ),
    ]


def history(rng, n_epochs, stages):
    saved = {int(stage.split("_")[1]): stage for stage in stages if stage.startswith("epoch_")}
    saved |= {n_epochs: "trained"} if "trained" in stages else {}
    for epoch in range(1, n_epochs + 1):
        line = {
            "epoch": epoch,
            "train_loss": 180.0 + 90.0 * np.exp(-epoch / 8.0) + rng.normal(0.0, 0.6),
            "kl": 14.0 * (1 - np.exp(-epoch / 5.0)) * (1 - 0.3 * epoch / n_epochs),
            "beta": min(0.2, 0.4 * epoch / n_epochs),
            "validation_ndcg": 0.34 * (1 - np.exp(-epoch / 9.0)) + rng.normal(0.0, 0.004),
        }
        yield line | ({"stage": saved[epoch]} if epoch in saved else {})


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines), encoding="utf-8")


def build_run(path, *, seeds=(0, 1), stages=STAGES, n_pairs=1500, n_epochs=40, twins=True, extra=(), with_pairs=True):
    """Write a whole run folder and return its path."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    records = fixed_records()
    for seed in seeds:
        for stage in stages:
            rng = np.random.default_rng([seed, list(PROGRESS).index(stage)])
            frame = make_pairs(rng, n_pairs, stage, twins=twins)
            records += stage_records(frame, seed, stage)
            if with_pairs:
                target = path / "pairs" / f"seed-{seed}" / f"{stage}.parquet"
                target.parent.mkdir(parents=True, exist_ok=True)
                frame.to_parquet(target, index=False)
        write_lines(path / "training" / f"seed-{seed}.jsonl", history(np.random.default_rng(seed), n_epochs, stages))
    write_lines(path / "claims.jsonl", [*records, *extra])
    meta = {
        "stages": list(stages),
        "seeds": list(seeds),
        "data": {"name": "planted world", "n_users": 400, "n_items": 300, "n_interactions": 9120},
        "specification": {"profile": "quick", "model": {"name": "mult-vae", "hidden": 200, "latent": 32}},
        "provenance": {"collabtheory": "0.1.0", "torch": "2.13.0", "revision": "4a6ce5a", "threads": 1},
    }
    (path / "run.json").write_text(json.dumps(meta), encoding="utf-8")
    (path / "times.json").write_text(json.dumps({"train seed 0": 12.5, "pairs seed 0": 4.25}), encoding="utf-8")
    return path
