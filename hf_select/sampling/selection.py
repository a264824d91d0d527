"""Selection: which rows were chosen, in what order and why; saved, compared, applied to a pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hf_select.errors import UsageError
from hf_select.sampling.keys import ROW_KEY, content_key, pool_keys, unique_keys

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.view import PoolView
    from hf_select.sampling.difference import Difference

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("rank", pa.int64()),
        ("group", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Quota:
    """What one group was to give and gave.

    Attributes:
        group: The group's name.
        available: Rows of the group that could be chosen.
        weight: The share of the budget aimed at, before rounding and caps.
        quota: What it was to give: rows, or tokens for a budget in tokens.
        picked: Rows chosen; the seed rows given to the sampler aren't among them.
        tokens: Tokens of the rows chosen, for a budget in tokens.
    """

    group: str
    available: int
    weight: float
    quota: int
    picked: int
    tokens: int | None = None


@dataclass(frozen=True)
class Selection:
    """Chosen rows in pick order, with everything needed to explain and repeat the choice.

    Rows are addressed by content: `"key"`, or `"key+n"` for the n-th exact copy of a row. A Selection is also a
    predicate for `Dataset.filter`, see `__call__`.

    Attributes:
        table: One row a choice, in pick order: key (address), rank (0, 1, ...), group, score (null where the sampler
            looks at none), reason ("seed", "uniform", "top", ...).
        quotas: What every group was to give and gave, groups with nothing included.
        recipe: Sampler, settings, budget, seed; plain values only.
        notes: Sentences about shortfalls, rows without a label, groups that get nothing.
        rejected: How many rows could not be chosen, by reason.
        view: How to read the pool's rows where it has no column `row_key`. Not saved.
    """

    table: pa.Table
    quotas: tuple[Quota, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    view: PoolView | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", _checked(self.table))
        object.__setattr__(self, "quotas", tuple(self.quotas))
        object.__setattr__(self, "notes", tuple(self.notes))
        object.__setattr__(self, "recipe", plain(self.recipe))
        object.__setattr__(self, "rejected", plain(self.rejected))

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The addresses in pick order."""
        return tuple(self.table.column("key").to_pylist())

    def indices(self, pool: Dataset, view: PoolView | None = None) -> np.ndarray:
        """Positions of the chosen rows in `pool`, int64, in pick order.

        One pass over the pool's pictures (undecoded) where it has no column `row_key`.

        Raises:
            UsageError: Chosen rows that the pool doesn't have; says how many and names some.
        """
        addresses = unique_keys(pool_keys(_whole(pool), self._view(view)))
        place = {address: position for position, address in enumerate(addresses)}
        missing = [key for key in self.keys if key not in place]
        if missing:
            some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise UsageError(
                f"{len(missing)} of {len(self)} chosen rows are not in this pool of {len(addresses)} rows ({some}); "
                "give the pool they were chosen from, read the same way"
            )
        return np.fromiter((place[key] for key in self.keys), dtype=np.int64, count=len(self))

    def apply(self, pool: Dataset, view: PoolView | None = None) -> Dataset:
        """The chosen rows of `pool` in pick order, exactly as they are there (no copy, nothing added or re-encoded).

        Raises:
            UsageError: Chosen rows that the pool doesn't have, or a pool without positions (streaming).
        """
        indices = self.indices(pool, view)
        return pool.select(indices)

    def __call__(self, example: Mapping[str, Any] | str | Sequence[str], _index: Any = None) -> bool | list[bool]:
        """Whether a row (or, for a batch, each row) is chosen, for `pool.filter`.

            scored.filter(selection)                                           # has the column row_key
            scored.filter(selection, input_columns="row_key", batched=True)    # the same, without reading pictures
            pool.filter(selection, batched=True)                               # keys computed from undecoded rows

        A predicate sees one row, so it can't tell exact copies apart: it keeps every copy of a chosen row, in the
        pool's order. `apply` is exact and in pick order. With `with_indices=True` the index is ignored: a position
        is no identity.

        Raises:
            UsageError: A row without `row_key` outside a batch of a `Dataset`: its pictures come decoded there,
                and their bytes, which are part of the key, are gone.
        """
        if isinstance(example, str):
            return example in self._content
        if not isinstance(example, Mapping):
            return [key in self._content for key in example]
        if ROW_KEY in example:
            return self(example[ROW_KEY])
        from datasets.formatting.formatting import LazyBatch

        if not isinstance(example, LazyBatch):
            raise UsageError(
                f"the rows have no column {ROW_KEY!r}: filter the scored pool, or use "
                "pool.filter(selection, batched=True), or selection.apply(pool)"
            )
        return [row.key in self._content for row in self._view(None).rows(example)]

    @cached_property
    def _content(self) -> frozenset[str]:
        return frozenset(content_key(key) for key in self.keys)

    def _view(self, view: PoolView | None) -> PoolView:
        from hf_select.pool.view import PoolView

        return view or self.view or PoolView()

    def __reduce__(self) -> tuple[Any, ...]:
        # datasets' fingerprint hashes this: plain bytes of a fixed layout, equal in every process.
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_table(self.table)
        content = sink.getvalue().to_pybytes()
        return _rebuild, (content, self.quotas, self.recipe, self.notes, self.rejected, self.view)

    def save(self, folder: str | Path) -> Path:
        """Write `selection.parquet` and `recipe.yaml` into `folder`, each atomically; returns the folder."""
        from hf_select.sampling.files import save_selection

        return save_selection(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Selection:
        """Read what `save` wrote.

        Raises:
            UsageError: Files that are missing, of another layout, or that don't belong together.
        """
        from hf_select.sampling.files import load_selection

        return load_selection(Path(folder))

    def diff(self, other: Selection) -> Difference:
        """What `other` has that this one hasn't, and the other way round."""
        from hf_select.sampling.difference import difference

        return difference(self, other)

    def summary(self) -> str:
        """A text table for people: groups, quotas, what could not be chosen, notes."""
        from hf_select.sampling.render import summary

        return summary(self)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"Selection({len(self)} rows, {len(self.quotas)} groups, recipe={dict(self.recipe)!r})"

    def _repr_html_(self) -> str:
        from hf_select.sampling.render import html_table

        return html_table(self)


def selection_table(
    keys: Sequence[str], groups: Iterable[str], scores: np.ndarray | None, reasons: Iterable[str]
) -> pa.Table:
    """A Selection's table from columns in pick order; a NaN score becomes null."""
    n = len(keys)
    score = pa.nulls(n, pa.float64()) if scores is None else pa.array(scores, pa.float64(), from_pandas=True)
    columns = [pa.array(keys, pa.string()), pa.array(np.arange(n)), pa.array(groups, pa.string()), score]
    return pa.table([*columns, pa.array(reasons, pa.string())], schema=SCHEMA)


def plain(value: Any) -> Any:
    """`value` with numpy scalars as Python's, tuples as lists, and every key as text: what YAML and JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _checked(table: pa.Table) -> pa.Table:
    if table.column_names != SCHEMA.names or table.schema.types != SCHEMA.types:
        found = ", ".join(f"{name} {kind}" for name, kind in zip(table.column_names, table.schema.types, strict=True))
        wanted = ", ".join(f"{name} {kind}" for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True))
        raise UsageError(f"a selection has the columns {wanted}; found {found or 'none'}")
    keys = table.column("key")
    if keys.null_count:
        raise UsageError(f"a selection has {keys.null_count} rows without a key; every chosen row needs one")
    counts = Counter(keys.to_pylist())
    twice = [key for key, n in counts.items() if n > 1]
    if twice:
        raise UsageError(f"a selection names {len(twice)} keys more than once, such as {twice[0]!r}; a row counts once")
    if not np.array_equal(table.column("rank").to_numpy(), np.arange(table.num_rows)):
        raise UsageError("a selection's ranks must be 0, 1, 2, ... in the order of its rows")
    # take() writes fresh buffers, so that equal tables have equal bytes whether drawn or loaded (see __reduce__)
    return table.cast(SCHEMA).take(pa.array(np.arange(table.num_rows))).combine_chunks()


def _rebuild(content: bytes, quotas: Any, recipe: Any, notes: Any, rejected: Any, view: Any) -> Selection:
    return Selection(pa.ipc.open_stream(content).read_all(), quotas, recipe, notes, rejected, view)


def _whole(pool: Any) -> Dataset:
    from datasets import Dataset

    if not isinstance(pool, Dataset):
        raise UsageError(
            f"a selection is applied to a Dataset, not to {type(pool).__name__}: choose a split, read it without "
            "streaming, or filter a scored stream by stream.filter(selection)"
        )
    return pool
