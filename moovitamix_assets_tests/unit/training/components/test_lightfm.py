from moovitamix_assets.training.components.lightfm import (
    FEWEST_EPOCHS,
    MOST_EPOCHS,
    MOST_UPDATES,
    most_epochs,
)


def test_much_data_gets_fewer_epochs_but_never_none():
    bearable = MOST_UPDATES // MOST_EPOCHS
    assert [most_epochs(interactions) for interactions in (0, 1, bearable)] == [MOST_EPOCHS] * 3
    for interactions in (bearable + 100_000, 2 * bearable, 5 * bearable):
        assert FEWEST_EPOCHS < most_epochs(interactions) < MOST_EPOCHS
        assert interactions * most_epochs(interactions) <= MOST_UPDATES
    assert most_epochs(1_000_000_000) == FEWEST_EPOCHS
