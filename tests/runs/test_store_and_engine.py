"""Tasks run once, in order, and their results are whole or absent."""

import json
import os

import pytest

from collabtheory.errors import InvalidInput, OutputError
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


def _sum_task():
    parts = [Task(f"write {value}", write_number, Number(value=value)) for value in (1, 2)]
    return Task("add", add_inputs, Number(value=10), (("a", parts[0]), ("b", parts[1])))


def _steps(root):
    return [json.loads(line)["step"] for line in (root / "steps.jsonl").read_text().splitlines()]


def test_needs_run_first_and_nothing_runs_twice(tmp_path):
    store = Store(tmp_path)
    for task in (*(need for _, need in _sum_task().needs), _sum_task()):
        run_task(task, str(tmp_path))
    assert (store.path(_sum_task()) / "number.txt").read_text() == "13"
    events = []
    execute([_sum_task()], store, on_event=events.append)
    assert all(event.reused for event in events)
    assert len(events) == 3
    assert sorted(_steps(tmp_path)) == ["add", "write 1", "write 2"]


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
