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

_CREATED_AT = column(TIMESTAMP, "When the source created the record, UTC.", nullable=True)
_UPDATED_AT = column(
    TIMESTAMP,
    "When the source last changed the record, UTC; precedes created_at in a quarter of the source's records.",
    nullable=True,
)

USERS = table(
    "users",
    "Users: one row per user and per day on which their record changed.",
    user_id=column(BIGINT, "The user's id in the source."),
    first_name=column(TEXT, "Personal data: stored in no other table.", nullable=True),
    last_name=column(TEXT, "Personal data: stored in no other table.", nullable=True),
    email=column(TEXT, "Personal data; two users may share one, so it is never a key.", nullable=True),
    gender=column(TEXT, "As the user gave it; values are not merged.", nullable=True),
    favorite_genres=column(TEXTS, "The genres the user prefers, as given in the profile.", nullable=True),
    created_at=_CREATED_AT,
    updated_at=_UPDATED_AT,
    changed_on=CHANGED_ON,
    loaded_at=LOADED_AT,
)  # fmt: skip

TRACKS = table(
    "tracks",
    "The catalogue: one row per track and per day on which its record changed.",
    track_id=column(BIGINT, "The track's id in the source."),
    name=column(TEXT, "The title, as the source spells it.", nullable=True),
    artist=column(TEXT, "The performing artist, as one text.", nullable=True),
    songwriters=column(TEXT, "All songwriters of the track, as one text.", nullable=True),
    duration_seconds=column(
        INTEGER, "Playing time in seconds; the source gives MM:SS.", pa.Check.gt(0), nullable=True
    ),
    genres=column(TEXTS, "The genres of the track; it may have several.", nullable=True),
    album=column(TEXT, "Title of the album the track is on.", nullable=True),
    created_at=_CREATED_AT,
    updated_at=_UPDATED_AT,
    changed_on=CHANGED_ON,
    loaded_at=LOADED_AT,
)

LISTENS = table(
    "listens",
    "Listening sessions: one row per track of a session. The newest version of a session replaces all older rows.",
    user_id=column(BIGINT, "The user who listened."),
    track_id=column(BIGINT, "The track played; kept even where it is not (yet) known."),
    listened_at=column(TIMESTAMP, "The session's created_at, at every position. UTC."),
    position=column(
        SMALLINT, "Place of the track in the session, from 1.", pa.Check.in_range(1, MAXIMUM_POSITION)
    ),
    session_updated_at=column(TIMESTAMP, "When the source last changed the session, UTC.", nullable=True),
    changed_on=CHANGED_ON,
    loaded_at=LOADED_AT,
)  # fmt: skip


_RECOMMENDATION_COLUMNS = dict(
    user_id=column(BIGINT, "The user whom the track is recommended to."),
    rank=column(SMALLINT, "Position in the user's recommendations, from 1.", pa.Check.ge(1)),
    track_id=column(BIGINT, "The recommended track; joins with `dim_tracks`."),
    score=column(FLOAT, "Higher is better; comparable within one user's recommendations only."),
    source=column(
        TEXT,
        "The method that chose the track: a model (model), popularity in the user's favorite genres (cold_start) "
        "or popularity overall (popular).",
        pa.Check.isin(["model", "cold_start", "popular"]),
    ),
    model_version=column(TEXT, "The version of the model that chose the track, or `popularity`."),
    generated_for=column(DATE, "The partition: the as-of day."),
    generated_at=column(
        TIMESTAMP,
        "The end of the as-of day, which is midnight UTC of the day after; not the time at which the row was computed.",
    ),
    expires_at=column(TIMESTAMP, "The recommendation must not be shown from this time on, UTC."),
)  # fmt: skip

RECOMMENDATIONS = table(
    "recommendations", "The top N for every known user, as of the end of a day.", **_RECOMMENDATION_COLUMNS
)

SHADOW_RECOMMENDATIONS = table(
    "shadow_recommendations",
    "The top N of versions in shadow, measured like `recommendations` but shown to no user: the challenger's, and the "
    "champion's during a fallback. Only users whom the version knows.",
    **_RECOMMENDATION_COLUMNS,
)

MODEL_EVALUATIONS = table(
    "model_evaluations",
    "The scores of each candidate, and of what it was compared with, on listens it was not trained on.",
    model_version=column(TEXT, "The version of the candidate."),
    as_of=column(DATE, "The day as of which it was trained."),
    subject=column(TEXT, "The model measured: candidate, popularity, ..."),
    segment=column(TEXT, "The users or tracks measured: all, warm, cold, new_tracks."),
    metric=column(TEXT, "The metric: ndcg_at_10, recall_at_20, ..."),
    value=column(DOUBLE, "The metric's mean over the users measured.", nullable=True),
    standard_error=column(
        DOUBLE,
        "The standard error of that mean; NULL where the value is not a mean over users.",
        nullable=True,
    ),
    users=column(INTEGER, "Number of users measured."),
)

PROMOTIONS = table(
    "promotions",
    "The champion as of any day, why it was chosen, and the version it replaced: the source of truth about champions.",
    model_version=column(TEXT, "The version that the decision is about."),
    as_of=column(DATE, "The day from which the decision applies."),
    decided_at=column(TIMESTAMP, "Wall clock of the decision, UTC."),
    decision=column(
        TEXT,
        "The outcome for that version: promoted, rejected, shadow (measured on days to come, without being served), "
        "fallback (popular tracks serve instead of the champion) or rolled_back.",
        pa.Check.isin(["promoted", "rejected", "shadow", "fallback", "rolled_back"]),
    ),
    reason=column(TEXT, "The reason, in one sentence."),
    metrics=column(JSON, "The figures the decision was based on."),
    previous_version=column(TEXT, "The previous champion; NULL if none.", nullable=True),
    decision_number=column(
        BIGINT, "Number of the decision, from 1; of several decisions for one day, the greatest applies.", nullable=True
    ),
)  # fmt: skip

RECOMMENDATION_QUALITY = table(
    "recommendation_quality",
    "The quality of the previous day's recommendations, measured on the day's first plays of a track by a user.",
    day=column(DATE, "The partition: the day of the plays."),
    model_version=column(TEXT, "The version that produced the recommendations, or `popularity`."),
    role=column(
        TEXT,
        "The standing of the recommendations: the champion's, those of the challenger in shadow, or popular tracks "
        "that served instead of a champion (fallback).",
        pa.Check.isin(["champion", "challenger", "fallback"]),
        nullable=True,
    ),
    segment=column(
        TEXT,
        "The users or tracks measured: all, users with more than 5 earlier plays (warm) or at most 5 (cold), tracks "
        "never played before (new_tracks).",
        pa.Check.isin(["all", "warm", "cold", "new_tracks"])
    ),
    users=column(INTEGER, "Users measured: with recommendations, and a track played for the first time."),
    ndcg_at_10=column(DOUBLE, "NDCG@10, mean over users."),
    recall_at_20=column(DOUBLE, "Recall@20, mean over users."),
    precision_at_10=column(DOUBLE, "Precision@10, mean over users."),
    map_at_10=column(DOUBLE, "MAP@10, mean over users."),
    hit_rate_at_10=column(DOUBLE, "Hit rate@10, mean over users."),
    coverage=column(DOUBLE, "Share of the catalogue in at least one user's top 10."),
    popularity_ndcg_at_10=column(DOUBLE, "NDCG@10 of the most popular tracks for the same users."),
    popularity_3_days_ndcg_at_10=column(
        DOUBLE, "The same, with the popularity of the last 3 days instead of 30.", nullable=True
    ),
    popularity_7_days_ndcg_at_10=column(
        DOUBLE, "The same, with the popularity of the last 7 days instead of 30.", nullable=True
    ),
    popularity_gain_standard_error=column(
        DOUBLE, "Standard error of the mean difference from popularity_ndcg_at_10, paired by user.", nullable=True
    ),
    served_ndcg_at_10=column(
        DOUBLE, "NDCG@10 of the recommendations that the same users were served.", nullable=True
    ),
    served_gain_standard_error=column(
        DOUBLE, "Standard error of the mean difference from served_ndcg_at_10, paired by user.", nullable=True
    ),
)  # fmt: skip

DRIFT = table(
    "drift",
    "The drift of a day's listens, users and tracks from the data that the champion was trained on.",
    day=column(DATE, "The partition: the day compared."),
    feature=column(TEXT, "The feature compared: listen_hour, listen_genre, ..."),
    statistic=column(
        TEXT,
        "The distance measure: population stability index (psi), Kolmogorov-Smirnov distance (ks) or share of "
        "unknown values (share).",
        pa.Check.isin(["psi", "ks", "share"]),
    ),
    value=column(DOUBLE, "The distance from the training data, 0 where nothing has moved.", _IS_NOT_NEGATIVE),
    threshold=column(DOUBLE, "Above this the feature counts as drifted.", _IS_NOT_NEGATIVE),
    drifted=column(BOOLEAN, "Whether the value is above the threshold."),
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
        SHADOW_RECOMMENDATIONS,
        MODEL_EVALUATIONS,
        PROMOTIONS,
        RECOMMENDATION_QUALITY,
        DRIFT,
    )
}

# The columns that a warehouse of an older version lacks, and the statement that fills each once it was added.
# They are nullable.
_LEFT_EMPTY = "SELECT 1"
FILLED_WHEN_ADDED = {
    **{
        ("recommendation_quality", name): _LEFT_EMPTY
        for name in (
            "popularity_3_days_ndcg_at_10",
            "popularity_7_days_ndcg_at_10",
            "popularity_gain_standard_error",
            "served_ndcg_at_10",
            "served_gain_standard_error",
        )
    },
    ("recommendation_quality", "role"): """
        UPDATE recommendation_quality SET role = CASE WHEN model_version = 'popularity' AND NOT EXISTS (
            SELECT 1 FROM recommendation_quality AS others
            WHERE others.day = recommendation_quality.day AND others.model_version <> 'popularity'
        ) THEN 'fallback' ELSE 'champion' END""",
    ("promotions", "decision_number"): """
        UPDATE promotions SET decision_number = numbered.decision_number FROM (
            SELECT rowid AS line, row_number() OVER (ORDER BY as_of, decided_at) AS decision_number FROM promotions
        ) AS numbered WHERE promotions.rowid = numbered.line""",
}

# The views for BI tools: the latest state, without partitions.
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
