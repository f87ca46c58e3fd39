"""What one link says about itself, for people and for the live state."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class LinkStatus:
    """Counters and the present state of one link; only its own task writes it.

    Parameters
    ----------
    connected : bool
        A session stands; says nothing about the devices behind it.
    last_good_monotonic_ns : int
        Monotonic time of the last reply or message that was understood; 0: none yet.
    polls, good : int
        Requests made or messages received, and those of them that were understood.
    errors : dict of str to int
        Failures by class.
    reconnects : int
        Sessions opened after the first.
    last_error : str
        The last failure, in words.
    """

    connected: bool = False
    last_good_monotonic_ns: int = 0
    polls: int = 0
    good: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    reconnects: int = 0
    last_error: str = ""

    def count(self, error: str, times: int = 1) -> None:
        """Count `times` failures of a class; the class stands as the last failure."""
        self.errors[error] = self.errors.get(error, 0) + times
        self.last_error = error
