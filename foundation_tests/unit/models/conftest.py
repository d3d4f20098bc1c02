"""A database with the table of decisions, as a product declares it."""

import duckdb
import pytest


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute(
            """CREATE TABLE promotions (
                   model_version VARCHAR, as_of DATE, decided_at TIMESTAMP, decision VARCHAR, reason VARCHAR,
                   metrics JSON, previous_version VARCHAR, decision_number BIGINT
               )"""
        )
        yield connection
