"""The files that Prometheus is started with: valid, tested, and about metrics that there are."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.operations.health.gauges import Gauges
from moovitamix_assets.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "alert_rules.yml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
@pytest.mark.parametrize(
    ("what", "file"),
    [
        (("check", "rules"), "alert_rules.yml"),
        (("check", "config"), "prometheus.yml"),
        (("test", "rules"), "alert_rules_test.yml"),
    ],
)
def test_promtool_is_content(what, file):
    said = subprocess.run(
        ["promtool", *what, file], cwd=DEPLOY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert said.returncode == 0, said.stdout


def test_every_metric_of_the_rules_is_exported():
    named = {name for rule in RULES for name in re.findall(r"\bmoovitamix_\w+", rule["expr"])}
    assert named
    assert named <= {family.name for family in Gauges().families()}


def test_every_job_and_asset_of_the_rules_is_defined():
    definitions = build_definitions(Settings())
    jobs = {job.name for job in definitions.resolve_all_job_defs()}
    assets = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    for label, known in (("job_name", jobs), ("asset", assets)):
        values = [value for rule in RULES for value in re.findall(rf'\b{label}=~?"([^"]+)"', rule["expr"])]
        assert values
        assert {name for value in values for name in value.split("|")} <= known


def test_every_alert_says_how_grave_it_is_and_what_to_do():
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]


def asked_for(fires: bool) -> str:
    """What the tests of the rules ask for where they expect something, or where they expect nothing."""
    tests = yaml.safe_load((DEPLOY / "alert_rules_test.yml").read_text())["tests"]
    asked = [
        *(one for test in tests for one in test.get("promql_expr_test", [])),
        *(one for test in tests for one in test.get("alert_rule_test", [])),
    ]
    return "\n".join(
        str(one) for one in asked if bool(one.get("exp_alerts") or one.get("exp_samples")) is fires
    )


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES])
def test_every_alert_is_tested_firing_and_silent(alert):
    assert alert in asked_for(fires=True)
    assert alert in asked_for(fires=False)
