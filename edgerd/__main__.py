"""`python -m edgerd`, where the command `edgerd` is not on the path."""

from edgerd.cli.main import main

if __name__ == "__main__":
    main()
