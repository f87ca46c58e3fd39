"""Source times as devices state them, to nanoseconds since 1970 UTC; by arithmetic alone.

A device's clock is evidence, not truth: what cannot be read as a time of this era yields None,
and the caller marks the reading BAD_CLOCK. Never guess a time zone.
"""

from __future__ import annotations

import math
import re
from typing import Final

# RFC 3339 section 5.6, with a space allowed for the T, as its note permits. Fractions beyond
# nanoseconds are cut.
_RFC3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,12}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_FEBRUARY: Final = 2
_DAYS: Final = dict(enumerate((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1))
_NS: Final = 1_000_000_000

# An epoch number says its unit by its size: these spans do not overlap between 1990 and 2255.
# A number below them is an uptime counter or an unset clock (1970), and no time at all.
_EPOCH_UNITS_NS: Final = ((6.3e8, 9e9, _NS), (6.3e11, 9e12, 1_000_000))


def parse_source_time(stated: object) -> int | None:
    """Read a time as a device states it.

    Parameters
    ----------
    stated : object
        Seconds or milliseconds since 1970 UTC, as a number; or an RFC 3339 text with its offset.

    Returns
    -------
    int or None
        Nanoseconds since 1970 UTC; None for anything else, an epoch outside 1990-2255 included.
    """
    if isinstance(stated, str):
        return _from_rfc3339(stated)
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    for low, high, unit_ns in _EPOCH_UNITS_NS:
        if low <= stated < high:
            # Whole part and fraction apart: a float of 1.7e18 would lose 200 ns of each.
            whole = math.floor(stated)
            return whole * unit_ns + round((stated - whole) * unit_ns)
    return None


def _from_rfc3339(text: str) -> int | None:
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, offset_hour, offset_minute = found.groups()[6:]
    offset_min = int(offset_hour or 0) * 60 + int(offset_minute or 0)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days_in_month = 29 if leap and month == _FEBRUARY else _DAYS.get(month, 0)
    # Second 60 is a leap second; like POSIX, it counts as the first of the next minute.
    in_range = 1 <= day <= days_in_month and hour < 24 and minute < 60 and second <= 60  # noqa: PLR2004
    if not in_range or offset_min >= 24 * 60:
        return None
    seconds = (_days_since_1970(year, month, day) * 24 + hour) * 3600 + minute * 60 + second
    seconds -= offset_min * 60 * (-1 if sign == "-" else 1)
    ns = seconds * _NS + int((fraction or "0").ljust(9, "0")[:9])
    return ns if 6.3e8 * _NS <= ns < 9e9 * _NS else None


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01, proleptic Gregorian: years counted from March, in 400-year eras."""
    year -= month <= _FEBRUARY
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468
