"""`moovitamix exporter` in a process of its own: it answers, ends when told to, and says that a port is taken."""

import re
import signal
import urllib.request
from pathlib import Path

from moovitamix_assets_tests.integration.deployment import environment, finish, moovitamix


def test_it_answers_until_it_is_reported_to_end(home: Path, tmp_path: Path) -> None:
    variables = environment(tmp_path / "data", "http://127.0.0.1:9")
    first = moovitamix(home, variables, "exporter", "--port", "0")
    try:
        said = first.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", said)
        assert url, said
        with urllib.request.urlopen(url[0]) as answer:
            text = answer.read().decode()
        assert "moovitamix_dagster_storage_readable 1.0" in text
        assert 'moovitamix_runs{job_name="ingest",status="success"} 0.0' in text
        assert 'moovitamix_disk_free_bytes{place="dagster"}' in text

        code, output = finish(moovitamix(home, variables, "exporter", "--port", url[1]))
        assert code == 1, output
        assert f"Cannot listen on 127.0.0.1:{url[1]}" in output
        assert "Traceback" not in output
    finally:
        first.send_signal(signal.SIGTERM)
        code, output = finish(first)
    assert (code, output) == (0, "")
    assert not (tmp_path / "data" / "warehouse.duckdb").exists()
