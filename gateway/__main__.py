"""``python -m gateway`` is ``firedamp``."""

from gateway.cli import main

if __name__ == "__main__":
    main()
