"""The documents of a benchmark: from a local folder, a snapshot in the Hub's cache, or the Hub at a revision.

Everything that can be missing is missed here, before a model is loaded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.evaluation.suite import Benchmark
from hf_select.pool.hub import commit_of, load_at
from hf_select.pool.images import RowImage

if TYPE_CHECKING:
    from datasets import Dataset

_SAVED = ("dataset_dict.json", "state.json")


@dataclass(frozen=True)
class Documents:
    """The documents of one task.

    Attributes:
        benchmark: What they belong to.
        rows: One row a document, in order, pictures undecoded on disk.
        source: Where they are from: a folder's own name, or "org/name@commit" ("cache" where that isn't known).
        pictures: Rows with the columns id and image, where the pictures are not beside the questions (GQA).
    """

    benchmark: Benchmark
    rows: Dataset
    source: str
    pictures: Dataset | None = None

    def digests(self) -> Iterator[str]:
        """32 hex digits a document, over every value of its row and the bytes of its pictures, in order.

        lmms-eval's own `doc_hash` is one constant. Cost: reads everything once, decodes nothing.
        """
        raw = self.rows.with_format(None)
        for table in raw.with_format("arrow").iter(batch_size=64):
            for row in table.to_pylist():
                known = hashlib.blake2b(digest_size=16)
                for name in sorted(row):
                    known.update(f"{name}={_plain(row[name])!r};".encode("utf-8", "surrogatepass"))
                yield known.hexdigest()


def documents(
    benchmark: Benchmark, *, data_root: str | os.PathLike[str] | None = None, limit: int | None = None
) -> Documents:
    """Find the documents of a task.

    Args:
        benchmark: Whose `dataset`, `config`, `revision` and `split` are read.
        data_root: Folder with a folder for each dataset, named "org/name" or "name", each with the Hub's own layout (a
            card with `configs:`, or Parquet files; a folder for each config where there is no card) or written by
            `save_to_disk`. Without one the Hub is asked, or its caches on this machine when HF_HUB_OFFLINE is set.
        limit: So many documents from the start.

    Raises:
        UsageError: No such folder, split or column; a limit that the metric doesn't allow.
        HFSelectError: The Hub doesn't have the set, doesn't give it to this account, or can't be reached.
    """
    check_limit(benchmark, limit)
    if data_root is not None:
        folder = _folder(benchmark, Path(data_root))
        rows = _local(folder, benchmark, benchmark.config)
        pictures = _local(folder, benchmark, benchmark.pictures) if benchmark.pictures else None
        source = folder.name
    else:
        commit = check_access(benchmark)
        rows = _hub(benchmark, benchmark.config, commit)
        pictures = _hub(benchmark, benchmark.pictures, commit) if benchmark.pictures else None
        source = f"{benchmark.dataset}@{commit or 'cache'}"
    missing = [name for name in benchmark.columns if name not in rows.column_names]
    if missing:
        raise UsageError(
            f"{benchmark.task} needs the column {missing[0]!r}, but {source} has {', '.join(rows.column_names)}: give "
            f"data with the columns of {benchmark.dataset}."
        )
    if not len(rows):
        raise UsageError(f"{source} has no document in split {benchmark.split!r} for {benchmark.task}.")
    return Documents(benchmark, rows.select(range(min(limit or len(rows), len(rows)))), source, pictures)


def check_limit(benchmark: Benchmark, limit: int | None) -> None:
    """Raise `UsageError` for a limit under which the task's metric isn't right."""
    if limit is None:
        return
    if limit < 1:
        raise UsageError(f"a limit of {limit} documents: give at least 1, or no limit.")
    if benchmark.limit == "even" and limit % 2:
        raise UsageError(f"{benchmark.task} is scored by pairs of documents: give an even limit instead of {limit}.")
    if benchmark.limit == "none":
        raise UsageError(f"{benchmark.task} divides by the size of the whole set: leave it out, or give no limit.")


def check_access(benchmark: Benchmark, *, data_root: str | os.PathLike[str] | None = None) -> str | None:
    """Raise as `documents` does where a set can't be had at all, without downloading it.

    Run it over a whole suite first, so that the last set's trouble isn't met after the first ones' downloads. Cost: two
    requests to the Hub.

    Returns:
        The commit that the revision means on the Hub now; for a local folder None, and offline the revision itself.
    """
    if data_root is not None:
        _folder(benchmark, Path(data_root))
        return None
    from huggingface_hub import HfApi, is_offline_mode
    from huggingface_hub.errors import HfHubHTTPError

    if is_offline_mode():
        return benchmark.revision
    try:
        HfApi().auth_check(benchmark.dataset, repo_type="dataset")
        return commit_of(benchmark.dataset, benchmark.revision, "dataset")
    except (HfHubHTTPError, OSError, HFSelectError) as error:
        raise _unreachable(benchmark, error) from error


def check_judge(benchmarks: Sequence[Benchmark]) -> None:
    """Raise `UsageError` where a task needs a judge and the environment names none."""
    needing = [benchmark.task for benchmark in benchmarks if benchmark.judge]
    if needing and not (os.environ.get("OPENAI_API_KEY") or os.environ.get("AZURE_API_KEY")):
        raise UsageError(
            f"{', '.join(needing)} need{'s' if len(needing) == 1 else ''} a language model as judge: set "
            "OPENAI_API_KEY (and MODEL_VERSION, OPENAI_API_URL, or API_TYPE=azure with AZURE_API_KEY), or leave these "
            "tasks out."
        )


def _folder(benchmark: Benchmark, root: Path) -> Path:
    found = [path for path in (root / benchmark.dataset, root / benchmark.dataset.split("/")[-1]) if path.is_dir()]
    if not found:
        short = benchmark.dataset.split("/")[-1]
        raise UsageError(
            f"{benchmark.task} needs the data set {benchmark.dataset}, but the data root {str(root)!r} has no folder "
            f"{benchmark.dataset} or {short}: put a copy there."
        )
    return found[0]


def _local(folder: Path, benchmark: Benchmark, config: str | None) -> Dataset:
    import datasets

    inner = folder / config if config is not None and (folder / config).is_dir() else None
    place = next((p for p in (inner, folder) if p is not None and any((p / name).is_file() for name in _SAVED)), None)
    try:
        if place is not None:
            loaded = datasets.load_from_disk(str(place))
        elif inner is not None and not (folder / "README.md").is_file():
            loaded = datasets.load_dataset(str(inner))
        else:
            loaded = datasets.load_dataset(str(folder), config)
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        told = " ".join(str(error).split())[:300]
        raise UsageError(f"{folder.name} can't be read as the data of {benchmark.task} ({told}).") from error
    return _split(loaded, benchmark, folder.name)


def _hub(benchmark: Benchmark, config: str | None, commit: str | None) -> Dataset:
    from huggingface_hub import is_offline_mode

    name = benchmark.dataset
    try:
        loaded = load_at(name, commit_of(name, commit, "dataset"), config=config, split=None, streaming=False)
    except HFSelectError as error:
        folder = _snapshot(name, commit) if is_offline_mode() else None
        if folder is not None:
            return _local(folder, benchmark, config)
        if isinstance(error, UsageError) and not is_offline_mode():
            told = " ".join(str(error).split())[:300]
            raise UsageError(f"{name} can't be read for {benchmark.task} ({told}).") from error
        raise _unreachable(benchmark, error) from error
    return _split(loaded, benchmark, name)


def _snapshot(name: str, revision: str | None) -> Path | None:
    """The files in the Hub's cache, which `load_dataset` doesn't look at while offline."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        return None


def _unreachable(benchmark: Benchmark, error: Exception) -> HFSelectError:
    from huggingface_hub import is_offline_mode

    name = benchmark.dataset
    if is_offline_mode():
        return HFSelectError(
            f"{benchmark.task} needs the data set {name}, which is not on this machine while HF_HUB_OFFLINE says to "
            "work offline: unset it, or give a folder of data sets with --data-root."
        )
    told = " ".join(str(error).split())[:200]
    return HFSelectError(
        f"{benchmark.task} needs the data set {name}, which the Hub doesn't give ({told}): where it is gated or "
        "private, run hf auth login with an account that has access; or give a folder of data sets with --data-root."
    )


def _split(loaded: Any, benchmark: Benchmark, source: str) -> Dataset:
    import datasets

    if isinstance(loaded, datasets.Dataset):
        return loaded
    if benchmark.split not in loaded:
        raise UsageError(
            f"{benchmark.task} needs the split {benchmark.split!r}, but {source} has {', '.join(sorted(loaded))}."
        )
    return loaded[benchmark.split]


def _plain(value: Any) -> Any:
    """A value of a row without the names of picture files, which differ from copy to copy."""
    if isinstance(value, dict) and set(value) == {"bytes", "path"}:
        return RowImage.of(value).digest
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
