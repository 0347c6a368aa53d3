"""A module whose body waits (tests/constructs.py)."""

from constructs import wait

VALUE = wait()
