"""The summary at the end of a run, without personal data.

Queries for this page and its tables only; figures come from the warehouse, never from memory.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from foundation.models.decisions import POPULARITY
from foundation.models.promotions import current_champion, last_decision, standing
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse
from moovitamix_assets.warehouse.schemas import REJECTED_TABLES

_USERS_SHOWN = 3
_DAYS_SHOWN = 7
_TRACKS_SHOWN = 5
_METRICS = ["ndcg_at_10", "recall_at_20", "precision_at_10", "map_at_10", "coverage"]


def print_summary(
    console: Console, settings: Settings, first: date, last: date, seconds: Mapping[str, float]
) -> None:
    """Print the records, the model compared with popularity, recommendations of three users, and where to go next."""
    with read_warehouse(settings.warehouse_path) as connection:
        console.print(_loads(connection, first, last))
        _print_rejections(console, connection, settings, first, last)
        _print_model(console, connection, last)
        _print_week(console, connection, last)
        _print_users(console, connection, last)
    if seconds:
        spent = ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items())
        console.print(f"[bold]Seconds[/] {spent}")
    console.print(
        Panel(
            f"{_make_dev(settings.data_dir)}  starts the source and the Dagster UI\n"
            f"the tables: {settings.warehouse_path} (DuckDB; open it read-only, or its copy for notebooks)",
            title="Where to go next",
            expand=False,
        )
    )


def _make_dev(data_dir: Path) -> str:
    return "make dev" if data_dir == Path("data") else f"MOOVITAMIX_DATA_DIR={data_dir} make dev"


def _loads(connection: duckdb.DuckDBPyConnection, first: date, last: date) -> Table:
    rows = connection.execute(
        """SELECT table_name, count(*), sum(received), sum(accepted), sum(rejected), sum(duplicates),
                  sum(superseded), sum(stored_rows)
           FROM partition_loads WHERE changed_on BETWEEN ? AND ? GROUP BY table_name ORDER BY table_name""",
        [first, last],
    ).fetchall()
    table = Table(title=f"Records from {first} to {last}", title_justify="left")
    table.add_column("table")
    for name in ("days", "received", "accepted", "rejected", "duplicates", "superseded", "rows"):
        table.add_column(name, justify="right")
    for name, *counts in rows:
        table.add_row(name, *(f"{int(count):,}" for count in counts))
    return table


def _print_rejections(
    console: Console, connection: duckdb.DuckDBPyConnection, settings: Settings, first: date, last: date
) -> None:
    # The values that a reason quotes stay in their table: they may be personal.
    reasons = pd.concat(
        connection.execute(
            f"""SELECT '{name}' AS table_name, split_part(reason, ':', 1) AS reason, count(*) AS records
                FROM (SELECT unnest(reasons) AS reason FROM {name} WHERE changed_on BETWEEN ? AND ?)
                GROUP BY ALL ORDER BY records DESC""",
            [first, last],
        ).df()
        for name in sorted(str(schema.name) for schema in REJECTED_TABLES.values())
    )
    if reasons.empty:
        console.print("[bold]Rejected[/] nothing")
        return
    table = Table(title="Rejected records by reason", title_justify="left")
    for heading in ("table", "reason", "records"):
        table.add_column(heading, justify="right" if heading == "records" else "left")
    for name, reason, records in reasons.itertuples(index=False):
        table.add_row(str(name), str(reason), f"{records:,}")
    console.print(table)
    console.print(
        "Read them, whole and with their reasons:\n"
        f"  .venv/bin/python -c \"import duckdb; duckdb.connect('{settings.warehouse_path}', read_only=True)"
        f".sql('FROM {reasons['table_name'].iloc[0]}').show()\"",
        highlight=False,
        soft_wrap=True,
    )


def _print_model(console: Console, connection: duckdb.DuckDBPyConnection, last: date) -> None:
    decided = last_decision(connection, last)
    if decided is None:
        # Days before the first training, which a run with --again may read again.
        champion = current_champion(connection, date.max)
        serving = (
            f"; {champion.model_version} is the champion since {champion.active_since}" if champion else ""
        )
        console.print(f"[bold]Model[/] there is no decision as of {last} or before{serving}", highlight=False)
        return
    version, serving = decided.model_version, standing(connection, last).serving
    serves = "Popular tracks serve." if serving == POPULARITY else f"{serving} serves."
    known = f" {serves}" if serving != version else ""
    console.print(f"[bold]Model[/] {decided.sentence} {decided.reason}{known}", highlight=False)
    evaluations = connection.execute(
        "SELECT * FROM model_evaluations WHERE model_version = ? AND segment IN ('all', 'warm', 'cold')",
        [version],
    ).df()
    if evaluations.empty:
        return
    wide = evaluations.pivot_table(index=["segment", "users"], columns=["subject", "metric"], values="value")
    table = Table(title="On the hold-out days: the candidate / popularity", title_justify="left")
    table.add_column("users")
    for metric in _METRICS:
        table.add_column(metric, justify="right")
    for index, row in wide.iterrows():
        segment, users = index if isinstance(index, tuple) else (index, "")
        table.add_row(
            f"{segment} ({users})",
            *(f"{row['candidate'][metric]:.4f} / {row['popularity'][metric]:.4f}" for metric in _METRICS),
        )
    console.print(table)


def _print_week(console: Console, connection: duckdb.DuckDBPyConnection, last: date) -> None:
    rows = connection.execute(
        """
        WITH drifted AS (
            SELECT day, list(feature ORDER BY value / threshold DESC) AS features FROM drift WHERE drifted GROUP BY day
        )
        SELECT day, any_value(model_version ORDER BY model_version = 'popularity'), sum(users),
            sum(users * ndcg_at_10) / sum(users), sum(users * popularity_ndcg_at_10) / sum(users),
            any_value(features)
        FROM recommendation_quality AS quality LEFT JOIN drifted USING (day)
        WHERE segment = 'all' AND day > $last::DATE - $days AND day <= $last AND (role = 'fallback' OR role = 'champion'
            AND NOT EXISTS (FROM recommendation_quality AS served WHERE served.day = quality.day AND role = 'fallback'))
        GROUP BY day ORDER BY day
        """,
        {"last": last, "days": _DAYS_SHOWN},
    ).fetchall()
    if not rows:
        return
    table = Table(title="Recommendations of the day before, measured on new plays", title_justify="left")
    for heading in ("day", "recommended by", "users", "ndcg_at_10", "popular tracks", "drifted"):
        table.add_column(
            heading, justify="right" if heading in ("users", "ndcg_at_10", "popular tracks") else "left"
        )
    for day, version, users, ndcg, popularity, features in rows:
        drifted = ", ".join(features or []) or "nothing"
        table.add_row(str(day), version, f"{int(users):,}", f"{ndcg:.4f}", f"{popularity:.4f}", drifted)
    console.print(table)


def _print_users(console: Console, connection: duckdb.DuckDBPyConnection, last: date) -> None:
    rows = connection.execute(
        f"""
        WITH shown AS (
            SELECT user_id, any_value(source) AS source FROM recommendations WHERE generated_for = $day
            GROUP BY user_id ORDER BY any_value(source) = 'model' DESC, hash(user_id) LIMIT {_USERS_SHOWN}
        ),
        played AS (
            SELECT listens.user_id, unnest(tracks.genres) AS genre FROM fact_listen_history AS listens
            JOIN dim_tracks AS tracks USING (track_id) SEMI JOIN shown USING (user_id)
        )
        SELECT shown.user_id, shown.source, users.favorite_genres AS likes,
            (SELECT list(genre ORDER BY plays DESC, genre)[:3] FROM (
                SELECT genre, count(*) AS plays FROM played WHERE played.user_id = shown.user_id GROUP BY genre
            )) AS plays_most,
            list(coalesce(tracks.name, '?') || ' by ' || coalesce(tracks.artist, '?')
                 || coalesce(' (' || array_to_string(tracks.genres, ', ') || ')', '') ORDER BY rank
            )[:{_TRACKS_SHOWN}] AS titles
        FROM shown
        JOIN recommendations ON recommendations.user_id = shown.user_id AND recommendations.generated_for = $day
        JOIN dim_users AS users ON users.user_id = shown.user_id
        JOIN dim_tracks AS tracks ON tracks.track_id = recommendations.track_id
        GROUP BY ALL ORDER BY shown.user_id
        """,
        {"day": last},
    ).fetchall()
    for user_id, source, likes, plays_most, titles in rows:
        plays = f"plays most {', '.join(plays_most)}" if plays_most else "has played nothing yet"
        because = f"likes {', '.join(likes or ['no genre'])}; {plays}"
        console.print(
            f"[bold]User {user_id}[/] ({because}) gets, from {source.replace('_', ' ')}:", highlight=False
        )
        for place, track in enumerate(titles, start=1):
            console.print(f"  {place}. {track}", highlight=False)
