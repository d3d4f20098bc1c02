"""The column names of the training set and of `model_evaluations`, each defined once.

Only names belong here; the types are in `training_set.py` and in the warehouse's schemas.
"""

USER_ID = "user_id"
TRACK_ID = "track_id"

FAVORITE_GENRES = "favorite_genres"
GENDER = "gender"
CREATED_AT = "created_at"

ARTIST = "artist"
SONGWRITERS = "songwriters"
GENRES = "genres"
ALBUM = "album"
DURATION_SECONDS = "duration_seconds"
PLAYS_LAST_30_DAYS = "plays_last_30_days"
PLAYS_LAST_30_DAYS_BEFORE_HOLDOUT = "plays_last_30_days_before_holdout"
PLAYS_LAST_30_DAYS_BEFORE_VALIDATION = "plays_last_30_days_before_validation"

PLAYS = "plays"
PLAYS_BEFORE_HOLDOUT = "plays_before_holdout"
PLAYS_BEFORE_VALIDATION = "plays_before_validation"
PLAYS_BEFORE_CHANGE = "plays_before_change"
DECAYED_PLAYS = "faded_plays"
DECAYED_PLAYS_BEFORE_HOLDOUT = "faded_plays_before_holdout"
DECAYED_PLAYS_BEFORE_VALIDATION = "faded_plays_before_validation"
FIRST_LISTENED_AT = "first_listened_at"
LAST_LISTENED_AT = "last_listened_at"

MODEL_VERSION = "model_version"
AS_OF = "as_of"
SUBJECT = "subject"
SEGMENT = "segment"
METRIC = "metric"
VALUE = "value"
STANDARD_ERROR = "standard_error"
USERS = "users"
