"""How much may be kept: a share of the pool, a number of rows, or a number of tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from numbers import Integral
from typing import Literal

from hf_select.errors import UsageError

_ALLOWED = 'a share such as "15%", a number of rows such as 1500, or tokens such as "2M tokens"'
_PATTERN = re.compile(r"(?P<number>\d[\d_,]*(?:\.\d+)?|\.\d+)\s*(?P<scale>[kKmMbBgG])?\s*(?P<unit>%|rows?|tokens?)?")
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}


@dataclass(frozen=True, init=False)
class Budget:
    """What may be kept of a pool.

    `Budget("15%")`, `Budget(1500)`, `Budget("1500 rows")` and `Budget("2M tokens")` are the forms; K, M and B (or G)
    are powers of 1000. `Budget(0.15)` is refused, because it may mean 15 % or a slip.

    A share of N rows is rounded half up, in exact decimal arithmetic: 15 % of 7,671 is 1,151 and 5 % of 9 is 0. A
    budget of 0 gives an empty selection. Two budgets of one meaning are equal, and `Budget(str(b)) == b`.

    Attributes:
        kind: "share" of the pool's rows, "rows" or "tokens".
        amount: Percent (a `Decimal`) for a share, else a whole number.
    """

    kind: Literal["share", "rows", "tokens"]
    amount: int | Decimal = field()

    def __init__(self, value: str | int | Budget) -> None:
        kind, amount = _parse(value)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "amount", amount)

    def rows(self, pool_size: int) -> int:
        """How many rows of a pool of `pool_size` rows this budget allows; never more than there are.

        Raises:
            UsageError: For a budget in tokens, which needs the rows' token counts.
        """
        if self.kind == "tokens":
            raise UsageError(f"a budget of {self} has no number of rows: it needs the token count of every row")
        if self.kind == "rows":
            return min(int(self.amount), pool_size)
        return int((Decimal(self.amount) * pool_size / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))

    def __str__(self) -> str:
        if self.kind == "share":
            return f"{self.amount:f}%"
        return f"{self.amount} {self.kind}"

    def __repr__(self) -> str:
        return f"Budget({str(self)!r})"

    def __reduce__(self) -> tuple[type[Budget], tuple[str]]:
        return type(self), (str(self),)


def _parse(value: object) -> tuple[str, int | Decimal]:
    if isinstance(value, Budget):
        return value.kind, value.amount
    if isinstance(value, Integral) and not isinstance(value, bool):
        if value < 0:
            raise UsageError(f"a budget of {value} rows is below zero; give {_ALLOWED}")
        return "rows", int(value)
    if isinstance(value, float):
        raise UsageError(f'a budget of {value!r} is ambiguous; write "{value * 100:g}%" for a share, or a whole number')
    match = _PATTERN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise UsageError(f"can't read {value!r} as a budget; give {_ALLOWED}")
    unit = (match["unit"] or "rows").rstrip("s")
    number = Decimal(re.sub("[_,]", "", match["number"])) * _SCALE[(match["scale"] or "").lower()]
    if unit == "%":
        if number > 100 or match["scale"]:
            raise UsageError(f"a budget of {value!r} isn't a share between 0% and 100%")
        return "share", number.normalize() + 0
    if number != int(number):
        hint = f'; write "{(number * 100).normalize():f}%" for a share' if number < 1 and not match["unit"] else ""
        raise UsageError(f"a budget of {value!r} isn't a whole number of {unit}s{hint}")
    return unit + "s", int(number)
