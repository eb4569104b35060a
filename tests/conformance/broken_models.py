"""A small VAE in plain torch that is right, and one small change of it for each error that is to be caught."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from collabtheory.conformance import VaeUnderTest, random_contents

N_ITEMS, HIDDEN, LATENT, KEEP, CAP = 60, 12, 5, 0.7, 0.2
CONTENTS = random_contents(N_ITEMS, 80, np.random.default_rng(7))


def build(seed=0, latent=LATENT):
    """Return the layers of a VAE whose codes tell users apart."""
    torch.manual_seed(seed)
    layers = nn.ModuleDict(
        {
            "trunk": nn.Linear(N_ITEMS, HIDDEN),
            "mean": nn.Linear(HIDDEN, latent),
            "log_variance": nn.Linear(HIDDEN, latent),
            "decoder": nn.Sequential(nn.Linear(latent, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, N_ITEMS)),
        }
    ).double()
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.mul_(4.0)
        layers["decoder"].requires_grad_(True)
    return layers


def dense(contents):
    return torch.from_numpy(np.asarray(contents.toarray(), dtype=np.float64))


def normalised(x):
    norm = x.norm(dim=1, keepdim=True)
    return x / torch.where(norm > 0, norm, 1.0)


@torch.no_grad()
def encode_input(layers, inputs):
    hidden = torch.tanh(layers["trunk"](inputs))
    return layers["mean"](hidden), torch.exp(layers["log_variance"](hidden) / 4)


def noise(rng, shape):
    return torch.from_numpy(rng.standard_normal(tuple(shape)))


def mask(rng, shape, keep=KEEP):
    return torch.from_numpy((rng.random(tuple(shape)) < keep).astype(np.float64))


def divergences(mu, sigma):
    return 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log())


def negative_log_likelihood(logits, contents):
    return -(torch.log_softmax(logits, -1) * dense(contents)).sum(-1)


def linear(step, total_steps):
    return CAP * min(1.0, step / (0.5 * total_steps))


def evaluate(scores, seen, held_out, *, recall="min", ndcg="min", hide=True, keep_empty=False):
    """Plain loops over users: an evaluator of recall@20 and ndcg@100."""
    recalls, gains = [], []
    for row, own, wanted in zip(scores, seen.toarray() > 0, held_out.toarray() > 0, strict=True):
        n = int(wanted.sum())
        if n == 0:
            if keep_empty is not False:
                recalls.append(keep_empty)
                gains.append(keep_empty)
            continue
        order = np.lexsort((-row, own & hide))
        found = [bool(wanted[i]) for i in order]
        recalls.append(sum(found[:20]) / {"min": min(20, n), "n": n, "k": 20}[recall])
        gain = sum(hit / np.log2(rank + 2) for rank, hit in enumerate(found[:100]))
        length = {"min": min(n, 100), "n": n, "k": 100}[ndcg]
        gains.append(gain / sum(1 / np.log2(rank + 2) for rank in range(length)))
    return {"Recall@20": np.mean(recalls), "NDCG@100": np.mean(gains)}


def train_with_l2(l2, *, sign=1.0, used=True):
    """Take one step of gradient descent."""
    layers = build()
    hidden = torch.tanh(layers["trunk"](normalised(dense(CONTENTS))))
    loss = negative_log_likelihood(layers["decoder"](layers["mean"](hidden)), CONTENTS).mean()
    if used:
        loss = loss + sign * l2 * sum((p**2).sum() for p in layers.parameters())
    loss.backward()
    steps = (p if p.grad is None else p - 0.01 * p.grad for p in layers.parameters())
    return torch.cat([step.detach().flatten() for step in steps])


def correct(seed=0):
    layers = build(seed)
    decoder = layers["decoder"]

    def encode(contents):
        return encode_input(layers, normalised(dense(contents)))

    def sample(contents, rng):
        mu, sigma = encode(contents)
        return mu + sigma * noise(rng, mu.shape)

    def kl(contents):
        own = torch.distributions.Normal(*encode(contents))
        return torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).sum(-1)

    def reconstruction(contents, codes):
        return negative_log_likelihood(decoder(torch.as_tensor(codes)), contents)

    def loss(contents, beta, rng):
        return (reconstruction(contents, sample(contents, rng)) + beta * kl(contents)).mean()

    @torch.no_grad()
    def scores(contents):
        return decoder(encode(contents)[0])

    def rank(contents, k):
        hidden = scores(contents).masked_fill(dense(contents) > 0, -torch.inf)
        return hidden.topk(k, dim=1).indices

    def encode_masked(contents, rng):
        x = normalised(dense(contents))
        return encode_input(layers, x * mask(rng, x.shape) / KEEP)

    return VaeUnderTest(
        encode,
        decoder,
        likelihood="multinomial",
        latent=LATENT,
        masking="normalise_then_mask",
        keep_probability=KEEP,
        beta_cap=CAP,
        scores=scores,
        sample=sample,
        kl=kl,
        reconstruction=reconstruction,
        loss=loss,
        beta=linear,
        rank=rank,
        encode_masked=encode_masked,
        train_with_l2=train_with_l2,
        evaluate=evaluate,
    )


@dataclass(frozen=True)
class Broken:
    """A broken model, the checks that must find it, a word of what must be said, and the status due."""

    model: VaeUnderTest
    checks: set
    words: str
    status: str = "wrong"


RIGHT = correct()
LAYERS = build()


def with_encoder(encode, **changes):
    """Return the right model with another encoder, all else following from it."""

    def sample(contents, rng):
        mu, sigma = map(torch.as_tensor, encode(contents))
        return mu + sigma * noise(rng, mu.shape)

    def kl(contents):
        return divergences(*map(torch.as_tensor, encode(contents))).sum(-1)

    def scores(contents):
        with torch.no_grad():
            return RIGHT.decoder(torch.as_tensor(encode(contents)[0]))

    parts = {"sample": sample, "kl": kl, "scores": scores, "loss": None, "rank": None, "encode_masked": None}
    return replace(RIGHT, encode=encode, **{**parts, **changes})


def with_sample(draw):
    def sample(contents, rng):
        return draw(*RIGHT.encode(contents), rng)

    return replace(RIGHT, sample=sample)


def with_kl(form):
    return replace(RIGHT, kl=lambda contents: form(*RIGHT.encode(contents)))


def with_loss(form):
    """``form(reconstruction, kl, beta)`` with one value a user of each."""

    def loss(contents, beta, rng):
        return form(RIGHT.reconstruction(contents, RIGHT.sample(contents, rng)), RIGHT.kl(contents), beta)

    return replace(RIGHT, loss=loss)


def with_mask(scheme, **claims):
    def encode_masked(contents, rng):
        return encode_input(LAYERS, scheme(dense(contents), rng))

    return replace(RIGHT, encode_masked=encode_masked, **claims)


def with_reconstruction(form):
    def reconstruction(contents, codes):
        return form(RIGHT.decoder(torch.as_tensor(codes)), dense(contents))

    return replace(RIGHT, reconstruction=reconstruction)


def sampling_scores():
    generator = np.random.default_rng(0)
    return replace(RIGHT, scores=lambda contents: RIGHT.decoder(RIGHT.sample(contents, generator)))


def sampled_with_a_fixed_seed():
    return replace(RIGHT, scores=lambda contents: RIGHT.decoder(RIGHT.sample(contents, np.random.default_rng(1))))


def dropout_left_on():
    model = correct()
    decoder = nn.Sequential(*copy.deepcopy(model.decoder), nn.Dropout(0.3)).train()

    def scores(contents):
        return decoder(model.encode(contents)[0])

    return replace(model, decoder=decoder, scores=scores, rank=None, reconstruction=None, loss=None)


def masking_encoder():
    generator = np.random.default_rng(0)

    def encode(contents):
        x = normalised(dense(contents))
        return encode_input(LAYERS, x * mask(generator, x.shape))

    return with_encoder(encode, scores=None)


def masked_with(value):
    def rank(contents, k):
        hidden = RIGHT.scores(contents)
        return (hidden if value is None else hidden.masked_fill(dense(contents) > 0, value)).topk(k, dim=1).indices

    return replace(RIGHT, rank=rank)


def unguarded_norm(contents):
    x = dense(contents)
    return encode_input(LAYERS, x / x.norm(dim=1, keepdim=True))


def norm_over_users(contents):
    x = dense(contents)
    return encode_input(LAYERS, x / x.norm(dim=0, keepdim=True).clamp(min=1e-9))


def raw_counts(contents):
    return encode_input(LAYERS, dense(contents) / 4)


def past_its_cap(step, total_steps):
    return CAP if step > 0.8 * total_steps else 2 * CAP * step / total_steps * 1.25


def with_evaluator(**options):
    return replace(RIGHT, evaluate=lambda *args: evaluate(*args, **options))


def ones(mu, sigma):
    return mu, torch.ones_like(sigma)


def softplus_loss(logits, x):
    return (torch.nn.functional.softplus(logits) - logits * x).sum(-1)


BROKEN = {
    "noise of sd .01": Broken(
        with_sample(lambda m, s, rng: m + s * 0.01 * noise(rng, m.shape)), {"code_noise"}, "not 1"
    ),
    "noise 5 % too wide": Broken(
        with_sample(lambda m, s, rng: m + s * 1.05 * noise(rng, m.shape)), {"code_noise"}, "not 1"
    ),
    "uniform noise": Broken(
        with_sample(lambda m, s, rng: m + s * torch.from_numpy(rng.random(tuple(m.shape)))), {"code_noise"}, "mean"
    ),
    "no noise": Broken(with_sample(lambda m, s, rng: m), {"code_noise"}, "nothing is sampled"),
    "variance for sd in sampling": Broken(
        with_sample(lambda m, s, rng: m + s**2 * noise(rng, m.shape)), {"code_noise"}, "variance in place"
    ),
    "one noise for the batch": Broken(
        with_sample(lambda m, s, rng: m + s * noise(rng, m[:1].shape)), {"code_noise"}, "share", "suspicious"
    ),
    "noise of a fixed seed": Broken(
        with_sample(lambda m, s, rng: m + s * noise(np.random.default_rng(0), m.shape)), {"code_noise"}, "every call"
    ),
    "NaN in sigma": Broken(
        with_encoder(lambda x: (RIGHT.encode(x)[0], RIGHT.encode(x)[1] * torch.nan)), {"standard_deviation"}, "NaN"
    ),
    "sd exactly 1": Broken(
        with_encoder(lambda x: ones(*RIGHT.encode(x))), {"posterior_spread"}, "only the KL term", "suspicious"
    ),
    "collapsed posterior": Broken(
        with_encoder(lambda x: tuple(0 * part + i for i, part in enumerate(RIGHT.encode(x)))),
        {"posterior_spread"},
        "collapsed",
        "suspicious",
    ),
    "log-variance for sigma": Broken(
        with_encoder(lambda x: (RIGHT.encode(x)[0], 2 * RIGHT.encode(x)[1].log())), {"standard_deviation"}, "log-var"
    ),
    "variance for sigma": Broken(
        replace(RIGHT, encode=lambda x: (RIGHT.encode(x)[0], RIGHT.encode(x)[1] ** 2), kl=None, loss=None),
        {"code_noise"},
        "returns a variance",
    ),
    "KL averaged over dimensions": Broken(
        with_kl(lambda m, s: divergences(m, s).mean(-1)), {"kl_form"}, "divided by d"
    ),
    "KL averaged over everything": Broken(with_kl(lambda m, s: divergences(m, s).mean()), {"kl_form"}, "divided by d"),
    "KL summed over the wrong axis": Broken(with_kl(lambda m, s: divergences(m, s).sum(0)), {"kl_form"}, "last axis"),
    "KL without 1/2": Broken(with_kl(lambda m, s: 2 * divergences(m, s).sum(-1)), {"kl_form"}, "1/2 is missing"),
    "KL with the wrong sign": Broken(with_kl(lambda m, s: -divergences(m, s).sum(-1)), {"kl_form"}, "sign"),
    "KL with sd for variance": Broken(
        with_kl(lambda m, s: 0.5 * (m**2 + s - 1 - s.log()).sum(-1)), {"kl_form"}, "where the variance belongs"
    ),
    "KL with sd for log-variance": Broken(
        with_kl(lambda m, s: -0.5 * (1 + s - m**2 - s.exp()).sum(-1)), {"kl_form"}, "where the log-variance belongs"
    ),
    "KL with log-variance for log sd": Broken(
        with_kl(lambda m, s: divergences(m, s**2).sum(-1)), {"kl_form"}, "log of the standard deviation"
    ),
    "200,000 steps of annealing": Broken(
        replace(RIGHT, beta=lambda step, total: CAP * min(1.0, step / 200_000)), {"kl_annealing"}, "fixed number"
    ),
    "fixed steps that arrive": Broken(
        replace(RIGHT, beta=lambda step, total: CAP * min(1.0, step / 500), total_steps=2000),
        {"kl_annealing"},
        "fixed number",
        "suspicious",
    ),
    "climb longer than the training": Broken(
        replace(RIGHT, beta=lambda step, total: CAP * step / (2 * total)), {"kl_annealing"}, "longer than"
    ),
    "beta past its cap and back": Broken(replace(RIGHT, beta=past_its_cap), {"kl_annealing"}, "past its cap and drops"),
    "beta falling": Broken(
        replace(RIGHT, beta=lambda step, total: CAP * (1 - step / total)), {"kl_annealing"}, "falls during"
    ),
    "cyclical beta": Broken(
        replace(RIGHT, beta=lambda step, total: CAP * min(1, 2 * ((4 * step / total) % 1))),
        {"kl_annealing"},
        "cyclical",
        "suspicious",
    ),
    "KL off": Broken(replace(RIGHT, beta=lambda step, total: 0.0), {"kl_annealing"}, "0 throughout", "suspicious"),
    "Bernoulli for multinomial": Broken(
        with_reconstruction(softplus_loss), {"reconstruction"}, "bernoulli, not multinomial"
    ),
    "softmax twice": Broken(
        with_reconstruction(lambda e, x: -(torch.log_softmax(torch.softmax(e, -1), -1) * x).sum(-1)),
        {"reconstruction"},
        "taken twice",
    ),
    "divided by n": Broken(
        with_reconstruction(lambda e, x: -(torch.log_softmax(e, -1) * x).sum(-1) / x.sum(-1)),
        {"reconstruction"},
        "number of items",
        "suspicious",
    ),
    "averaged over items": Broken(
        with_reconstruction(lambda e, x: -(torch.log_softmax(e, -1) * x).mean()),
        {"reconstruction"},
        "averaged over all items",
        "suspicious",
    ),
    "likelihood maximised in reverse": Broken(
        with_reconstruction(lambda e, x: (torch.log_softmax(e, -1) * x).sum(-1)), {"reconstruction"}, "sign"
    ),
    "KL averaged within the loss": Broken(
        with_loss(lambda r, k, beta: r.mean() + beta * k.mean() / LATENT), {"loss_balance"}, "latent dimensions"
    ),
    "KL summed beside a mean": Broken(
        with_loss(lambda r, k, beta: r.mean() + beta * k.sum()), {"loss_balance"}, "summed over users"
    ),
    "beta ignored": Broken(with_loss(lambda r, k, beta: r.mean()), {"loss_balance"}, "KL term is off"),
    "mean beside sum, term by term": Broken(
        replace(
            with_kl(lambda m, s: divergences(m, s).sum()),
            loss=None,
            reconstruction=lambda x, z: RIGHT.reconstruction(x, z).mean(),
        ),
        {"loss_balance"},
        "batch size",
    ),
    "latent dimension halved": Broken(replace(RIGHT, latent=2 * LATENT), {"latent_size"}, "twice as wide"),
    "L2 ignored": Broken(
        replace(RIGHT, train_with_l2=lambda l2: train_with_l2(l2, used=False)), {"weight_decay"}, "ignored"
    ),
    "L2 of the wrong sign": Broken(
        replace(RIGHT, train_with_l2=lambda l2: train_with_l2(l2, sign=-1.0)), {"weight_decay"}, "sign"
    ),
    "input not normalised": Broken(with_encoder(raw_counts), {"input_normalisation"}, "not normalised"),
    "mask without rescaling": Broken(
        with_mask(lambda x, rng: normalised(x) * mask(rng, x.shape)), {"input_masking"}, "not divided by the keep"
    ),
    "masked before normalising": Broken(
        with_mask(lambda x, rng: normalised(x * mask(rng, x.shape))), {"input_masking"}, "mask_then_normalise"
    ),
    "keep probability dropped": Broken(
        with_mask(lambda x, rng: normalised(x) * mask(rng, x.shape, 1 - KEEP) / (1 - KEEP)),
        {"input_masking"},
        "probability of dropping",
    ),
    "nothing masked": Broken(with_mask(lambda x, rng: normalised(x)), {"input_masking"}, "masks nothing"),
    "0/0 for an empty history": Broken(with_encoder(unguarded_norm), {"short_histories"}, "no item"),
    "normalised over users": Broken(with_encoder(norm_over_users, masking=None), {"batch_independence"}, "wrong axis"),
    "dropout left on": Broken(dropout_left_on(), {"evaluation_mode", "test_time_scores"}, "dropout"),
    "masking at test time": Broken(masking_encoder(), {"evaluation_mode"}, "again"),
    "sampled scores": Broken(sampling_scores(), {"test_time_scores"}, "call to call"),
    "scores sampled with a fixed seed": Broken(
        sampled_with_a_fixed_seed(), {"test_time_scores"}, "fixed seed", "suspicious"
    ),
    "seen items masked with 0": Broken(masked_with(0.0), {"seen_items"}, "masked with 0"),
    "seen items not masked": Broken(masked_with(None), {"seen_items"}, "before ranking"),
    "precision called recall": Broken(with_evaluator(recall="k"), {"metrics"}, "precision"),
    "evaluated with seen items": Broken(with_evaluator(hide=False), {"metrics"}, "not masked"),
    "empty users count as 0": Broken(with_evaluator(keep_empty=0.0), {"users_without_held_out"}, "count as 0"),
    "empty users are NaN": Broken(with_evaluator(keep_empty=np.nan), {"users_without_held_out"}, "NaN"),
}
