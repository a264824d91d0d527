"""The contract of a scorer: configuration in, columns out; what `Dataset.map` and `hf_select.score` call.

A new scorer is one file:

    @dataclass(frozen=True, kw_only=True)
    class Words(Scorer):
        prefix: str = ""

        @property
        def adds(self) -> dict[str, str]:
            return {f"{self.prefix}words": "int32"}

        def score(self, rows: Sequence[Row]) -> dict[str, list]:
            return {f"{self.prefix}words": [sum(len(a.split()) for a in row.answers) for row in rows]}

Limits to know: weights given by a path are looked at again when `datasets` hashes the scorer or `score()` starts, and
images of a dataset that holds paths are seen by their path only. A changed picture under the same path is noticed where
`read_pool` read local JSON, since that pool's fingerprint holds sizes and times, or with `datasets.disable_caching()`.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.view import PoolView
from hf_select.scoring.columns import TypedColumn
from hf_select.scoring.identity import (
    canonical,
    canonical_json,
    class_path,
    configuration,
    hash_by_identity,
    is_runtime,
    runtime,
)
from hf_select.scoring.loaded import load_once

if TYPE_CHECKING:
    from hf_select.pool.row import Row

__all__ = ["Scorer", "runtime"]


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A row-local transform whose instances are configuration only: tiny to pickle, stable to hash.

    Subclasses are frozen keyword-only dataclasses. Fields are the configuration (text, numbers, lists, dicts, frozen
    dataclasses), except those declared with `runtime(default)`. A model never becomes an attribute: `load` makes it,
    `self.loaded` gives it, once in each process.

    Attributes:
        scoring_version: Raised by hand when the same configuration gives other numbers; part of the identity.
        view: How pool rows are read into `Row`s.
    """

    scoring_version: ClassVar[int] = 1

    view: PoolView = PoolView()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an instance that `datasets` hashes by its identity."""
        if inspect.get_annotations(cls) and "__dataclass_params__" not in cls.__dict__:
            raise UsageError(
                f"{cls.__name__} declares fields but is no dataclass, so they would not be part of its identity: put"
                " @dataclass(frozen=True, kw_only=True) above the class."
            )
        hash_by_identity(cls)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        configuration(self, type(self).__name__)

    # What a subclass writes

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns it adds, each with its Arrow type: `{"loss_full": "float32"}`."""
        raise NotImplementedError(f"{type(self).__name__} must say which columns it adds")

    def load(self) -> Any:
        """Return the model or whatever `score` needs; called once in each process, never for a cached result."""
        return None

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Return one list for each column of `adds`, each as long as `rows`.

        A row whose `status` isn't "ok" gets None (and a status column, where there is one); no row may raise.
        """
        raise NotImplementedError(f"{type(self).__name__} must score rows")

    def extra_identity(self) -> dict[str, Any]:
        """Return what identifies this scorer beside its fields, such as the weights a model name stands for now."""
        return {}

    # What the rest of the package uses

    @property
    def resolved(self) -> dict[str, Any]:
        """`extra_identity()` as it was when this scorer was last identified (a load must use exactly this).

        A copy made by pickle, as in a worker of `map(num_proc=...)`, keeps what its original had resolved.
        """
        if "_resolved" not in self.__dict__:
            self._resolve()
        return self.__dict__["_resolved"]

    def identity(self) -> str:
        """Return one line of canonical JSON: class, `scoring_version`, configuration, `extra_identity()`.

        Two scorers with the same identity give the same numbers. Asks `extra_identity` again each time.
        """
        if not self.__dict__.get("_shipped"):
            self._resolve()
        return self._identity()

    @property
    def loaded(self) -> Any:
        """What `load` returned in this process, for this identity and these runtime fields."""
        options = {f.name: repr(getattr(self, f.name)) for f in dataclasses.fields(self) if is_runtime(f)}
        return load_once((type(self), self._identity(), canonical_json(options)), self.load)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list]:
        """Score one batch: what `pool.map(scorer, batched=True)` and `IterableDataset.map` call.

        The batch is copied shallowly first. Without that, `map` writes every image that was looked at back into its
        output, decoded and encoded again.

        Args:
            batch: Column name -> list of values, or the lazy batch of datasets.

        Returns:
            Column name -> list as long as the batch, for exactly the columns of `adds`, typed for Arrow.

        Raises:
            UsageError: If the batch is a single row, or its schema can't be recognised.
            HFSelectError: If `score` gave other columns or lengths than it promised.
        """
        _refuse_single_row(batch)
        rows = self.view.rows(copy.copy(batch))
        columns = self.score(rows)
        name, adds = type(self).__name__, self.adds
        if set(columns) != set(adds):
            raise HFSelectError(f"{name}.score gave the columns {sorted(columns)} but adds {sorted(adds)}.")
        for column, values in columns.items():
            if len(values) != len(rows):
                raise HFSelectError(f"{name}.score gave {len(values)} values of {column!r} for {len(rows)} rows.")
        return {column: TypedColumn(columns[column], dtype) for column, dtype in adds.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        return _rebuild, (type(self), values, self.__dict__.get("_resolved"))

    def _resolve(self) -> None:
        object.__setattr__(self, "_resolved", canonical(self.extra_identity(), f"{type(self).__name__}.extra_identity"))

    def _identity(self) -> str:
        return canonical_json(
            {
                "class": class_path(type(self)),
                "scoring_version": self.scoring_version,
                "config": configuration(self, type(self).__name__),
                "extra": self.resolved,
            }
        )


def _rebuild(cls: type[Scorer], values: dict[str, Any], resolved: dict[str, Any] | None) -> Scorer:
    scorer = cls(**values)
    if resolved is not None:
        object.__setattr__(scorer, "_resolved", resolved)
        object.__setattr__(scorer, "_shipped", True)
    return scorer


def _refuse_single_row(batch: Mapping[str, Any]) -> None:
    if isinstance(batch, dict):
        single = any(isinstance(value, str | int | float | dict) for value in batch.values())
    else:
        from datasets.formatting.formatting import LazyRow

        single = isinstance(batch, LazyRow)
    if single:
        raise UsageError("a scorer works on batches and was given a single row: call map(scorer, batched=True).")
