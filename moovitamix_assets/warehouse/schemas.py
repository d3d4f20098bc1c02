"""The tables of this product: one Pandera schema each, and the one place where each is defined.

Types, nullability, ranges and descriptions are declared here; the DDL, the Arrow schema, the column schema shown in
the UI and the checks are derived from them (`foundation/tables.py`). How rows come about does not belong here.
"""

import pandera.pandas as pa

from foundation.tables import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    FLOAT,
    INTEGER,
    JSON,
    SMALLINT,
    TEXT,
    TEXTS,
    TIMESTAMP,
    column,
    table,
)
from foundation.warehouse.standard_tables import (
    CHANGED_ON,
    LOADED_AT,
    PARTITIONS_MADE,
    partition_loads_table,
    rejected_table,
)

MAXIMUM_POSITION = 32767

_IS_NOT_NEGATIVE = pa.Check.ge(0)

USERS = table(
    "users",
    "People: one row per person and per day on which their record changed.",
    user_id=column(BIGINT, "The source's id."),
    first_name=column(TEXT, "Personal: stands in no table but this.", nullable=True),
    last_name=column(TEXT, "Personal: stands in no table but this.", nullable=True),
    email=column(TEXT, "Personal; two people may share one, so it is never a key.", nullable=True),
    gender=column(TEXT, "As the person said it; none is folded into another.", nullable=True),
    favorite_genres=column(TEXTS, "What the person says to like.", nullable=True),
    created_at=column(TIMESTAMP, "UTC.", nullable=True),
    updated_at=column(TIMESTAMP, "UTC; precedes created_at in a quarter of the source's records.", nullable=True),
    changed_on=CHANGED_ON,
    loaded_at=LOADED_AT,
)  # fmt: skip

TRACKS = table(
    "tracks",
    "The catalogue: one row per track and per day on which its record changed.",
    track_id=column(BIGINT, "The source's id."),
    name=column(TEXT, "Title.", nullable=True),
    artist=column(TEXT, "Artist.", nullable=True),
    songwriters=column(TEXT, "Songwriters, as one text.", nullable=True),
    duration_seconds=column(INTEGER, "From MM:SS.", pa.Check.gt(0), nullable=True),
    genres=column(TEXTS, "The track's genres.", nullable=True),
    album=column(TEXT, "Album.", nullable=True),
    created_at=column(TIMESTAMP, "UTC.", nullable=True),
    updated_at=column(
        TIMESTAMP, "UTC; precedes created_at in a quarter of the source's records.", nullable=True
    ),
    changed_on=CHANGED_ON,
    loaded_at=LOADED_AT,
)

LISTENS = table(
    "listens",
    "Listening: one row per track of a session. The newest version of a session replaces all rows of older ones.",
    user_id=column(BIGINT, "Who listened."),
    track_id=column(BIGINT, "What was played; kept even where the track is not known (yet)."),
    listened_at=column(TIMESTAMP, "The session's created_at, at every position. UTC."),
    position=column(
        SMALLINT, "Place in the session, from 1.", pa.Check.in_range(1, MAXIMUM_POSITION)
    ),
    session_updated_at=column(TIMESTAMP, "UTC.", nullable=True),
    changed_on=CHANGED_ON,
    loaded_at=LOADED_AT,
)  # fmt: skip


RECOMMENDATIONS = table(
    "recommendations",
    "The top N of every person known, as of the end of a day.",
    user_id=column(BIGINT, "For whom."),
    rank=column(SMALLINT, "Place in the person's list, from 1.", pa.Check.ge(1)),
    track_id=column(BIGINT, "What."),
    score=column(FLOAT, "Higher is better; comparable within one person's list only."),
    source=column(
        TEXT, "What made it.", pa.Check.isin(["model", "cold_start", "popular"])
    ),
    model_version=column(TEXT, "The version in force, or `popularity` for fallback rows."),
    generated_for=column(DATE, "The partition: the as-of day."),
    generated_at=column(TIMESTAMP, "The end of that day, UTC."),
    expires_at=column(TIMESTAMP, "Not to be shown from then on, UTC."),
)  # fmt: skip

MODEL_EVALUATIONS = table(
    "model_evaluations",
    "What each candidate, and what it was compared with, was worth on listens it had not seen.",
    model_version=column(TEXT, "The candidate's version."),
    as_of=column(DATE, "The day as of which it was trained."),
    subject=column(TEXT, "Who is measured: candidate, popularity, ..."),
    segment=column(TEXT, "Whose lists: all, warm, cold, new_tracks."),
    metric=column(TEXT, "ndcg_at_10, recall_at_20, ..."),
    value=column(DOUBLE, "The mean over people.", nullable=True),
    standard_error=column(DOUBLE, "Of that mean; NULL where it is no mean over people.", nullable=True),
    users=column(INTEGER, "People measured."),
)

PROMOTIONS = table(
    "promotions",
    "Which version was in force as of any day, why, and what it replaced: the truth about champions.",
    model_version=column(TEXT, "The version that was decided about."),
    as_of=column(DATE, "The day from which the decision holds."),
    decided_at=column(TIMESTAMP, "Wall clock of the decision, UTC."),
    decision=column(TEXT, "What was decided.", pa.Check.isin(["promoted", "rejected", "rolled_back"])),
    reason=column(TEXT, "Why, in one sentence."),
    metrics=column(JSON, "The figures the decision was taken on."),
    previous_version=column(TEXT, "The version in force before; NULL if none.", nullable=True),
    decision_number=column(
        BIGINT, "Place in the order of decisions, from 1; of decisions for one day the greatest holds.", nullable=True
    ),
)  # fmt: skip

RECOMMENDATION_QUALITY = table(
    "recommendation_quality",
    "What the lists of the day before were worth on what people heard for the first time on the day.",
    day=column(DATE, "The partition: the day on which people listened."),
    model_version=column(TEXT, "The version that made the lists, or `popularity`."),
    segment=column(
        TEXT, "Whose lists.", pa.Check.isin(["all", "warm", "cold", "new_tracks"])
    ),
    users=column(INTEGER, "People measured: with a list, and something heard for the first time."),
    ndcg_at_10=column(DOUBLE, "The mean over people."),
    recall_at_20=column(DOUBLE, "The mean over people."),
    precision_at_10=column(DOUBLE, "The mean over people."),
    map_at_10=column(DOUBLE, "The mean over people."),
    hit_rate_at_10=column(DOUBLE, "The mean over people."),
    coverage=column(DOUBLE, "Share of the catalogue in at least one of their first tens."),
    popularity_ndcg_at_10=column(DOUBLE, "What popular tracks would have earned with the same people."),
)  # fmt: skip

DRIFT = table(
    "drift",
    "How far the listens, people and tracks of a day moved from what the champion was trained on.",
    day=column(DATE, "The partition."),
    feature=column(TEXT, "What is compared: listen_hour, listen_genre, ..."),
    statistic=column(TEXT, "How.", pa.Check.isin(["psi", "ks", "share"])),
    value=column(DOUBLE, "How far.", _IS_NOT_NEGATIVE),
    threshold=column(DOUBLE, "Above this it counts as drifted.", _IS_NOT_NEGATIVE),
    drifted=column(BOOLEAN, "Whether it is above."),
)

# The tables that the source's records are loaded into.
SOURCE_TABLES = {"users": USERS, "tracks": TRACKS, "listens": LISTENS}
REJECTED_TABLES = {name: rejected_table(name) for name in SOURCE_TABLES}
PARTITION_LOADS = partition_loads_table(list(SOURCE_TABLES))

TABLES: dict[str, pa.DataFrameSchema] = {
    str(schema.name): schema
    for schema in (
        *SOURCE_TABLES.values(),
        *REJECTED_TABLES.values(),
        PARTITION_LOADS,
        PARTITIONS_MADE,
        RECOMMENDATIONS,
        MODEL_EVALUATIONS,
        PROMOTIONS,
        RECOMMENDATION_QUALITY,
        DRIFT,
    )
}

# The columns that a warehouse of an older version lacks, and what fills each once it was added. They are nullable.
FILLED_WHEN_ADDED = {
    ("promotions", "decision_number"): """
        UPDATE promotions SET decision_number = numbered.decision_number FROM (
            SELECT rowid AS line, row_number() OVER (ORDER BY as_of, decided_at) AS decision_number FROM promotions
        ) AS numbered WHERE promotions.rowid = numbered.line""",
}

# What BI tools read: the latest state, without a word about partitions.
VIEWS = {
    "dim_users": """
        SELECT * FROM users
        QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY changed_on DESC) = 1""",
    "dim_tracks": """
        SELECT * FROM tracks
        QUALIFY row_number() OVER (PARTITION BY track_id ORDER BY changed_on DESC) = 1""",
    "fact_listen_history": """
        SELECT * FROM listens
        QUALIFY changed_on = max(changed_on) OVER (PARTITION BY user_id, listened_at)""",
}
