"""The start of the command `moovitamix`. What it does is in `app.py`."""

from moovitamix_assets.cli.interface.interruption import ending_at_once


def main() -> None:
    """Import the commands, and run the one that was named."""
    with ending_at_once():
        from moovitamix_assets.cli.app import app
    app()


if __name__ == "__main__":
    main()
