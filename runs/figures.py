"""How numbers, money, times and ids are written for people. One form each, everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

UNKNOWN = "unknown"
_ID_SHOWN = 8
_EXACT_BELOW = 10_000
_ABOUT_ABOVE = 10_000


def duration(seconds: float | None) -> str:
    """``840 ms`` · ``12.4 s`` · ``4m 02s`` · ``3h 12m`` · ``2d 4h``; unknown is said."""
    if seconds is None:
        return UNKNOWN
    seconds = max(seconds, 0.0)
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60:02d}m"
    hours = minutes // 60
    return f"{hours // 24}d {hours % 24}h"


def axis(seconds: float) -> str:
    """A mark on a time axis: ``0`` · ``5 s`` · ``10 m`` · ``2 h``."""
    if seconds == 0:
        return "0"
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    for unit, size in (("s", 60), ("m", 3600), ("h", 86400 * 2)):
        if seconds < size:
            return f"{seconds / {'s': 1, 'm': 60, 'h': 3600}[unit]:g} {unit}"
    return f"{seconds / 86400:g} d"


def span(length: timedelta | None) -> str:
    """A :func:`duration` from a time difference."""
    return duration(None if length is None else length.total_seconds())


def count(number: int | None) -> str:
    """``1,204`` in full below 10,000, then ``12.4k``, ``3.1M``."""
    if number is None:
        return UNKNOWN
    if number < _EXACT_BELOW:
        return f"{number:,}"
    for unit, size in (("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)):
        if number < size * 999.95:
            return f"{number / size:.1f}{unit}"
    return f"{number:,}"


def total(number: int) -> str:
    """A number of rows; above 10,000 it is marked as about."""
    return f"{number:,}" if number <= _ABOUT_ABOVE else "about " + count(number)


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 step``, ``4 steps``."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def share(part: int, whole: int) -> str:
    """A share in whole percents; of fewer than 30 as ``4 of 5``."""
    if whole < 30:
        return f"{part} of {whole}"
    return f"{round(100 * part / whole)} %"


def money(amount: Decimal | None) -> str:
    """Dollars: two decimals from 1, four from 0.01, two significant digits below."""
    if amount is None:
        return UNKNOWN
    if amount == 0:
        return "$0"
    sign, size = ("\N{MINUS SIGN}" if amount < 0 else ""), abs(amount)
    if size >= 1:
        return f"{sign}${size:,.2f}"
    if size >= Decimal("0.01"):
        return f"{sign}${size:.4f}"
    digits = size.quantize(Decimal(1).scaleb(size.adjusted() - 1), rounding=ROUND_HALF_EVEN)
    return f"{sign}${digits:f}"


def short_id(public_id: str) -> str:
    """``run_8fk2q0ab…``: the prefix and eight characters."""
    prefix, mark, rest = public_id.partition("_")
    if len(rest) <= _ID_SHOWN:
        return public_id
    return f"{prefix}{mark}{rest[:_ID_SHOWN]}…"


def clock(moment: datetime | None, now: datetime, *, seconds: bool = True) -> str:
    """An absolute time in the zone of ``now``, with as much of the date as is needed."""
    if moment is None:
        return UNKNOWN
    local = moment.astimezone(now.tzinfo)
    if local.date() == now.date():
        return f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    if local.year == now.year:
        return f"{local.day} {local:%b %H:%M}"
    return f"{local:%Y-%m-%d %H:%M}"


def iso(moment: datetime) -> str:
    """The same moment for machines and tooltips: UTC, to the millisecond."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def file_size(size: int) -> str:
    """``120 bytes`` · ``34.5 KB`` · ``8.0 MB``."""
    if size < 1000:
        return plural(size, "byte")
    if size < 1_000_000:
        return f"{size / 1000:.1f} KB"
    return f"{size / 1_000_000:.1f} MB"
