"""The aliases of versions in the mirror: champion, previous and challenger, derived from the decisions taken."""

import pandas as pd


def aliases(decisions: pd.DataFrame) -> dict[str, str]:
    """The version by alias, where known: champion, previous (the champion before) and challenger.

    The challenger is the last candidate since that was not promoted: in shadow, or rejected.

    Args:
        decisions: As `all_decisions` returns them.
    """
    named: dict[str, str] = {}
    since = decisions = decisions.reset_index(drop=True)
    champions = decisions[decisions["decision"].isin(["promoted", "rolled_back"])]
    # A champion that returns after a fallback replaces none.
    champions = champions[champions["model_version"] != champions["previous_version"]]
    if not champions.empty:
        champion = champions.iloc[-1]
        named["champion"] = str(champion["model_version"])
        if pd.notna(champion["previous_version"]):
            named["previous"] = str(champion["previous_version"])
        since = decisions.loc[champions.index[-1] :]
    others = since[since["decision"].isin(["rejected", "shadow"])]
    if not others.empty:
        named["challenger"] = str(others.iloc[-1]["model_version"])
    return named
