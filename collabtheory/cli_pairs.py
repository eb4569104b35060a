"""The command that looks at the pairs of a whole population: ``pairs``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collabtheory.cli_common import (
    DataOption,
    Duplicates,
    Memory,
    MinItemUsers,
    MinRating,
    MinUserItems,
    Offline,
    describe,
    load_data,
    stderr,
)

if TYPE_CHECKING:
    from collabtheory.transfer.population import PopulationInfluence


def add_pairs_command(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(pairs)


def pairs(
    model: Annotated[Path, typer.Argument(help="A checkpoint that `train` wrote.")],
    data: DataOption = "planted",
    neighbours: Annotated[int, typer.Option(min=1, help="Nearest users to find for each user.")] = 20,
    group: Annotated[int, typer.Option(min=2, help="Users of a random group; all its pairs are measured.")] = 256,
    samples: Annotated[int, typer.Option(min=1, help="Codes per user.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Root of every draw.")] = 0,
    memory: Memory = None,
    out: Annotated[Path | None, typer.Option(help="JSON file to write; standard output if not given.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    min_rating: MinRating = None,
    min_user_items: MinUserItems = None,
    min_item_users: MinItemUsers = None,
    duplicates: Duplicates = "error",
    offline: Offline = False,
) -> None:
    """Influence, distance and overlap of pairs within random groups of all users, and every user's nearest ones.

    Says what it will compute and how much memory it will take before it starts.
    """
    from rich.progress import Progress

    from collabtheory.models.checkpoints import load_model
    from collabtheory.models.recommender import from_autoencoder
    from collabtheory.runs.files import write_text
    from collabtheory.runs.memory import megabytes, shared_budget
    from collabtheory.runs.seeds import derive
    from collabtheory.transfer.population import (
        neighbour_distances,
        population_bytes,
        population_flops,
        population_influence,
    )

    with shared_budget(memory) as bound:
        checkpoint = load_model(model)
        interactions = checkpoint.on_its_items(
            load_data(data, min_rating, min_user_items, min_item_users, duplicates, offline)
        )
        recommender = from_autoencoder(checkpoint.model)
        console = stderr()
        peak = population_bytes(recommender, interactions, k=neighbours, n_samples=samples, group=group)
        if not quiet:
            describe(console, interactions)
            work = population_flops(recommender, interactions.n_users, samples, group)
            console.print(f"at least {work:.1e} floating-point operations for the gradients", highlight=False)
            console.print(f"memory: peak of {megabytes(peak)} predicted, {megabytes(bound)} allowed", highlight=False)
        with Progress(console=console, transient=True, disable=quiet) as bars:
            bar = bars.add_task("pairs", total=1.0)
            found = population_influence(
                recommender,
                interactions,
                rng=derive(seed, "pairs", "groups"),
                n_samples=samples,
                group=group,
                progress=lambda share: bars.update(bar, completed=share),
            )
        distances = neighbour_distances(recommender, interactions, neighbours)
        text = json.dumps(_as_json(found) | {"neighbours": distances}, indent=1) + "\n"
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_text(out, text)
            typer.echo(
                f"{out}: {found.n_pairs:,} pairs of {found.n_users:,} users, mean cosine {found.mean_cosine:.4f}"
            )


def _as_json(found: PopulationInfluence) -> dict[str, object]:
    histograms = {
        name: {
            "edges": one.edges.tolist(),
            "counts": one.counts.tolist(),
            "mean_cosine": [None if count == 0 else float(value) for count, value in zip(*parts, strict=True)],
        }
        for name, one in (("cosine", found.cosine), ("w2", found.w2), ("jaccard", found.jaccard))
        for parts in [(one.counts.tolist(), one.mean_cosine.tolist())]
    }
    return {
        "users": found.n_users,
        "pairs": found.n_pairs,
        "mean_cosine": found.mean_cosine,
        "share_positive": found.share_positive,
        "histograms": histograms,
    }
