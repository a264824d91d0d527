"""A repository of the Hub at exactly one commit: which one a revision stands for, and the pool that is there."""

from __future__ import annotations

from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hf_select.errors import HFSelectError, UsageError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder, DatasetDict, IterableDataset, IterableDatasetDict

_TODO = {
    401: "run `hf auth login` again or correct HF_TOKEN",
    403: "log in with an account that may read it",
    429: "it asks to wait, run this again later",
}


def commit_of(repo: str, revision: str | None, kind: Literal["dataset", "model"]) -> str:
    """Return the commit that a branch, tag or commit of a repository stands for; None is the main branch.

    Raises:
        UsageError: There is no such repository or revision, or it may not be read.
        HFSelectError: The Hub can't be reached and the cache doesn't know the revision, or the Hub refuses.

    Cost: one request; none for a full commit sha or a revision in the cache while offline.
    """
    from huggingface_hub import constants, resolve_revision
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
        RevisionResolutionError,
    )

    at = f" at revision {revision}" if revision else ""
    try:
        return str(resolve_revision(repo, revision=revision, repo_type=kind).resolved)
    except RevisionNotFoundError as error:
        raise UsageError(f"the {kind} {repo} has no revision {revision!r}.") from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"there is no {kind} {repo} on the Hub that you may read, nor a folder of that name: check the name, accept"
            " its terms on the Hub, or log in with `hf auth login`."
        ) from error
    except RevisionResolutionError as error:
        raise HFSelectError(
            f"the Hub can't be reached and the cache doesn't hold {repo}{at}: connect once, give a full commit sha"
            " that is in the cache, or give a local folder."
        ) from error
    except HFValidationError as error:
        raise UsageError(f"{repo!r} is neither a local folder nor a Hub id such as org/name.") from error
    except JSONDecodeError as error:
        raise HFSelectError(
            f"{constants.ENDPOINT} doesn't answer as the Hub does, a proxy may stand between: check HF_ENDPOINT and"
            f" the network, then ask for {repo} again."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        todo = _TODO.get(status, "run this again later, or give a local folder")
        raise HFSelectError(f"the Hub refused to resolve {repo}{at} (HTTP {status}): {todo}.") from error


def load_at(
    repo: str, commit: str, *, config: str | None, split: str | None, streaming: bool
) -> Dataset | DatasetDict | IterableDataset | IterableDatasetDict:
    """Load a dataset as it is at a commit.

    `datasets.load_dataset` alone isn't enough: where anything goes wrong on the way it takes the newest copy in its
    cache, of whatever revision, and only says so in the log.

    Raises:
        UsageError: The repository, its configuration, split or files can't be read.
        HFSelectError: The Hub can't be reached, or the transfer broke off.
    """
    import datasets
    from huggingface_hub.errors import HTTPError

    try:
        builder = datasets.load_dataset_builder(repo, config, revision=commit)
        if builder.hash != commit:
            builder = _cached(builder, repo, commit, config)
        if streaming:
            return builder.as_streaming_dataset(split=split)
        builder.download_and_prepare()
        return builder.as_dataset(split=split)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise UsageError(
            f"no dataset {repo} can be read at {commit[:8]}: check its name and revision; where it is private or gated,"
            " accept its terms on the Hub and run `hf auth login` with an account that has access, or set HF_TOKEN."
        ) from error
    except (datasets.data_files.EmptyDatasetError, datasets.exceptions.DataFilesNotFoundError) as error:
        raise UsageError(f"{repo} holds no file that `datasets` reads: give a repository with data.") from error
    except datasets.exceptions.DatasetGenerationError as error:
        raise UsageError(f"{repo} can't be read: {_one_line(error.__cause__ or error)}") from error
    except ValueError as error:
        # `datasets` says in this way that a configuration or a split is unknown or has to be chosen.
        raise UsageError(f"{repo} can't be read: {_one_line(error)}") from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise UsageError(
            f"{repo} is made by a script, which `datasets` no longer runs: try its copy {repo}@refs/convert/parquet."
        ) from error
    except (OSError, HTTPError) as error:
        raise HFSelectError(
            f"reading {repo} from the Hub broke off ({_one_line(error)}): run the same again, what has arrived is kept."
        ) from error


def _cached(newest: DatasetBuilder, repo: str, commit: str, config: str | None) -> DatasetBuilder:
    """Return the copy of `commit` in the cache where `datasets` gave its newest one."""
    copies = list(Path(newest.cache_dir).parents[2].glob(f"{config or '*'}/*/{commit}"))
    if len(copies) != 1:
        raise HFSelectError(
            f"the Hub can't be reached and the cache doesn't hold {repo} at {commit[:8]}, only at"
            f" {str(newest.hash)[:8]}: connect once, or give a revision that is in the cache."
            if not copies
            else f"the cache holds several configurations of {repo} at {commit[:8]}: choose one with config=."
        )
    name, version, _ = copies[0].parts[-3:]
    return type(newest)(repo_id=repo, dataset_name=newest.dataset_name, config_name=name, version=version, hash=commit)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
