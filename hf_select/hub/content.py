"""What is published: a selection with what is known about it, from memory or from the folder of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import UsageError
from hf_select.hub.about import checked_gain

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is published.

    Attributes:
        selection: Which rows.
        about: Values of the card, see `hf_select.hub.about.About`.
        view: How the pool's rows are read.
        rows: The chosen rows in pick order, or a folder of Parquet files that hold them; not needed for keys.
        scored: The whole pool's columns that the sampler looked at, for others to choose again; None leaves them out.
    """

    selection: Selection
    about: Mapping[str, Any]
    view: PoolView
    rows: Dataset | Path | None = None
    scored: pa.Table | None = None

    @classmethod
    def of_run(
        cls,
        folder: str | Path,
        *,
        licences: Mapping[str, str | None] | None = None,
        gain: str | Path | None = None,
        scores: bool = True,
    ) -> Content:
        """Read what `hf-select run` kept in its folder for publishing.

        Args:
            folder: The run's `--out`.
            licences: Licence of each source, None where it is unknown; the source "" is the pool itself.
            gain: The comparison.json of an `hf-select eval`, for the card.
            scores: Whether to send what the choice was made from.

        Raises:
            UsageError: The folder holds no finished run, or the comparison is none.
        """
        import pyarrow.parquet as pq

        from hf_select.hub.replay import columns_to_share
        from hf_select.pool.view import PoolView
        from hf_select.sampling.selection import Selection

        folder = Path(folder)
        kept = folder / "about.json"
        if not kept.is_file():
            raise UsageError(f"{folder} holds no finished run: give the --out folder of an `hf-select run`.")
        try:
            known = json.loads(kept.read_text("utf-8"))
            about, subset = dict(known["about"]), folder / known["folder"]
            view, scored = PoolView(**known["view"]), folder / known["scored"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{kept} can't be read ({error}): run the same `hf-select run` again.") from error
        selection = Selection.load(subset)
        if licences:
            about["licences"] = {source or about["pool"]: licence for source, licence in licences.items()}
        if gain is not None:
            about["gain"] = _read_gain(Path(gain))
        columns = columns_to_share(selection, pq.read_table(scored), str(folder)) if scores else None
        return cls(selection=selection, about=about, view=view, rows=subset / "data", scored=columns)


def _read_gain(file: Path) -> dict[str, Any]:
    try:
        gain = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} can't be read as JSON ({error}): give the comparison of `hf-select eval`.") from error
    return checked_gain(gain, str(file))
