"""Commands named in messages can be copied: they repeat the data folder that was given."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.interface.invocation import Invocation, invocation, repeating_data_dir


@pytest.mark.parametrize(
    ("given", "text", "printed"),
    [
        (None, "`moovitamix rebuild`", "`moovitamix rebuild`"),
        ("here", "`moovitamix rebuild`", "`moovitamix rebuild --data-dir here`"),
        ("a b", "then: moovitamix mirror.", "then: moovitamix mirror --data-dir 'a b'."),
        (
            "here",
            "`moovitamix run --again --from 2026-09-01`, else moovitamix doctor",
            "`moovitamix run --data-dir here --again --from 2026-09-01`, else moovitamix doctor --data-dir here",
        ),
        ("here", "`moovitamix run --data-dir there`", "`moovitamix run --data-dir there`"),
        ("here", "moovitamix dev, moovitamix running", "moovitamix dev --data-dir here, moovitamix running"),
    ],
)
def test_commands_repeat_the_data_dir_that_was_given(given: str | None, text: str, printed: str) -> None:
    token = invocation.set(Invocation(data_dir_option=None if given is None else Path(given)))
    assert repeating_data_dir(text) == printed
    invocation.reset(token)


def test_errors_and_remedies_of_the_doctor_repeat_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "data"
    monkeypatch.setenv("MOOVITAMIX_DATA_DIR", str(missing))
    failed = CliRunner().invoke(app, ["mirror", "--data-dir", str(missing)])
    assert f"`moovitamix run --data-dir {missing}`" in failed.stderr
    assert "`moovitamix run`" in CliRunner().invoke(app, ["mirror"]).stderr

    (missing / "ledger").mkdir(parents=True)
    (missing / "ledger" / "promotions.jsonl").write_text("damaged\n")
    examined = CliRunner().invoke(app, ["doctor", "--deep", "--data-dir", str(missing)])
    assert f"moovitamix rebuild --data-dir {missing} --ledger" in examined.output
