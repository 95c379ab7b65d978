"""python -m remote_arrow: the command line."""

from remote_arrow.cli import run

if __name__ == "__main__":
    run()
