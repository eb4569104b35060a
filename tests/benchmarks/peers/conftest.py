"""These scripts run under other interpreters, with libraries that this project does not have."""

collect_ignore_glob = ["*.py"]
