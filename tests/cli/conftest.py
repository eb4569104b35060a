"""Running a command as a user does, in this process."""

import sys

import pytest

from collabtheory import cli


@pytest.fixture
def invoke(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder; return exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["collabtheory", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return call
