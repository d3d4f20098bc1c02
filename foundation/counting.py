"""Counts in sentences: 1 day, 2 days. Nothing else belongs here."""


def counted(number: int, noun: str) -> str:
    """Such as `1 day`, `0 days` or `1,200 rows`.

    Args:
        number: How many.
        noun: In the singular; what follows its first word stays: `database of Dagster`.
    """
    word, space, rest = noun.partition(" ")
    return f"{number:,} {word if number == 1 else f'{word}s'}{space}{rest}"
