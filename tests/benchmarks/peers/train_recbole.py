"""Train with RecBole: MultiVAE and RecVAE (both draw their noise with a hundredth of the standard deviation), EASE."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from protocol import coordinates, in_own_columns, run


def data_set(name, job, train, options):
    """Return RecBole's configuration and training data, and the column of each item."""
    from recbole.config import Config
    from recbole.data import create_dataset

    folder = Path(tempfile.mkdtemp(dir=job.folder))
    (folder / "speed").mkdir()
    users, items = coordinates(train)
    lines = ["user_id:token\titem_id:token", *(f"{u}\t{i}" for u, i in zip(users, items, strict=True))]
    (folder / "speed" / "speed.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder),
        "load_col": {"inter": ["user_id", "item_id"]},
        "eval_args": {"split": {"RS": [1, 0, 0]}, "group_by": None, "order": "RO", "mode": "full"},
        "train_neg_sample_args": None,
        "use_gpu": False,
        "seed": job.seed,
        "state": "ERROR",
        "show_progress": False,
        **options,
    }
    config = Config(model=name, dataset="speed", config_dict=settings)
    built = create_dataset(config).build()[0]
    column_of = built.token2id("item_id", [str(item) for item in range(train.shape[1])])
    return config, built, np.asarray(column_of)


def neural(name, options, scores_of):
    def trainer(job, train, watch):
        import torch
        from recbole.data.dataloader import UserDataLoader
        from recbole.utils import get_model, get_trainer, init_seed

        torch.set_num_threads(1)
        common = {"epochs": job.epochs, "train_batch_size": job.batch_size, "learning_rate": job.learning_rate}
        config, built, column_of = data_set(name, job, train, {**common, **options(job)})
        init_seed(job.seed, True)
        loader = UserDataLoader(config, built, None, shuffle=True)
        model = get_model(name)(config, built)

        class Timed(get_trainer(config["MODEL_TYPE"], name)):
            def _train_epoch(self, *arguments, **named):
                # RecVAE's own trainer calls this once a pass of its epoch.
                with watch.epoch():
                    return super()._train_epoch(*arguments, **named)

        Timed(config, model).fit(loader, saved=False, verbose=False)
        model.eval()

        def scorer(fold_in):
            own = in_own_columns(fold_in, column_of, built.item_num).toarray().astype(np.float32)
            with torch.no_grad():
                return scores_of(model, torch.from_numpy(own)).numpy()[:, column_of]

        return scorer

    return trainer


def mult_vae_options(job):
    # Its latent_dimension counts mean and log-variance together; no annealing steps: the cap from the start.
    return {
        "mlp_hidden_size": [job.hidden],
        "latent_dimension": 2 * job.latent,
        "dropout_prob": 0.5,
        "anneal_cap": job.beta,
        "total_anneal_steps": 0,
    }


def rec_vae_options(job):
    return {"hidden_dimension": job.hidden, "latent_dimension": job.latent, "dropout_prob": 0.5, "gamma": job.beta}


def ease(job, train, watch):
    from recbole.utils import get_model

    config, built, column_of = data_set("EASE", job, train, {"reg_weight": job.l2})
    with watch.epoch():
        model = get_model("EASE")(config, built)

    def scorer(fold_in):
        own = in_own_columns(fold_in, column_of, built.item_num)
        return np.asarray(own @ np.asarray(model.item_similarity))[:, column_of]

    return scorer


if __name__ == "__main__":
    run(
        "RecBole",
        ("recbole", "torch", "numpy", "scipy"),
        {
            "mult_vae": neural("MultiVAE", mult_vae_options, lambda model, x: model(x)[0]),
            "rec_vae": neural("RecVAE", rec_vae_options, lambda model, x: model(x, 0.0)[0]),
            "ease": ease,
        },
    )
