"""`python -m relay` is `feierabend`."""

from relay.cli import main

if __name__ == "__main__":
    main()
