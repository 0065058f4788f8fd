"""``python -m aione``: the command line."""

from aione.cli import main

if __name__ == "__main__":
    main()
