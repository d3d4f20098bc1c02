"""The causes of a failed run: what its steps raised, each cause once."""

from dagster import Definitions, asset, define_asset_job, in_process_executor

from foundation.operations.run_failures import failure_causes

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class SourceGone(RuntimeError):
    """What steps raise here."""


@asset
def raw_users() -> None:
    raise SourceGone("The source does not answer.")


@asset
def raw_tracks() -> None:
    raise SourceGone("The source does not answer.")


@asset
def drift() -> None:
    raise SourceGone("Another cause.")


def test_a_cause_that_several_steps_share_is_given_once() -> None:
    definitions = Definitions(
        assets=[raw_users, raw_tracks, drift], jobs=[define_asset_job("all")], executor=in_process_executor
    )
    result = definitions.resolve_job_def("all").execute_in_process(run_config=QUIET, raise_on_error=False)
    assert sorted(failure_causes(result.all_events)) == [
        "drift: Another cause.",
        "raw_tracks, raw_users: The source does not answer.",
    ]
