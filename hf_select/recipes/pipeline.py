"""The steps of every recipe's run: check, choose, fit, score, save; each one a stage that resumes alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError
from hf_select.files import replacing, write_atomically
from hf_select.pool.view import PoolView
from hf_select.recipes.stages import RunFolder, StageRecord, digest

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hf_select.sampling.selection import Selection
    from hf_select.scoring.scorer import Scorer
    from hf_select.training.config import FitConfig

_READ_AT = re.compile(r"[/\\\\]([0-9a-f]{40})[/\\\\][^/\\\\]+\.arrow$")
"""`datasets` keeps what it read from the Hub in a folder of the commit's name."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a pool comes from: the arguments of `read_pool`, with the view its rows are read through."""

    pool: str | list[str]
    split: str | None = None
    config: str | None = None
    revision: str | None = None
    view: PoolView = field(default_factory=PoolView)

    @property
    def name(self) -> str:
        """The pool's name for cards and messages, without revision and without the folders of this machine."""
        first = self.pool if isinstance(self.pool, str) else self.pool[0]
        return Path(first).name if Path(first).exists() else first.partition("@")[0]

    @property
    def named_revision(self) -> str | None:
        """The revision of a Hub pool as it was given, "org/name@revision" or apart."""
        first = self.pool if isinstance(self.pool, str) else self.pool[0]
        return self.revision or (None if Path(first).exists() else first.partition("@")[2] or None)

    def read(self) -> Dataset:
        """Read the pool (cached by `datasets` and by `read_pool`)."""
        from hf_select.pool.read import read_pool

        return read_pool(
            self.pool,
            split=self.split,
            config=self.config,
            revision=self.revision,
            schema=self.view.schema,
            task_field=self.view.task_field,
            image_root=self.view.image_root,
        )


class Pipeline:
    """One run of a recipe on one pool, in one folder.

    Args:
        source: The pool.
        folder: Where the stages' records and results lie.
        device: Where models run; None chooses.
        shards: Into how many shards scoring is cut; None chooses.
        num_proc: Processes that share the shards, for scoring on a CPU.
        about: Further values of the subset's card, such as the command.
        without: Rows that no stage may choose: address -> reason.
    """

    def __init__(
        self,
        source: Source,
        folder: RunFolder,
        *,
        device: str | None = None,
        shards: int | None = None,
        num_proc: int | None = None,
        about: dict[str, Any] | None = None,
        without: Mapping[str, str] | None = None,
    ) -> None:
        self.without = dict(without or {})
        self.about = about or {}
        self.source = source
        self.folder = folder
        self.device = device
        self.shards = shards
        self.num_proc = num_proc

    @cached_property
    def pool(self) -> Dataset:
        """The pool, read once."""
        return self.source.read()

    @cached_property
    def pool_revision(self) -> str | None:
        """The commit that a Hub pool was read at; the revision as given where `datasets` kept none; None for files."""
        files = self.pool.cache_files if self.source.name.count("/") == 1 else []
        commits = {found[1] for file in files if (found := _READ_AT.search(file["filename"]))}
        return commits.pop() if len(commits) == 1 else self.source.named_revision

    def over(self, pool: Dataset, view: PoolView) -> Pipeline:
        """Return a pipeline in the same folder over rows that were chosen from this one's pool."""
        other = Pipeline(
            replace(self.source, view=view),
            self.folder,
            device=self.device,
            shards=self.shards,
            num_proc=self.num_proc,
            about=self.about,
        )
        other.pool = pool
        return other

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    def pool_identity(self) -> dict[str, Any]:
        """What decides every result that is computed from the pool alone."""
        known = {"pool": self.pool._fingerprint, "view": asdict(self.source.view)}
        return known | ({"without": digest(self.without)} if self.without else {})

    def check(self) -> pa.Table:
        """Look at every row; return the facts (row key, task, status, ...) of the whole pool, one row each."""
        from hf_select.pool.check import check_pool

        def work() -> dict[str, Any]:
            report = check_pool(self.pool, self.source.view)
            write_atomically(self.path / "check.txt", report.render() + "\n")
            return self._write_columns("facts.parquet", ()) | {"report": report.as_dict()}

        record = self.folder.stage("check", self.pool_identity(), work)
        facts = self._columns("facts.parquet")
        usable = sum(status == "ok" for status in facts["row_status"].to_pylist())
        if usable == 0:
            raise HFSelectError(
                f"no row of {self.source.name} can be used: see {self.path / 'check.txt'} for the reasons."
            )
        if record.summary["rows"] != len(facts):
            raise HFSelectError(
                f"{self.path / 'facts.parquet'} lost rows: remove it and its stage record, and run again."
            )
        return facts

    def choose(self, name: str, inputs: dict[str, Any], choose: Callable[[], Selection]) -> Selection:
        """Make a selection with `choose` and keep it under `name`; reused when `inputs` and the pool are the same."""
        from hf_select.sampling.selection import Selection

        def work() -> dict[str, Any]:
            selection = choose()
            selection.save(self.path / name)
            return {"rows": len(selection), "notes": list(selection.notes), "rejected": dict(selection.rejected)}

        self.folder.stage(name, self.pool_identity() | inputs, work)
        return Selection.load(self.path / name)

    def fit(self, name: str, model: str, revision: str | None, rows: Selection | None, config: FitConfig) -> Path:
        """Fine-tune `model` on the chosen rows, or on all for None; return the checkpoint's folder.

        The folder's name ends in a digest of everything that decides the weights, so a run with other settings never
        overwrites a model that took hours.
        """
        from hf_select.scoring.weights import weights_identity
        from hf_select.training.fit import fit

        inputs = self.pool_identity() | {
            "rows": None if rows is None else rows.table["key"].to_pylist(),
            "model": weights_identity(model, revision),
            "config": config.identity(),
        }
        out = self.path / "models" / f"{name}-{digest(inputs)[:8]}"

        def work() -> dict[str, Any]:
            result = fit(
                model,
                self.pool if rows is None else rows.apply(self.pool, view=self.source.view),
                out,
                config=config,
                view=self.source.view,
                revision=revision,
                device=self.device,
                pool_name=self.source.name,
            )
            return {
                "path": str(out.relative_to(self.path)),
                "rows": result.rows,
                "steps": result.steps,
                "loss": result.loss,
            }

        self.folder.stage(f"fit-{name}", inputs, work)
        return out

    def score(self, name: str, *scorers: Scorer) -> pa.Table:
        """Score the whole pool; return facts and score columns. A kill costs the shard that was open.

        Each of several scorers has a stage of its own, NAME-NUMBER-CLASS; then NAME puts their columns together.
        """
        told = [scorer.identity() for scorer in scorers]
        if len(scorers) > 1:
            for number, (scorer, identity) in enumerate(zip(scorers, told, strict=True), 1):
                inputs = self.pool_identity() | {"scorer": identity}
                stage = f"{name}-{number}-{type(scorer).__name__}"
                self.folder.stage(stage, inputs, lambda scorer=scorer: self._computed((scorer,))[1])
        inputs = self.pool_identity() | ({"scorer": told[0]} if len(told) == 1 else {"scorers": told})
        self.folder.stage(name, inputs, lambda: self._write_columns(f"{name}.parquet", scorers))
        return self._columns(f"{name}.parquet")

    def save(
        self, name: str, selection: Selection, about: dict[str, Any], *, scored: str, rows: Dataset | None = None
    ) -> StageRecord:
        """Write the chosen rows as a folder that `load_dataset` reads, and what publishing it needs to know.

        Args:
            name: The folder.
            selection: The rows.
            about: Values of the card.
            scored: The stage whose columns the selection was made from.
            rows: As in `write_subset`.
        """
        from hf_select.hub.subset import write_subset

        def work() -> dict[str, Any]:
            folder = write_subset(selection, self.pool, self.path / name, view=self.source.view, about=about, rows=rows)
            kept = {"about": about, "view": asdict(self.source.view), "folder": name, "scored": f"{scored}.parquet"}
            write_atomically(self.path / "about.json", json.dumps(kept, indent=1, ensure_ascii=False))
            return {"path": name, "rows": folder.rows, "files": list(folder.files), "bytes": folder.size}

        inputs = self.pool_identity() | {"keys": selection.table["key"].to_pylist(), "about": about}
        inputs |= {} if rows is None else {"rows": rows._fingerprint}
        return self.folder.stage(name, inputs, work)

    def _computed(self, scorers: tuple[Scorer, ...]) -> tuple[Dataset, dict[str, Any]]:
        """Facts and the scorers' columns, from the shards that are there, and what was computed."""
        from hf_select.scoring.run import ScoreStats, score_columns

        stats = ScoreStats()
        columns = score_columns(
            self.pool,
            *scorers,
            view=self.source.view,
            shards=self.shards,
            num_proc=self.num_proc,
            cache_dir=self.path / "shards",
            stats=stats,
        )
        return columns, {"rows": len(columns), **asdict(stats)}

    def _write_columns(self, file: str, scorers: tuple[Scorer, ...]) -> dict[str, Any]:
        import pyarrow.parquet as pq

        from hf_select.sampling.left_out import mark_left_out

        columns, summary = self._computed(scorers)
        with replacing(self.path / file) as part:
            pq.write_table(mark_left_out(columns.with_format("arrow")[:], self.without), part)
        return summary

    def _columns(self, file: str) -> pa.Table:
        import pyarrow.parquet as pq

        return pq.read_table(self.path / file)
