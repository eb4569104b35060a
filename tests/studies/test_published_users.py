import pandas as pd
import pytest

from collabtheory.report.run_study import user_accuracy
from collabtheory.runs.folder import RunFolder
from collabtheory.studies.published_users import publish_users
from collabtheory.studies.results import Study


def test_every_user_keeps_its_accuracy_under_every_method(tmp_path):
    fits = {}
    for name, shift in (("ease", 0.0), ("mult_vae", 0.1)):
        for fold in (0, 1):
            folder = tmp_path / f"{name}-{fold}"
            folder.mkdir()
            users = {"fold": fold, "row": [2 * fold, 2 * fold + 1], "n_items": [5, 9], "ndcg@100": [0.1 + shift, fold]}
            pd.DataFrame({**users, "recall@20": 0.0, "recall@50": 0.0}).to_parquet(folder / "users.parquet")
            fits.setdefault(name, {})[fold] = folder
    (tmp_path / "claims.jsonl").touch()
    publish_users(tmp_path, Study(fits, {}))
    found = user_accuracy(RunFolder(tmp_path))
    assert list(found) == ["fold", "row", "n_items", "ease", "mult_vae"]
    assert found["row"].tolist() == [0, 1, 2, 3]
    assert found["ease"].tolist() == pytest.approx([0.1, 0.0, 0.1, 1.0])
    assert found["mult_vae"].tolist() == pytest.approx([0.2, 0.0, 0.2, 1.0])
