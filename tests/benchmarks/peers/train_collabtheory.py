"""Train with collabtheory's public trainer."""

from __future__ import annotations

from protocol import run

VALIDATION_USERS = 8


def split_of(train):
    import numpy as np
    from scipy import sparse

    from collabtheory.data import FoldIn, Interactions, StrongSplit

    users, items = train.shape
    matrix = sparse.csr_array(train).astype(np.float32)
    data = Interactions(matrix, np.arange(users), np.arange(items))
    # The trainer looks at validation users after each epoch; a few, as the weights of the last epoch are the result.
    rows = np.arange(VALIDATION_USERS)
    few = FoldIn(rows, matrix[rows], matrix[rows], rows[:0])
    return StrongSplit(data, few, few, np.arange(users), np.arange(items), 0, 0)


def scorer_of(model):
    from scipy import sparse

    return lambda fold_in: model.scores(sparse.csr_array(fold_in))


def autoencoder(model_options, training_options):
    def trainer(job, train, watch):
        import torch

        from collabtheory.models import ModelSpec, TrainingSpec
        from collabtheory.models.trainer import train as fit

        torch.set_num_threads(1)
        model = ModelSpec(hidden=(job.hidden,), latent=job.latent, keep_probability=0.5, **model_options)
        training = TrainingSpec(
            epochs=job.epochs,
            batch_size=job.batch_size,
            learning_rate=job.learning_rate,
            kl_schedule="constant",
            patience=job.epochs,
            snapshots=(job.epochs,),
            beta=job.beta,
            **training_options,
        )
        split = split_of(train)

        def next_epoch(record):
            watch.stop()
            watch.start()

        watch.start()
        trained = fit(model, training, split, seed=job.seed, on_epoch=next_epoch)
        trained.model.load_state_dict(trained.snapshots[job.epochs])
        return scorer_of(trained.model)

    return trainer


def ease(job, train, watch):
    from scipy import sparse

    from collabtheory.models.ease import EaseSpec, fit_ease

    with watch.epoch():
        model = fit_ease(sparse.csr_array(train), EaseSpec(l2=job.l2))
    return scorer_of(model)


if __name__ == "__main__":
    run(
        "collabtheory",
        ("collabtheory", "torch", "numpy", "scipy"),
        {
            "mult_vae": autoencoder({"architecture": "mult_vae"}, {}),
            "rec_vae": autoencoder({"architecture": "rec_vae"}, {"kl_weighting": "by_size"}),
            "ease": ease,
        },
    )
