"""The tables of a study as files: CSV, LaTeX and Markdown beside its study.json."""

from __future__ import annotations

from pathlib import Path

from collabtheory.report.render import to_csv, to_latex, to_markdown
from collabtheory.report.study_claims import comparison_table
from collabtheory.report.study_json import read_study
from collabtheory.report.study_schema import Study
from collabtheory.report.study_tables import cohort_table, models_table, settings_table
from collabtheory.runs.files import write_text
from collabtheory.runs.published import note_published
from collabtheory.studies.publication import STUDY_FILE


def write_study_tables(folder: Path) -> tuple[Study, Path]:
    """Write every table of the study in a run folder; return the study and the folder of the tables."""
    study = read_study(folder / STUDY_FILE)
    tables = {
        "methods": models_table(study),
        "cohorts": cohort_table(study),
        "comparisons": comparison_table(study) if study.comparisons else None,
        "settings": settings_table(study),
    }
    target = folder / "tables"
    for name, table in tables.items():
        if table is None:
            continue
        for ending, render in (("csv", to_csv), ("tex", to_latex), ("md", to_markdown)):
            path = target / f"study_{name}.{ending}"
            write_text(path, render(table))
            note_published(path)
    return study, target
