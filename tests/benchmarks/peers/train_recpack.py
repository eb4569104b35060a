"""Train with RecPack: MultVAE, RecVAE (masks in the decoder's pass, too), EASE."""

from __future__ import annotations

from protocol import run
from scipy import sparse

VALIDATION_USERS = 8


def neural(kind):
    def trainer(job, train, watch):
        import torch
        from recpack import algorithms

        torch.set_num_threads(1)

        class Timed(getattr(algorithms, kind)):
            def _train_epoch(self, *arguments):
                with watch.epoch():
                    return super()._train_epoch(*arguments)

        kl = {"max_beta": job.beta, "anneal_steps": 1} if kind == "MultVAE" else {"gamma": job.beta}
        model = Timed(
            batch_size=job.batch_size,
            max_epochs=job.epochs,
            learning_rate=job.learning_rate,
            seed=job.seed,
            dim_hidden_layer=job.hidden,
            dim_bottleneck_layer=job.latent,
            dropout=0.5,
            keep_last=True,
            **kl,
        )
        few = train.tolil(copy=True)
        few[VALIDATION_USERS:] = 0
        few = sparse.csr_matrix(few)
        model.fit(train, (few, few))
        return lambda fold_in: model.predict(fold_in).toarray()

    return trainer


def ease(job, train, watch):
    from recpack.algorithms import EASE

    model = EASE(l2=job.l2)
    with watch.epoch():
        model.fit(train)
    return lambda fold_in: model.predict(fold_in).toarray()


if __name__ == "__main__":
    trainers = {"mult_vae": neural("MultVAE"), "rec_vae": neural("RecVAE"), "ease": ease}
    run("RecPack", ("recpack", "torch", "numpy", "scipy"), trainers)
