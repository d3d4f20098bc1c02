"""That runs executed in process carry the origin by which the UI finds them, and that no other run is changed."""

from dagster import DagsterInstance, graph, op

from foundation.operations.run_origin import runs_of_code_location


@op
def work() -> None:
    """Nothing."""


@graph
def nightly() -> None:
    """A job."""
    work()


def test_a_run_in_this_process_is_one_of_its_code_location() -> None:
    with DagsterInstance.ephemeral() as instance:
        with runs_of_code_location(instance, "a_location", "__repository__"):
            result = nightly.to_job().execute_in_process(instance=instance, tags={"mine": "1"})
        run = instance.get_run_by_id(result.run_id)
        assert run.remote_job_origin.job_name == "nightly"
        assert run.remote_job_origin.repository_origin.get_label() == "__repository__@a_location"
        assert run.tags["mine"] == "1"
        later = nightly.to_job().execute_in_process(instance=instance)
        assert instance.get_run_by_id(later.run_id).remote_job_origin is None
