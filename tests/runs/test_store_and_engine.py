"""Tasks run once, in order, and their results are whole or absent."""

import json
import os
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from collabtheory.errors import InvalidInput, OutputError, WorkerDied
from collabtheory.runs.engine import execute, run_task
from collabtheory.runs.frozen import Frozen
from collabtheory.runs.store import Store, exclusive
from collabtheory.runs.task import Task


class Number(Frozen):
    value: int


def write_number(spec, work):
    work.progress(0.5)
    (work.output / "number.txt").write_text(str(spec.value))


def add_inputs(spec, work):
    total = spec.value + sum(int((path / "number.txt").read_text()) for path in work.inputs.values())
    (work.output / "number.txt").write_text(str(total))


def fail(spec, work):
    (work.output / "half.txt").write_text("half")
    raise InvalidInput("this task always fails")


class InThisProcess:
    """The smallest engine: it calls at once, as often as ``times`` says."""

    def __init__(self, times=1):
        self.times = times

    def submit(self, function, /, *arguments):
        future = Future()
        for _ in range(self.times):
            outcome = function(*arguments)
        future.set_result(outcome)
        return future


def _sum_task():
    parts = [Task(f"write {value}", write_number, Number(value=value)) for value in (1, 2)]
    return Task("add", add_inputs, Number(value=10), (("a", parts[0]), ("b", parts[1])))


def _steps(root):
    return [json.loads(line)["step"] for line in (root / "steps.jsonl").read_text().splitlines()]


def test_needs_run_first_and_nothing_runs_twice(tmp_path):
    store = Store(tmp_path)
    execute([_sum_task()], store, engine=InThisProcess())
    assert (store.path(_sum_task()) / "number.txt").read_text() == "13"
    events = []
    execute([_sum_task()], store, on_event=events.append, engine=None)
    assert all(event.reused for event in events)
    assert len(events) == 3
    assert _steps(tmp_path) == ["write 1", "write 2", "add"]
    assert set(store.times([_sum_task()])) == {"add"}


def test_a_task_that_ran_twice_keeps_the_first_result_and_leaves_nothing_else(tmp_path):
    execute([_sum_task()], Store(tmp_path), engine=InThisProcess(times=2))
    names = {need.folder_name for _, need in _sum_task().needs} | {_sum_task().folder_name, "steps.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert [path.name for path in Store(tmp_path).path(_sum_task()).iterdir()] == ["number.txt"]


def test_two_attempts_at_once_do_not_touch_each_other(tmp_path):
    store, task = Store(tmp_path), Task("x", write_number, Number(value=1))
    first, second = store.begin(task), store.begin(task)
    assert first != second
    (first / "number.txt").write_text("first")
    (second / "number.txt").write_text("second")
    store.finish(task, second)
    store.finish(task, first)
    assert (store.path(task) / "number.txt").read_text() == "second"
    assert not first.exists()


def test_an_attempt_that_was_swept_away_cannot_become_the_result_with_files_missing(tmp_path):
    store, task = Store(tmp_path), Task("x", write_number, Number(value=1))
    attempt = store.begin(task)
    (attempt / "early.txt").write_text("lost")
    store.sweep()
    assert not attempt.exists()
    attempt.mkdir()
    (attempt / "late.txt").write_text("written by a worker that was thought dead")
    with pytest.raises(OutputError, match="given up"):
        store.finish(task, attempt)
    assert not store.has(task)


def test_sweeping_keeps_the_unfinished_work_of_unfinished_tasks_only(tmp_path):
    store = Store(tmp_path)
    unfinished, finished = (Task("x", write_number, Number(value=value)) for value in (1, 2))
    for task in (unfinished, finished):
        attempt = store.begin(task)
        (store.scratch(task) / "state").write_text("half")
    store.finish(finished, attempt)
    store.sweep()
    assert (store.scratch(unfinished) / "state").read_text() == "half"
    assert not store.scratch(finished).exists()


def test_a_result_that_no_worker_wrote_here_is_one_clear_error(tmp_path):
    with pytest.raises(OutputError, match="file system that all workers share"):
        Store(tmp_path).await_result(Task("x", write_number, Number(value=1)), patience=0.1)


def test_a_worker_that_died_is_one_clear_error(tmp_path):
    class Broken:
        def submit(self, function, /, *arguments):
            future = Future()
            future.set_exception(BrokenProcessPool("gone"))
            return future

    class Dropped:
        def submit(self, function, /, *arguments):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with pytest.raises(WorkerDied, match="while it ran 'write 1'"):
        execute([_sum_task()], Store(tmp_path), engine=Broken())
    with pytest.raises(WorkerDied, match="scheduler gone"):
        execute([_sum_task()], Store(tmp_path), engine=Dropped())


def test_a_failing_task_leaves_no_result_and_its_error_reaches_the_caller(tmp_path):
    task = Task("fail", fail, Number(value=0))
    with pytest.raises(InvalidInput, match="always fails"):
        run_task(task, str(tmp_path))
    assert not Store(tmp_path).has(task)


def test_keys_differ_by_specification_function_and_needs():
    first, second = (Task("x", write_number, Number(value=value)) for value in (1, 2))
    keys = {
        first.key,
        second.key,
        Task("x", add_inputs, Number(value=1)).key,
        Task("x", write_number, Number(value=1), (("a", second),)).key,
    }
    assert len(keys) == 4
    assert Task("another label", write_number, Number(value=1)).key == first.key


def test_a_folder_in_use_is_refused(tmp_path):
    with (
        exclusive(tmp_path),
        pytest.raises(OutputError, match="another run is using this folder"),
        exclusive(tmp_path, patience=0.2),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
def test_a_read_only_folder_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write"), exclusive(tmp_path / "run"):
        pass


def test_a_file_in_place_of_the_folder_is_one_clear_error(tmp_path):
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(OutputError, match="cannot write"), exclusive(tmp_path / "run"):
        pass
