"""What SQL lacks: exact dollars, and times that keep their zone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

_NANO = Decimal(1_000_000_000)


class Usd(TypeDecorator[Decimal]):
    """Dollars as whole nano-dollars, so that sums in SQL are exact; rounded up, never down."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Turn dollars into nano-dollars."""
        if value is None:
            return None
        return int((Decimal(value) * _NANO).to_integral_value(ROUND_CEILING))

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> Decimal | None:  # noqa: ARG002
        """Turn nano-dollars into dollars."""
        return None if value is None else Decimal(value) / _NANO


class Utc(TypeDecorator[datetime]):
    """Aware UTC times; SQLite would forget the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Keep UTC only."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
