"""The same tasks elsewhere: a Dask cluster that loses a worker, Slurm jobs; the same bytes as on this machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from collabtheory.claims.discovery import discover, select
from collabtheory.claims.runner import verify
from collabtheory.data import load
from collabtheory.errors import DataError, InvalidInput, WorkerDied
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.runs.engine import execute
from collabtheory.runs.engines import open_engine, parse_options
from collabtheory.runs.pool import Pool
from collabtheory.runs.remote import code_identity, run_as_locally
from collabtheory.runs.store import ATTEMPT_FILE, Store
from collabtheory.runs.task import Task
from collabtheory.studies.null_rate import NullStep, compare_with_itself

pytestmark = pytest.mark.xdist_group("engines")
TINY = {"model": ModelSpec(hidden=(8,), latent=4), "training": TrainingSpec(epochs=3, learning_rate=3e-3)}
STATEMENTS = ["theorem_2_3", "lemma_2_4"]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Two small tasks that read a file and train."""
    data = load("davis")
    path = tmp_path_factory.mktemp("data") / "davis.npz"
    data.save(path)
    return [
        Task(
            f"repetition {number}",
            compare_with_itself,
            NullStep(data=data.fingerprint, data_file=path, repetition=number, folds=2, seed=0, **TINY),
        )
        for number in range(2)
    ]


@pytest.fixture(scope="module")
def broken_task():
    """A task whose data file does not exist."""
    spec = NullStep(data="0", data_file="/no/such/file.npz", repetition=0, folds=2, seed=0, **TINY)
    return Task("broken", compare_with_itself, spec)


@pytest.fixture(scope="module")
def local_results(tasks, tmp_path_factory):
    return _results(tasks, tmp_path_factory.mktemp("local"), Pool(1))


@pytest.fixture(scope="module")
def scheduler():
    """The address of a Dask scheduler on loopback with two worker processes."""
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0", silence_logs=50
        ) as cluster,
    ):
        yield cluster.scheduler_address


def _results(tasks, root, engine):
    with engine:
        folders = execute(tasks, Store(root), engine=engine)
    return [{path.name: path.read_bytes() for path in sorted(folder.iterdir())} for folder in folders.values()]


@contextlib.contextmanager
def _killing_the_first_worker(root):
    """Kill, without a warning, the first process that is at work on a task below ``root``; yield the list of killed."""
    killed, ended = [], threading.Event()

    def kill():
        while not ended.wait(0.002) and not killed:
            for attempt in root.glob(f".partial-*/{ATTEMPT_FILE}"):
                with contextlib.suppress(OSError, ValueError):
                    killed.append(json.loads(attempt.read_text())["process"])
                    os.kill(killed[0], signal.SIGKILL)
                    return

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


def test_dask_gives_the_bytes_of_the_local_engine(tasks, scheduler, local_results, tmp_path):
    assert _results(tasks, tmp_path, open_engine(scheduler=scheduler)) == local_results


def test_a_dask_worker_killed_at_work_changes_nothing(tasks, scheduler, local_results, tmp_path):
    with _killing_the_first_worker(tmp_path) as killed:
        found = _results(tasks, tmp_path, open_engine(scheduler=scheduler))
    assert killed
    assert os.getpid() not in killed
    assert found == local_results
    assert not list(tmp_path.glob(".*"))


def test_an_error_on_a_dask_worker_is_the_error_that_a_local_one_raises(broken_task, scheduler, tmp_path):
    with pytest.raises(DataError, match="/no/such/file"):
        _results([broken_task], tmp_path, open_engine(scheduler=scheduler))


@pytest.mark.slow
def test_a_task_that_kills_every_dask_worker_ends_with_one_clear_error(scheduler):
    with open_engine(scheduler=scheduler) as engine, pytest.raises(WorkerDied, match="given up by Dask"):
        engine.submit(os._exit, 1).result()


def test_dask_workers_with_several_threads_are_refused():
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0"
        ) as cluster,
        pytest.raises(InvalidInput, match="--nthreads 1"),
    ):
        open_engine(scheduler=cluster.scheduler_address)


def test_no_scheduler_at_the_address_is_one_clear_error(monkeypatch):
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    monkeypatch.setattr("collabtheory.runs.dask_engine.CONNECT_SECONDS", 0.2)
    with pytest.raises(InvalidInput, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        open_engine("dask", scheduler="tcp://127.0.0.1:9")


def test_slurm_jobs_give_the_bytes_of_the_local_engine(tasks, local_results, tmp_path):
    pytest.importorskip("submitit", reason="the extra `cluster` is not installed")
    assert _results(tasks[:1], tmp_path / "store", _submitit(tmp_path)) == local_results[:1]
    assert not list((tmp_path / ".slurm").glob("*_log.out"))


@pytest.mark.slow
def test_an_error_in_a_slurm_job_is_the_error_that_a_local_worker_raises(broken_task, tmp_path):
    pytest.importorskip("submitit", reason="the extra `cluster` is not installed")
    with pytest.raises(DataError, match="/no/such/file"):
        _results([broken_task], tmp_path / "store", _submitit(tmp_path))
    assert list((tmp_path / ".slurm").glob("*_log.err"))


def test_an_option_that_submitit_does_not_know_is_one_clear_error(tasks, tmp_path):
    pytest.importorskip("submitit", reason="the extra `cluster` is not installed")
    with pytest.raises(InvalidInput, match="slurm_partitoin"):
        _results(tasks, tmp_path / "store", _submitit(tmp_path, "slurm_partitoin=long"))


def _submitit(folder, *options, jobs=2):
    return open_engine("slurm", jobs=jobs, options=("cluster=local", "timeout_min=5", *options), folder=folder)


class LosingSlurm:
    """In place of submitit's executor: the first ``lost`` jobs end without a result, the others call at once."""

    def __init__(self, folder, lost):
        self.folder, self.lost, self.submitted, self.open, self.most_open = folder, lost, 0, 0, 0

    def submit(self, function, *arguments):
        self.submitted += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        return LosingJob(self, self.submitted, lambda: function(*arguments))


class LosingJob:
    def __init__(self, slurm, number, call):
        self.slurm, self.job_id, self.call = slurm, str(number), call
        self.paths = type("Paths", (), {"folder": slurm.folder, "stderr": slurm.folder / f"{number}.err"})

    def done(self):
        return True

    def cancel(self, check):
        self.slurm.open -= 1

    def result(self):
        from submitit.core.utils import UncompletedJobError

        self.slurm.open -= 1
        if int(self.job_id) <= self.slurm.lost:
            raise UncompletedJobError("node failure")
        return self.call()


@pytest.fixture
def losing_slurm(monkeypatch, tmp_path):
    """Return a function that opens an engine over a Slurm that loses so many jobs."""
    pytest.importorskip("submitit", reason="the extra `cluster` is not installed")
    monkeypatch.setattr("collabtheory.runs.slurm_engine.POLL_SECONDS", 0.001)

    def lose(jobs):
        slurm = LosingSlurm(tmp_path, jobs)
        monkeypatch.setattr("collabtheory.runs.slurm_engine._executor", lambda folder, options: slurm)
        return slurm, open_engine("slurm", jobs=2, folder=tmp_path)

    return lose


def test_a_lost_slurm_job_is_handed_in_again(losing_slurm):
    slurm, engine = losing_slurm(2)
    with engine:
        assert engine.submit(divmod, 7, 2).result(timeout=20) == (3, 1)
    assert slurm.submitted == 3


def test_a_slurm_job_lost_three_times_is_given_up_with_the_place_of_its_log(losing_slurm):
    slurm, engine = losing_slurm(3)
    with engine, pytest.raises(WorkerDied, match=r"3 times without a result.*3\.err"):
        engine.submit(divmod, 7, 2).result(timeout=20)
    assert slurm.submitted == 3


def test_a_slurm_that_does_not_answer_any_more_is_one_clear_error(losing_slurm, monkeypatch):
    def fail(job):
        raise OSError("sacct: no route to host")

    monkeypatch.setattr(LosingJob, "done", fail)
    slurm, engine = losing_slurm(0)
    with engine, pytest.raises(WorkerDied, match=r"does not answer.*no route to host"):
        engine.submit(divmod, 7, 2).result(timeout=20)
    assert (slurm.submitted, slurm.open) == (1, 0)


def test_no_more_slurm_jobs_are_queued_than_asked_for(losing_slurm):
    slurm, engine = losing_slurm(0)
    with engine:
        futures = [engine.submit(divmod, number, 7) for number in range(9)]
        assert [future.result(timeout=20) for future in futures] == [divmod(number, 7) for number in range(9)]
    assert 1 <= slurm.most_open <= 2


def test_a_worker_with_other_code_is_refused():
    other = {**code_identity(), "numpy": "0.1"}
    with pytest.raises(InvalidInput, match=r"numpy .* instead of 0\.1"):
        run_as_locally(other, divmod, 7, 2)
    assert run_as_locally(code_identity(), divmod, 7, 2) == (3, 1)


@pytest.mark.slow
def test_a_worker_that_started_with_many_threads_computes_with_one():
    pytest.importorskip("threadpoolctl", reason="the extra `cluster` is not installed")
    program = (
        "import numpy, torch; torch.set_num_threads(2); from collabtheory.runs.remote import use_one_thread;"
        "use_one_thread(); import threadpoolctl;"
        "print(torch.get_num_threads(), {pool['num_threads'] for pool in threadpoolctl.threadpool_info()})"
    )
    many = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    ran = subprocess.run([sys.executable, "-c", program], env=many, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "1 {1}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cloud"}, "one of local, dask, slurm"),
        ({"name": "dask"}, "needs the address"),
        ({"name": "local", "scheduler": "tcp://127.0.0.1:1"}, "belongs to engine dask"),
        ({"name": "local", "options": ["time=3"]}, "belong to engine slurm"),
        ({"name": "slurm", "options": ["time"]}, "key=value"),
    ],
)
def test_options_that_do_not_fit_the_engine_are_refused(arguments, message):
    if arguments["name"] == "slurm":
        pytest.importorskip("submitit", reason="the extra `cluster` is not installed")
    with pytest.raises(InvalidInput, match=message):
        open_engine(**arguments)


def test_numbers_among_options_are_numbers():
    assert parse_options(["mem_gb=4", "slurm_comment=a=b"]) == {"mem_gb": 4, "slurm_comment": "a=b"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claims_are_the_same_bytes_on_every_engine_and_after_the_loss_of_a_worker(scheduler, tmp_path):
    pytest.importorskip("submitit", reason="the extra `cluster` is not installed")
    data, files = load("davis"), select(discover(), STATEMENTS)
    engines = {
        "one": Pool(1),
        "two": Pool(2),
        "dask": open_engine(scheduler=scheduler),
        "slurm": _submitit(tmp_path / "slurm"),
    }
    claims = {}
    for name, engine in engines.items():
        root = tmp_path / name / "store"
        lose = _killing_the_first_worker(root) if name == "dask" else contextlib.nullcontext([0])
        with engine, lose as killed:
            verify(data, files, tmp_path / name, engine=engine)
        assert killed
        claims[name] = (tmp_path / name / "claims.jsonl").read_bytes()
    assert len(claims["one"]) > 1000
    assert claims == dict.fromkeys(engines, claims["one"])


@pytest.mark.slow
def test_the_command_line_runs_on_a_scheduler_and_two_workers_of_its_own(tmp_path):
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    dask = [sys.executable, "-m", "dask"]
    program = [sys.executable, "-c", "from collabtheory.cli import main; main()", "null-rate", "--data", "davis"]
    small = ["--repetitions", "3", "--folds", "2", "--epochs", "2", "--quiet"]
    address = "tcp://127.0.0.1:18786"
    with contextlib.ExitStack() as stack:
        for words in (
            ["scheduler", "--host", "127.0.0.1", "--port", "18786", "--no-dashboard"],
            ["worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"],
        ):
            process = subprocess.Popen(
                [*dask, *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            time.sleep(1.0)
        for name, where in (("here", ["--jobs", "1"]), ("there", ["--scheduler", address])):
            ran = subprocess.run(
                [*program, *small, "--out", name, *where], cwd=tmp_path, capture_output=True, text=True
            )
            assert ran.returncode == 0, ran.stderr
    here, there = (json.loads((tmp_path / name / "null_rate.json").read_text()) for name in ("here", "there"))
    assert here["differences"] == there["differences"]
