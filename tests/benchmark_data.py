"""Tiny local copies of the benchmarks' data sets: the columns of the real ones, a few drawn pictures each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

Rows = list[dict[str, Any]]

COLOURS = ("red", "blue", "green", "yellow")
LETTERS = ("A", "B", "C", "D")


def number_picture(number: int, side: int = 56) -> Image.Image:
    """A picture that shows `number` as a text over a colour and a bar that say it too."""
    colour = ((number * 37) % 200, (number * 91) % 200, (number * 53) % 200)
    image = Image.new("RGB", (side, side), colour)
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, side - 8, (number % 8 + 1) * side // 8, side], fill=(255, 255, 255))
    draw.text((8, 16), str(number), fill=(255, 255, 255))
    return image


def docvqa(n: int = 8) -> Rows:
    return [
        {
            "questionId": str(i),
            "question": f"What is the number of form {i}?",
            "question_types": ["form"],
            "image": number_picture(i),
            "docId": i,
            "ucsf_document_id": f"u{i}",
            "ucsf_document_page_no": "1",
            "answers": [f"482{i}"],
            "data_split": "val",
        }
        for i in range(n)
    ]


def chartqa(n: int = 8) -> Rows:
    return [
        {
            "type": "human_test" if i < n // 2 else "augmented_test",
            "question": f"What is the value of bar {i}?",
            "answer": str(10 * (i + 1)),
            "image": number_picture(20 + i),
        }
        for i in range(n)
    ]


def soft_vqa(n: int = 4) -> Rows:
    """TextVQA and VizWiz: ten annotators' answers."""
    return [
        {
            "image": number_picture(i),
            "image_id": f"i{i}",
            "question_id": i,
            "question": f"what number is on sign {i}?",
            "answers": [str(i)] * 8 + ["unanswerable"] * 2,
            "ocr_tokens": [str(i)],
        }
        for i in range(n)
    ]


def vqav2(n: int = 4) -> Rows:
    return [
        {
            "image": number_picture(i),
            "question_id": i,
            "question": f"What number is on sign {i}?",
            "answers": [{"answer": str(i), "answer_confidence": "yes", "answer_id": at} for at in range(10)],
            "multiple_choice_answer": str(i),
        }
        for i in range(n)
    ]


def gqa(n: int = 4) -> Rows:
    return [
        {"id": f"q{i}", "imageId": f"p{i % 2}", "question": f"Is it {COLOURS[i]}?", "answer": "yes"} for i in range(n)
    ]


def gqa_pictures(n: int = 2) -> Rows:
    return [{"id": f"p{i}", "image": number_picture(i)} for i in range(n)]


def ocrbench(n: int = 4) -> Rows:
    kinds = ("Regular Text Recognition", "Scene Text-centric VQA", "Doc-oriented VQA", "Key Information Extraction")
    return [
        {
            "image": number_picture(i),
            "dataset": "IIIT5K",
            "question": "what is written in the image?",
            "question_type": kinds[i],
            "answer": [str(i)],
        }
        for i in range(n)
    ]


def ai2d(n: int = 4) -> Rows:
    return [
        {"image": number_picture(i), "question": "Which part is A?", "options": list(COLOURS), "answer": str(i)}
        for i in range(n)
    ]


def scienceqa(n: int = 4) -> Rows:
    return [
        {
            "image": number_picture(i),
            "question": "Which is heavier?",
            "choices": list(COLOURS),
            "answer": i,
            "hint": "Look at it." if i else "",
            "task": "closed choice",
        }
        for i in range(n)
    ]


def mme(n: int = 4) -> Rows:
    """Two questions a picture; half of them about perception, half about cognition."""
    return [
        {
            "question_id": f"color/{i // 2}.png",
            "image": number_picture(i // 2),
            "question": f"Is it {COLOURS[i % 2]}? Please answer yes or no.",
            "answer": ("Yes", "No")[i % 2],
            "category": "color" if i < n // 2 else "code_reasoning",
        }
        for i in range(n)
    ]


def pope(n: int = 4) -> Rows:
    return [
        {
            "id": str(i),
            "question_id": str(i),
            "question": f"Is there a {COLOURS[i]} dot in the image?",
            "answer": ("yes", "no")[i % 2],
            "image": number_picture(i),
            "category": "random",
        }
        for i in range(n)
    ]


def mmbench(n: int = 4) -> Rows:
    return [
        {
            "index": i,
            "image": number_picture(i),
            "question": "Which colour is it?",
            "hint": "nan",
            "answer": LETTERS[i],
            **dict(zip(LETTERS, COLOURS, strict=True)),
            "category": "attribute",
            "L2-category": "perception",
            "source": "drawn",
            "split": "dev",
        }
        for i in range(n)
    ]


def seedbench(n: int = 4) -> Rows:
    """The last question is about a video's frames."""
    return [
        {
            "image": [number_picture(i)] if i < n - 1 else [number_picture(i), number_picture(i + 1)],
            "question": "Which colour is it?",
            **{f"choice_{letter.lower()}": colour for letter, colour in zip(LETTERS, COLOURS, strict=True)},
            "answer": LETTERS[i],
            "data_type": "image" if i < n - 1 else "video",
            "question_id": str(i),
        }
        for i in range(n)
    ]


def realworldqa(n: int = 4) -> Rows:
    return [
        {"image": number_picture(i), "question": "Which?\nA. red\nB. blue", "answer": ("A", "2")[i % 2]}
        for i in range(n)
    ]


def mmstar(n: int = 4) -> Rows:
    return [
        {
            "index": i,
            "image": number_picture(i),
            "question": "Which colour?\nOptions: A: red, B: blue, C: green, D: yellow",
            "answer": LETTERS[i],
            "category": "math",
            "l2_category": "geometry",
        }
        for i in range(n)
    ]


def mmmu(n: int = 4) -> Rows:
    """The second question shows two pictures, the last one wants a number."""
    pictures = {f"image_{at}": None for at in range(3, 8)}
    return [
        {
            "id": f"validation_Math_{i}",
            "question": "What is <image 1>?" if i != 1 else "Compare <image 1> with <image 2>.",
            "options": str(list(COLOURS)) if i < n - 1 else "[]",
            "question_type": "multiple-choice" if i < n - 1 else "open",
            "answer": LETTERS[i] if i < n - 1 else "7",
            "image_1": number_picture(i),
            "image_2": number_picture(9) if i == 1 else None,
            **pictures,
        }
        for i in range(n)
    ]


SETS: dict[tuple[str, str | None, str], Callable[[], Rows]] = {
    ("lmms-lab-encoder/DocVQA", "DocVQA", "validation"): docvqa,
    ("lmms-lab-encoder/DocVQA", "InfographicVQA", "validation"): docvqa,
    ("lmms-lab-encoder/ChartQA", None, "test"): chartqa,
    ("lmms-lab-encoder/textvqa", None, "validation"): soft_vqa,
    ("lmms-lab-encoder/VizWiz-VQA", None, "val"): soft_vqa,
    ("lmms-lab-encoder/VQAv2", None, "validation"): vqav2,
    ("lmms-lab-encoder/GQA", "testdev_balanced_instructions", "testdev"): gqa,
    ("lmms-lab-encoder/GQA", "testdev_balanced_images", "testdev"): gqa_pictures,
    ("echo840/OCRBench", None, "test"): ocrbench,
    ("lmms-lab-encoder/ai2d", None, "test"): ai2d,
    ("lmms-lab-encoder/ScienceQA", "ScienceQA-IMG", "test"): scienceqa,
    ("lmms-lab-encoder/MME", None, "test"): mme,
    ("lmms-lab-encoder/POPE", None, "test"): pope,
    ("lmms-lab-encoder/MMBench", "en", "dev"): mmbench,
    ("lmms-lab-encoder/MMBench", "cn", "dev"): mmbench,
    ("lmms-lab-encoder/SEED-Bench", None, "test"): seedbench,
    ("lmms-lab-encoder/RealWorldQA", None, "test"): realworldqa,
    ("Lin-Chen/MMStar", None, "val"): mmstar,
    ("lmms-lab-encoder/MMMU", None, "validation"): mmmu,
} | {
    ("lmms-lab-encoder/LMMs-Eval-Lite", config, "lite"): rows
    for config, rows in {
        "docvqa_val": docvqa,
        "infovqa_val": docvqa,
        "chartqa": chartqa,
        "textvqa_val": soft_vqa,
        "vizwiz_vqa_val": soft_vqa,
        "vqav2_val": vqav2,
        "ai2d": ai2d,
        "mmbench_en_dev": mmbench,
        "mmbench_cn_dev": mmbench,
        "seedbench": seedbench,
    }.items()
}
"""(data set, configuration, split) -> its rows."""


def write(root: Path, names: Iterable[str] | None = None) -> Path:
    """Write the data sets called `names` (all without it) below `root` as the Hub has them: Parquet and a card."""
    from datasets import Dataset, Features, Value
    from datasets import Image as Picture

    configs: dict[str, list[str]] = {}
    for (name, config, split), make in SETS.items():
        if names is not None and name not in names:
            continue
        rows = make()
        made = Dataset.from_dict({key: [row[key] for row in rows] for key in rows[0]})
        nothing = {key for key, feature in made.features.items() if feature == Value("null")}
        made = made.cast(Features({k: Picture() if k in nothing else f for k, f in made.features.items()}))
        file = f"{config or 'data'}/{split}-00000-of-00001.parquet"
        (root / name / file).parent.mkdir(parents=True, exist_ok=True)
        made.to_parquet(root / name / file)
        entry = f"- config_name: {config or 'default'}\n  data_files:\n  - split: {split}\n    path: {file}\n"
        configs.setdefault(name, []).append(entry)
    for name, entries in configs.items():
        (root / name / "README.md").write_text("---\nconfigs:\n" + "".join(entries) + "---\n", encoding="utf-8")
    return root
