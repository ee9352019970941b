"""Every error that Querist raises on purpose.

    QueristError
    ├── InvalidInput        a file, a setting or an argument is wrong
    │   └── NotFound        there is nothing of that name
    ├── MissingExtra        an optional package is not installed
    ├── StoreError          the workspace cannot be read or written
    │   ├── DiskFull        there is no room left
    │   └── NewerWorkspace  it was made by a later version of Querist
    ├── RunBusy             another process drives this run
    ├── LeaseLost           another process took this run over while we drove it
    ├── BudgetExceeded      a reservation does not fit into what is left
    │   └── CapReached      of what the workspace may spend, in all or today
    ├── NotOpen             the question was answered or skipped before
    └── ModelError          a language model cannot be used
        ├── ModelRefused    it will not work by trying again (key, name, price)
        └── ModelUnavailable  it may work later (network, rate limit, server)

Messages say what happened, to what, and what to do about it.
"""

from __future__ import annotations

from decimal import Decimal


class QueristError(Exception):
    """The base of all of them; `exit_code` is what the command line exits with."""

    exit_code = 1


class InvalidInput(QueristError):
    """A file, a setting or an argument is wrong; nothing was changed."""

    exit_code = 2


class NotFound(InvalidInput):
    """There is no run, job, question or person of that name."""


class MissingExtra(QueristError):
    """An optional package is needed; the message names the extra to install."""

    exit_code = 2


class StoreError(QueristError):
    """The workspace cannot be read or written (disk full, damaged, unreachable)."""

    exit_code = 3


class DiskFull(StoreError):
    """There is no room left for the workspace; trying again does not help."""


class NewerWorkspace(StoreError):
    """The workspace was written by a later version of Querist."""


class RunBusy(QueristError):
    """Another live process holds the lease of this run."""

    exit_code = 4


class LeaseLost(QueristError):
    """Our fencing number is stale: someone else drives this run now, so we must not write."""

    exit_code = 4


class BudgetExceeded(QueristError):
    """A reservation does not fit into what is left of the budget. Nothing was spent."""

    exit_code = 5

    def __init__(self, *, wanted: Decimal, remaining: Decimal, what: str = "a call") -> None:
        """Keep both amounts for callers that shrink their plan to what is left."""
        super().__init__(
            f"{what} may cost up to {wanted:f} USD, but only {remaining:f} USD are left. "
            "Raise the budget (--budget), or choose a cheaper model (querist models)."
        )
        self.wanted = wanted
        self.remaining = remaining


class CapReached(BudgetExceeded):
    """A reservation does not fit into what all runs may spend, together or today.

    A run pauses on it, and does not end: its own budget is not spent.
    """

    def __init__(self, words: str, *, wanted: Decimal, remaining: Decimal) -> None:
        """`words` are the whole message."""
        super().__init__(wanted=wanted, remaining=remaining)
        self.args = (words,)


class NotOpen(QueristError):
    """The question is not open any more: someone answered or skipped it first."""


class ModelError(QueristError):
    """A language model cannot be used."""

    exit_code = 6


class ModelRefused(ModelError):
    """Trying again will not help: wrong key, unknown name, no price, request not accepted."""


class ModelUnavailable(ModelError):
    """The provider did not answer usefully after all retries; a later resume may work."""
