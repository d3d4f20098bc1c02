"""Samples of metrics by user, as they are spread in practice."""

import numpy as np
import pandas as pd


def ndcg_of_users(mean: float, users: int, seed: int) -> pd.Series:
    """NDCG@10 as it is spread in practice: most users 0, the others something."""
    random = np.random.default_rng(seed)
    hit = random.random(users) < 4 * mean
    return pd.Series(np.where(hit, random.uniform(0, 0.5, users), 0.0), index=np.arange(users) * 3)
