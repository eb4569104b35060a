"""The read side of a run folder: records, pair tables, training histories and provenance of one finished run."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collabtheory.errors import DataError, InvalidInput
from collabtheory.runs.files import CHECKPOINT_FORMAT

if TYPE_CHECKING:
    import pandas as pd

Record = dict[str, Any]

# What every reader of a record relies on; a line without one of these is a corrupted line.
REQUIRED_FIELDS = ("id", "title", "kind", "control", "verdict", "rigor", "coverage")
HISTORY_COLUMNS = ("epoch", "train_loss", "kl", "beta", "validation_ndcg")


@dataclass(frozen=True)
class RunFolder:
    """One run folder, opened for reading; every part is read when it is first asked for.

    Parameters
    ----------
    path
        The folder. It must hold ``claims.jsonl``, or ``sweep.json`` of a sweep; ``run.json``, ``times.json``, pair
        tables and training histories are read when they are asked for.

    Raises
    ------
    DataError
        If the folder does not exist or is not a run, or, when a part is read, if that part is missing or corrupted;
        one line that names the file and the line.

    Examples
    --------
    >>> RunFolder("no/such/folder")
    Traceback (most recent call last):
    ...
    collabtheory.errors.DataError: no/such/folder is not a folder; give the folder that `collabtheory verify` wrote
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if not self.path.is_dir():
            raise DataError(f"{self.path} is not a folder; give the folder that `collabtheory verify` wrote")
        if not any((self.path / name).is_file() for name in ("claims.jsonl", "sweep.json")):
            raise DataError(f"{self.path} is not a run folder: it has no claims.jsonl; run `collabtheory verify` first")

    @cached_property
    def records(self) -> list[Record]:
        """Every record of ``claims.jsonl``, in the order of the file; an empty file gives an empty list."""
        path = self.path / "claims.jsonl"
        records = _read_lines(path)
        for number, record in enumerate(records, start=1):
            missing = [field for field in REQUIRED_FIELDS if field not in record]
            if missing:
                raise DataError(f"{path}, record {number}: it has no field {missing[0]!r}; run `verify` again")
            coverage = record["coverage"]
            if not isinstance(coverage, dict) or not {"met", "tried"} <= coverage.keys():
                raise DataError(f"{path}, record {number}: its coverage is not {{met, tried}}; run `verify` again")
        return records

    @property
    def claims(self) -> list[Record]:
        """The records that say something of the theory (all but the negative controls)."""
        return [record for record in self.records if not record["control"]]

    @property
    def controls(self) -> list[Record]:
        """The records of negative controls: false statements that must come out violated."""
        return [record for record in self.records if record["control"]]

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What ``run.json`` says: specification, provenance, stages, seeds; empty if the run has no such file."""
        return _read_object(self.path / "run.json")

    @cached_property
    def times(self) -> dict[str, Any]:
        """Seconds of each step (``times.json``); empty if the run has no such file."""
        return _read_object(self.path / "times.json")

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Stages of training in their order: as ``run.json`` lists them, else as the records name them."""
        listed = self.meta.get("stages")
        if isinstance(listed, list) and all(isinstance(stage, str) for stage in listed):
            return tuple(listed)
        return tuple(sorted({record["stage"] for record in self.records if record.get("stage")}, key=stage_order))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the run, ascending: as ``run.json`` lists them, else as the records name them."""
        listed = self.meta.get("seeds")
        if isinstance(listed, list) and all(isinstance(seed, int) for seed in listed):
            return tuple(sorted(listed))
        return tuple(sorted({record["seed"] for record in self.records if record.get("seed") is not None}))

    def pairs(
        self, seed: int | None = None, stage: str | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return the pair table: one row per ordered pair (u, v), with ``seed`` and ``stage`` in front.

        Parameters
        ----------
        seed, stage
            Only this seed, only this stage; ``None`` takes all that the run has.
        columns
            The columns to read (``None``: all). Reading few columns of a large run is much faster.

        Returns
        -------
        pandas.DataFrame
            Rows in the order of seeds, then stages, then the files. ``stage`` is an ordered categorical; columns of
            text (``relation``, ``sampling``) are categoricals.

        Raises
        ------
        DataError
            If the run has no pair table of that seed and stage, or a file is truncated or lacks a column.
        """
        import pandas as pd

        names = None if columns is None else [name for name in columns if name not in ("seed", "stage")]
        seeds = self.seeds if seed is None else (seed,)
        stages = self.stages if stage is None else (stage,)
        found = [(k, name, self.pairs_path(k, name)) for k in seeds for name in stages]
        found = [(k, name, path) for k, name, path in found if path.is_file()]
        if not found:
            raise DataError(f"{self.path} has no pair table{_which(seed, stage)}; run `collabtheory pairs` first")
        frames = []
        categories = pd.CategoricalDtype(list(dict.fromkeys((*self.stages, *stages))), ordered=True)
        for k, name, path in found:
            frame = _read_parquet(path, names)
            frame.insert(0, "seed", k)
            frame.insert(1, "stage", pd.Categorical([name], dtype=categories).repeat(len(frame)))
            frames.append(frame)
        return frames[0] if len(frames) == 1 else _concatenate(frames)

    def pairs_path(self, seed: int, stage: str) -> Path:
        """Return where the pair table of a seed and a stage lies (whether or not it is there)."""
        return self.path / "pairs" / f"seed-{seed}" / f"{stage}.parquet"

    def history(self, seed: int) -> pd.DataFrame:
        """Return the training of one seed: one row per epoch.

        Returns
        -------
        pandas.DataFrame
            ``epoch``, ``train_loss`` and ``kl`` (nats per user), ``beta``, ``validation_ndcg`` and, where the run
            saved a model after that epoch, its ``stage``. A quantity that was not measured in an epoch is NaN.

        Raises
        ------
        DataError
            If the run has no training of that seed, or its file is corrupted.
        """
        import pandas as pd

        path = self.history_path(seed)
        if not path.is_file():
            raise DataError(f"{self.path} has no training history of seed {seed} ({path.name} is missing)")
        frame = pd.DataFrame(_read_lines(path))
        if len(frame) and "epoch" not in frame:
            raise DataError(f"{path}: its lines have no field 'epoch'; train again")
        frame = frame.reindex(columns=list(dict.fromkeys((*HISTORY_COLUMNS, "stage", *frame.columns))))
        return frame.astype(dict.fromkeys(HISTORY_COLUMNS[1:], "float64")).sort_values("epoch", ignore_index=True)

    def history_path(self, seed: int) -> Path:
        """Return where the training history of a seed lies (whether or not it is there)."""
        return self.path / "training" / f"seed-{seed}.jsonl"

    def saved_epochs(self, seed: int) -> dict[str, int]:
        """Return after which epoch the model of each stage was saved, as its checkpoint says.

        A stage whose checkpoint is not there or names no epoch (a model of the user's own) is left out.
        """
        paths = {stage: self.path / "models" / f"seed-{seed}" / f"{stage}.safetensors" for stage in self.stages}
        epochs = {stage: _saved_epoch(path) for stage, path in paths.items() if path.is_file()}
        return {stage: epoch for stage, epoch in epochs.items() if epoch is not None}


def stage_order(stage: str) -> tuple[int, int, str]:
    """Return a key that sorts stages as training goes: initial, epochs by number, others by name, trained.

    Examples
    --------
    >>> sorted(["trained", "epoch_10", "epoch_3", "initial"], key=stage_order)
    ['initial', 'epoch_3', 'epoch_10', 'trained']
    """
    epoch = re.fullmatch(r"epoch_(\d+)", stage)
    if epoch:
        return 1, int(epoch[1]), stage
    return {"initial": 0, "trained": 3}.get(stage, 2), 0, stage


def _read_lines(path: Path) -> list[Record]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    return [_object(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return _object(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _object(text: str, place: str) -> Record:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not valid JSON ({error.msg}); the file is corrupted, run `verify` again") from error
    if not isinstance(value, dict):
        raise DataError(f"{place}: a JSON object was expected; the file is corrupted, run `verify` again")
    return value


def _saved_epoch(path: Path) -> int | None:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get(CHECKPOINT_FORMAT, "{}"))
    except (safetensors.SafetensorError, OSError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: not a readable checkpoint ({error})") from error
    epoch = about.get("epoch") if isinstance(about, dict) else None
    return epoch if isinstance(epoch, int) else None


def _read_parquet(path: Path, columns: list[str] | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        missing = [] if columns is None else [column for column in columns if column not in names]
        if missing:
            raise DataError(f"{path}: it has no column {missing[0]!r}; it has {', '.join(names)}")
        text = [name for name in ("relation", "sampling") if name in names]
        return pq.read_table(path, columns=columns, read_dictionary=text).to_pandas()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable Parquet file; run `collabtheory pairs` again") from error


def _concatenate(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd
    from pandas.api.types import union_categoricals

    whole = pd.concat([frame.drop(columns=_text(frame)) for frame in frames], ignore_index=True)
    for name in _text(frames[0]):
        whole[name] = union_categoricals([frame[name].astype("category") for frame in frames])
    return whole[list(frames[0].columns)]


def _text(frame: pd.DataFrame) -> list[str]:
    return [name for name in ("relation", "sampling") if name in frame]


def _which(seed: int | None, stage: str | None) -> str:
    named = [f"{word} {value}" for word, value in (("seed", seed), ("stage", stage)) if value is not None]
    return f" of {', '.join(named)}" if named else ""


def open_run(run: RunFolder | Path | str) -> RunFolder:
    """Return the run of that folder (or the object itself)."""
    if isinstance(run, RunFolder):
        return run
    if not isinstance(run, str | Path):
        raise InvalidInput(f"a run is named by its folder; got {type(run).__name__}")
    return RunFolder(Path(run))
