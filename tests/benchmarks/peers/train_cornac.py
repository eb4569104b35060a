"""Train with Cornac: VAECF (no input normalisation, no masking), RecVAE, EASE without clipping."""

from __future__ import annotations

import numpy as np
from protocol import coordinates, in_own_columns, run


def data_set(train, watch):
    """Return the data set, whose passes over users are timed: Cornac has no callback at the end of an epoch."""
    from cornac.data import Dataset

    class Timed(Dataset):
        def user_iter(self, batch_size=1, shuffle=False):
            with watch.epoch():
                yield from super().user_iter(batch_size, shuffle)

    users, items = coordinates(train)
    data = Timed.from_uir(list(zip(users.tolist(), items.tolist(), [1.0] * len(users), strict=True)), seed=0)
    column_of = np.array([data.iid_map[item] for item in range(train.shape[1])])
    return data, column_of


def scorer_of(scores_of_dense, column_of):
    def scorer(fold_in):
        import torch

        own = in_own_columns(fold_in, column_of, fold_in.shape[1])
        with torch.no_grad():
            return scores_of_dense(torch.from_numpy(own.toarray().astype(np.float32))).numpy()[:, column_of]

    return scorer


def mult_vae(job, train, watch):
    import torch
    from cornac.models import VAECF

    torch.set_num_threads(1)
    data, column_of = data_set(train, watch)
    model = VAECF(
        k=job.latent,
        autoencoder_structure=[job.hidden],
        act_fn="tanh",
        likelihood="mult",
        n_epochs=job.epochs,
        batch_size=job.batch_size,
        learning_rate=job.learning_rate,
        beta=job.beta,
        seed=job.seed,
    ).fit(data)
    return scorer_of(lambda x: model.vae.decode(model.vae.encode(x)[0]), column_of)


def rec_vae(job, train, watch):
    import cornac.eval_methods
    import torch
    from cornac.models import RecVAE

    torch.set_num_threads(1)
    # It ranks every training user after each epoch; that is left out, as is the evaluation of all others.
    cornac.eval_methods.ranking_eval = lambda **arguments: ([0.0], [])
    data, column_of = data_set(train, watch)
    model = RecVAE(
        hidden_dim=job.hidden,
        latent_dim=job.latent,
        batch_size=job.batch_size,
        gamma=job.beta,
        lr=job.learning_rate,
        n_epochs=job.epochs,
        seed=job.seed,
        use_gpu=False,
    ).fit(data)
    watch.merge(model.n_enc_epochs + model.n_dec_epochs)
    model.recvae_model.eval()
    return scorer_of(lambda x: model.recvae_model(x, calculate_loss=False), column_of)


def ease(job, train, watch):
    from cornac.models import EASE

    data, column_of = data_set(train, watch)
    with watch.epoch():
        model = EASE(lamb=job.l2, posB=False, verbose=False).fit(data)

    def scorer(fold_in):
        return np.asarray(in_own_columns(fold_in, column_of, fold_in.shape[1]) @ model.B)[:, column_of]

    return scorer


if __name__ == "__main__":
    run("Cornac", ("cornac", "torch", "numpy", "scipy"), {"mult_vae": mult_vae, "rec_vae": rec_vae, "ease": ease})
