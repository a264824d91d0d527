"""The scorer as users meet it: columns, statuses, what is shared, and the same vectors whatever is around a row."""

import pickle
import subprocess
import sys

import datasets
import numpy as np
import pictures
import pytest
import tiny_encoders
import torch
import toys
from dialogues import chat, picture

import hf_select as hs
from hf_select.embedding.image import ImageEmbedding
from hf_select.errors import HFSelectError, UnknownName, UsageError
from hf_select.pool.images import RowImage
from hf_select.scoring.loaded import forget_loaded

COLUMNS = ["embedding", "embedding_status", "embedding_reason"]


class Means(torch.nn.Module):
    """Three numbers a picture, the means of its channels; notes the size of each batch."""

    def __init__(self, scale: float = 1.0, most: int = 99) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))
        self.batches: list[int] = []
        self.most = most

    def forward(self, pixels):
        self.batches.append(len(pixels))
        if len(pixels) > self.most:
            raise torch.OutOfMemoryError("no room")
        return pixels.mean((2, 3)) * self.scale


def pixels(image) -> np.ndarray:
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1)


def of(module, identity, process=pixels, **config):
    return ImageEmbedding.of(module, process, identity=identity, **config)


def shown(*images: RowImage):
    return chat((*images, "?"), "!")


def test_columns_and_statuses(dino):
    rows = [
        shown(picture()),
        chat("Say hi.", "Hi."),
        shown(RowImage.of(pictures.truncated())),
        shown(RowImage.of(pictures.encoded(picture("red", (400, 1)).pixels))),
        shown(picture(), RowImage.of(b"no picture at all")),
        chat((picture(), "?"), "!", status="invalid", reason="says the reader"),
    ]
    scorer = ImageEmbedding(model=dino, prefix="a_")
    assert scorer.adds == {
        "a_embedding": "fixed_size_list<float32>[32]",
        "a_embedding_status": "string",
        "a_embedding_reason": "string",
    }
    out = scorer.score(rows)
    statuses = ["ok", "no_image", "image_unreadable", "ok", "image_unreadable", "invalid"]
    assert out["a_embedding_status"] == statuses
    assert [v is None for v in out["a_embedding"]] == [s != "ok" for s in statuses]
    assert [bool(r) for r in out["a_embedding_reason"]] == [s != "ok" for s in statuses]
    assert np.allclose([np.linalg.norm(v) for v in out["a_embedding"] if v is not None], 1, atol=1e-6)


def test_what_the_processor_refuses_costs_its_row_only():
    def picky(image):
        if image.size == (10, 10):
            raise ValueError("too square\nreally")
        return pixels(image)

    out = of(Means(), "picky", picky).score([shown(picture(size=(10, 10))), shown(picture())])
    assert out["embedding_status"] == ["image_unprocessable", "ok"]
    assert out["embedding_reason"] == ["the image processor refuses image 'image in memory': too square", ""]


def test_a_row_with_several_pictures_is_the_mean_of_their_vectors(dino):
    red, blue = picture("red"), picture("blue")
    scorer = ImageEmbedding(model=dino)
    a, b, both = scorer.score([shown(red), shown(blue), shown(red, blue)])["embedding"]
    assert np.allclose(both, (a + b) / np.linalg.norm(a + b), atol=1e-6)
    raw = ImageEmbedding(model=dino, normalize=False)
    a, b, both = raw.score([shown(red), shown(blue), shown(red, blue)])["embedding"]
    assert np.allclose(both, (a + b) / 2, atol=1e-6)


def test_equal_pictures_pass_the_encoder_once_also_in_later_calls():
    module = Means()
    scorer = of(module, "shared", dim=3)
    data = pictures.plain("red")
    rows = [shown(RowImage.of(data)), shown(RowImage.of(data)), shown(RowImage.of(data), picture("blue"))]
    first = scorer.score(rows)["embedding"]
    seen = sum(module.batches)
    assert seen == 1 + 2  # the grey picture of the start, two different pictures of the rows
    again = scorer.score([shown(RowImage.of(data))])["embedding"]
    assert sum(module.batches) == seen
    assert np.array_equal(first[0], first[1]) and np.array_equal(first[0], again[0])


def test_the_same_vectors_in_any_batch_and_order(dino):
    rows = [shown(RowImage.of(toys.FORMATS["png"](at)[1])) for at in range(7)]
    vectors = []
    for micro_batch in (1, 3, 64):
        scorer = ImageEmbedding(model=dino, micro_batch=micro_batch)
        vectors.append(np.array(scorer.score(rows)["embedding"]))
        forget_loaded()
        vectors.append(np.array(scorer.score(rows[::-1])["embedding"])[::-1])
    for other in vectors[1:]:
        assert np.abs(other - vectors[0]).max() <= 1e-6


def test_pictures_of_different_shapes_are_batched_by_shape():
    module = Means()
    sizes = [(8, 6), (6, 8), (8, 6), (8, 6), (6, 8)]
    rows = [shown(RowImage.of(pictures.encoded(toys._noise(at).resize(size)))) for at, size in enumerate(sizes)]
    vectors = np.array(of(module, "shapes", dim=3, normalize=False).score(rows)["embedding"])
    assert sorted(module.batches[1:]) == [2, 3]
    for row, vector in zip(rows, vectors, strict=True):
        assert np.allclose(pixels(row.images[0].open()).mean((1, 2)), vector, atol=1e-4)


def test_out_of_memory_halves_the_batch_and_refuses_what_alone_is_too_large():
    rows = [shown(RowImage.of(pictures.plain((at, 0, 1)))) for at in range(5)]
    module = Means(most=2)
    out = of(module, "small", dim=3).score(rows)
    assert out["embedding_status"] == ["ok"] * 5
    assert module.batches[1:] == [5, 3, 2, 2, 1]
    module = Means()
    scorer = of(module, "none", dim=3)
    assert scorer.loaded is not None
    module.most = 0
    out = scorer.score(rows)
    assert set(out["embedding_status"]) == {"out_of_memory"} and out["embedding"] == [None] * 5


def test_zeros_and_infinities_are_statuses():
    black, white = shown(RowImage.of(pictures.plain("black"))), shown(RowImage.of(pictures.plain("white")))
    out = of(Means(), "zeros").score([black, white])
    assert out["embedding_status"] == ["zero_vector", "ok"]
    assert (
        out["embedding_reason"][0] == "the vector of image 'embedded image' is all zeros and can't be given unit length"
    )
    assert of(Means(), "zeros raw", normalize=False).score([black])["embedding"][0].tolist() == [0, 0, 0]
    big = of(Means(1e6), "big", normalize=False, storage="float16").score([white])
    assert big["embedding"] == [None] and big["embedding_reason"] == [
        "the vector has numbers that float16 can't hold: store it as float32"
    ]
    assert of(Means(float("inf")), "infinite").score([white])["embedding_status"] == ["non_finite"]


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_vectors_keep_their_type_through_score_map_streams_and_parquet(dino, tmp_path, storage):
    images = dict(enumerate(toys.pool(5).with_format("arrow")[:]["image"].to_pylist(), 1))
    pool = datasets.Dataset.from_list(toys.rows(6, images.get), features=toys.pool(1).features)
    scorer = ImageEmbedding(model=dino, storage=storage)
    feature = datasets.List(datasets.Value(storage), length=32)
    scored = hs.score(pool, scorer, cache_dir=tmp_path / "scores", shards=3, progress=False)
    assert scored.features["embedding"] == feature
    assert scored["embedding"][0] is None and scored["embedding_status"][0] == "no_image"
    assert scored.select(range(1, 6)).with_format("numpy")["embedding"][:].shape == (5, 32)

    mapped = pool.map(scorer, batched=True, batch_size=2)
    streamed = hs.score(pool.to_iterable_dataset(), scorer, cache_dir=tmp_path / "stream", progress=False)
    scored.to_parquet(tmp_path / "scored.parquet")
    read = datasets.Dataset.from_parquet(str(tmp_path / "scored.parquet"), cache_dir=str(tmp_path / "cache"))
    chosen = hs.score(pool.select([5, 0, 2]), scorer, cache_dir=tmp_path / "chosen", progress=False)
    for other in (mapped, streamed, read):
        assert other.features["embedding"] == feature
        assert other["embedding"][:] == scored["embedding"][:]
    assert chosen.features["embedding"] == feature
    assert chosen["embedding"][:] == [scored["embedding"][at] for at in (5, 0, 2)]
    assert toys.stored(mapped)[1:] == toys.stored(pool)[1:]


@pytest.mark.slow
def test_a_second_call_computes_nothing_and_imports_no_torch(dino, tmp_path):
    pool = toys.on_disk(toys.pool(4), tmp_path / "pool")
    hs.score(pool, ImageEmbedding(model=dino), cache_dir=tmp_path / "scores", progress=False)
    script = (
        "import sys, datasets, hf_select as hs\n"
        "from hf_select.scoring.stats import ScoreStats\n"
        f"pool, stats = datasets.load_from_disk({str(tmp_path / 'pool')!r}), ScoreStats()\n"
        f"scorer, folder = hs.ImageEmbedding(model={dino!r}), {str(tmp_path / 'scores')!r}\n"
        "out = hs.score(pool, scorer, cache_dir=folder, stats=stats)\n"
        "print(stats.computed, stats.reused, 'torch' in sys.modules, out.features['embedding'].length)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1", "False", "32"]


def test_the_identity_holds_what_changes_numbers_and_nothing_else(dino, tmp_path):
    scorer = ImageEmbedding(model=dino)
    assert scorer.identity() == ImageEmbedding(model=dino, device="cpu", micro_batch=3).identity()
    others = [{"pool": "mean"}, {"layer": -2}, {"normalize": False}, {"storage": "float16"}, {"prefix": "b_"}]
    other = str(tiny_encoders.dinov2(tmp_path, seed=1))
    assert (
        len(
            {
                s.identity()
                for s in [scorer, ImageEmbedding(model=other), *(ImageEmbedding(model=dino, **c) for c in others)]
            }
        )
        == 7
    )
    assert pickle.loads(pickle.dumps(scorer)).adds == scorer.adds
    assert of(Means(), "one").identity() != of(Means(), "two").identity()


def test_a_module_in_memory_is_known_by_its_identity(dino):
    from transformers import AutoImageProcessor, AutoModel

    model = AutoModel.from_pretrained(dino).train()
    processor = AutoImageProcessor.from_pretrained(dino, backend="pil")
    rows = [shown(picture()), shown(picture("blue"))]
    live = ImageEmbedding.of(model, processor, identity="my-dino-v1", pool="mean")
    assert live.adds["embedding"] == "fixed_size_list<float32>[32]"
    assert np.allclose(live.score(rows)["embedding"], ImageEmbedding(model=dino, pool="mean").score(rows)["embedding"])
    assert model.training and all(module.training for module in model.modules())
    assert "my-dino-v1" in live.identity()
    with pytest.raises(UsageError, match=r"'elsewhere' is not in this process's memory: call ImageEmbedding.of"):
        ImageEmbedding(model="given:elsewhere").identity()
    with pytest.raises(UsageError, match="identity is empty"):
        of(Means(), " ")


def test_a_wrong_dim_or_module_is_one_sentence():
    with pytest.raises(HFSelectError, match="gives vectors of 3 numbers where 4 were announced"):
        of(Means(), "wrong", dim=4).score([shown(picture())])
    with pytest.raises(UsageError, match="broken can't embed pictures from pixel values alone"):
        of(torch.nn.Linear(7, 2), "broken")
    with pytest.raises(UnknownName, match="unknown storage 'int8'"):
        of(Means(), "int8", storage="int8").adds  # noqa: B018


def test_maps_and_tokens_of_a_plain_module():
    class Map(torch.nn.Module):
        def forward(self, x):
            return x

    class Tokens(torch.nn.Module):
        def forward(self, x):
            return x.flatten(2).transpose(1, 2)

    row = shown(RowImage.of(pictures.encoded(toys._noise(3))))
    values = pixels(row.images[0].open())
    raw = {"normalize": False}
    assert np.allclose(
        of(Map(), "map", pool="mean", **raw).score([row])["embedding"][0], values.mean((1, 2)), rtol=1e-5
    )
    assert np.allclose(
        of(Tokens(), "tokens", pool="mean", **raw).score([row])["embedding"][0], values.mean((1, 2)), rtol=1e-5
    )
    assert np.allclose(of(Tokens(), "first", **raw).score([row])["embedding"][0], values[:, 0, 0])
    with pytest.raises(UsageError, match="no CLS token"):
        of(Map(), "map cls")


def test_a_hub_model_is_pinned_and_found_in_the_cache_offline(dino, tmp_path, monkeypatch):
    import shutil

    import huggingface_hub.constants as constants

    repo, commit = tmp_path / "models--org--dino", "b" * 40
    shutil.copytree(dino, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(constants, name, str(tmp_path), raising=False)
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    scorer = ImageEmbedding(model="org/dino")
    assert scorer.resolved == {"weights": {"hub": "org/dino", "commit": commit}, "dim": 32, "dtype": "float32"}
    rows = [shown(picture())]
    assert np.array_equal(scorer.score(rows)["embedding"], ImageEmbedding(model=dino).score(rows)["embedding"])
    with pytest.raises(
        HFSelectError, match=r"can't be reached and the cache doesn't hold the config.json of org/other"
    ):
        ImageEmbedding(model="org/other", revision="c" * 40).adds  # noqa: B018


def test_several_processes_give_the_same(dino, tmp_path):
    pool = toys.pool(6)
    scorer = ImageEmbedding(model=dino)
    here = hs.score(pool, scorer, cache_dir=tmp_path / "a", progress=False)
    there = hs.score(pool, scorer, cache_dir=tmp_path / "b", shards=2, num_proc=2, progress=False)
    assert np.allclose(here["embedding"][:], there["embedding"][:], atol=1e-6)
