"""Train with irspack: MultVAE in JAX (KL annealed over one epoch at least), EASE under the name DenseSLIM."""

from __future__ import annotations

import numpy as np
from protocol import run


def mult_vae(job, train, watch):
    import jax
    from irspack.recommenders import MultVAERecommender

    model = MultVAERecommender(
        train,
        dim_z=job.latent,
        enc_hidden_dims=job.hidden,
        dropout_p=0.5,
        kl_anneal_goal=job.beta,
        anneal_end_epoch=1,
        minibatch_size=job.batch_size,
        train_epochs=job.epochs,
        learning_rate=job.learning_rate,
    )
    model.start_learning()
    for _ in range(job.epochs):
        with watch.epoch():
            model.run_epoch()
            # JAX returns before it has computed.
            jax.block_until_ready(model.trainer.params)
    return model.get_score_cold_user


def ease(job, train, watch):
    from irspack.recommenders import DenseSLIMRecommender

    model = DenseSLIMRecommender(train.astype(np.float64), reg=job.l2)
    with watch.epoch():
        model.learn()
    return model.get_score_cold_user


if __name__ == "__main__":
    run("irspack", ("irspack", "jax", "numpy", "scipy"), {"mult_vae": mult_vae, "ease": ease})
