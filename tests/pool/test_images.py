import base64
import io
import os
import pickle
import warnings

import pictures
import pytest
from PIL import Image, ImageFile

from hf_select.pool.images import ImageProblem, RowImage


def image(tmp_path, name):
    pictures.write(tmp_path, name)
    return RowImage.of(f"img/{name}", tmp_path)


def problem(reference):
    with pytest.raises(ImageProblem) as caught:
        reference.open()
    return caught.value


def near(pixel, wanted, tolerance):
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, wanted, strict=True))


def test_exif_orientation_gives_the_upright_picture(tmp_path):
    opened = image(tmp_path, "exif6_40x20.jpg").open()
    assert opened.size == (20, 40)
    assert near(opened.getpixel((10, 2)), (0, 0, 255), 6)
    assert near(opened.getpixel((10, 37)), (255, 0, 0), 6)


@pytest.mark.parametrize(
    ("name", "pixel", "tolerance"),
    [
        pytest.param("cmyk.jpg", (255, 0, 0), 3, id="IMG-02"),
        pytest.param("grey16.png", (156, 156, 156), 2, id="IMG-03"),
        pytest.param("palette_transparent.png", (255, 255, 255), 1, id="IMG-04"),
        pytest.param("rgba_hidden.png", (255, 255, 255), 1, id="IMG-05"),
        pytest.param("bit1.png", (255, 255, 255), 0, id="IMG-19 one bit"),
        pytest.param("float.tiff", (128, 128, 128), 1, id="IMG-19 float"),
        pytest.param("anim3.gif", (255, 0, 0), 0, id="first frame"),
        pytest.param("gif_named.jpg", (255, 0, 0), 0, id="wrong extension"),
        pytest.param("px1x1.png", (9, 9, 9), 0, id="one pixel"),
    ],
)
def test_every_mode_becomes_the_same_rgb(tmp_path, name, pixel, tolerance):
    opened = image(tmp_path, name).open()
    assert opened.mode == "RGB"
    assert near(opened.getpixel((0, 0)), pixel, tolerance)


@pytest.mark.parametrize("name", ["palette_transparent.png", "rgba_hidden.png", "bit1.png", "noise32.jpg"])
def test_img_04_img_05_pixels_equal_those_of_transformers(tmp_path, name):
    transforms = pytest.importorskip("transformers.image_transforms")
    import numpy as np

    reference = image(tmp_path, name)
    theirs = transforms.convert_to_rgb(Image.open(io.BytesIO(reference.bytes())), return_numpy=True)
    assert np.array_equal(np.asarray(reference.open()), theirs)


def test_values_without_a_known_scale_are_refused(tmp_path):
    import numpy as np

    wide = Image.fromarray(np.array([[-5.0, 1e6]], np.float32))
    assert problem(RowImage.of(wide)).status == "unsupported_mode"


def test_img_08_missing_file_names_its_neighbour_and_is_not_swapped(tmp_path):
    pictures.write(tmp_path, "only_as_gif.gif")
    reference = RowImage.of("img/only_as_gif.jpg", tmp_path)
    status, reason = reference.problem()
    assert status == "image_missing"
    assert "only_as_gif.gif" in reason
    assert problem(reference).status == "image_missing"


def test_img_09_truncated_file_is_no_picture_even_where_pillow_was_told_to_fill_it_up(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert problem(image(tmp_path, "truncated.jpg")).status == "image_unreadable"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_img_11_zero_byte_file_is_named_with_its_size(tmp_path):
    fault = problem(image(tmp_path, "zero.jpg"))
    assert fault.status == "image_unreadable"
    assert "img/zero.jpg" in fault.reason
    assert "size 0" in fault.reason
    assert RowImage.of(b"").problem()[0] == "image_unreadable"


def test_a_page_is_no_picture(tmp_path):
    assert problem(image(tmp_path, "html_page.jpg")).status == "image_unreadable"


@pytest.mark.parametrize("side", [9000, 40000])
def test_decompression_bomb_is_refused_by_its_header(side):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert problem(RowImage.of(pictures.bomb(side))).status == "image_too_large"


def test_the_limit_is_on_pixels():
    reference = RowImage.of(pictures.plain((1, 2, 3), (11, 10)))
    assert reference.open(max_pixels=110).size == (11, 10)
    with pytest.raises(ImageProblem, match="110 pixels|limit of 109"):
        reference.open(max_pixels=109)


@pytest.mark.parametrize("url", ["https://example.com/a.png", "s3://bucket/a.png", "ftp://example.com/a.png"])
def test_urls_are_refused(url):
    assert RowImage.of(url).problem()[0] == "url_refused"
    assert problem(RowImage.of({"bytes": None, "path": url})).status == "url_refused"


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 5000, "\ud800.png", "no/such/file.png", ""])
def test_odd_paths_are_a_status(tmp_path, path):
    fault = problem(RowImage.of(path, tmp_path))
    assert fault.status in ("image_missing", "image_unreadable")
    assert len(fault.reason) < 300


def test_a_folder_and_a_pipe_are_no_pictures(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert RowImage.of("pipe.png", tmp_path).problem()[0] == "image_unreadable"
    assert RowImage.of(tmp_path).problem()[0] == "image_unreadable"


@pytest.mark.parametrize("value", [7, None, {}, {"bytes": None, "path": None}, object()])
def test_what_is_no_image_is_a_status(value):
    assert RowImage.of(value).problem()[0] == "image_unreadable"


def test_every_form_of_one_file_is_the_same_image(tmp_path):
    pictures.write(tmp_path, "red8x6.png")
    path = tmp_path / "img" / "red8x6.png"
    data = path.read_bytes()
    text = base64.b64encode(data).decode()
    forms = [
        path,
        str(path),
        f"file://{path}",
        data,
        bytearray(data),
        {"bytes": data, "path": None},
        {"bytes": None, "path": str(path)},
        text,
        f"data:image/png;base64,{text}",
        Image.open(path),
    ]
    references = [RowImage.of(form) for form in forms] + [RowImage.from_base64(text)]
    assert {reference.digest for reference in references} == {references[0].digest}
    assert {reference.open().tobytes() for reference in references} == {references[0].open().tobytes()}
    assert {reference.bytes() for reference in references} == {data}


def test_the_digest_is_of_the_file_not_of_the_pixels(tmp_path):
    pictures.write(tmp_path)
    first, second = (RowImage.of(f"img/{name}", tmp_path) for name in ("red8x6.png", "red8x6_copy.png"))
    assert first.open().tobytes() == second.open().tobytes()
    assert first.digest != second.digest


def test_a_picture_in_memory_has_the_digest_of_its_pixels():
    red, same, blue = (RowImage.of(Image.new("RGB", (4, 4), colour)) for colour in ("red", "red", "blue"))
    assert red.digest == same.digest != blue.digest
    assert Image.open(io.BytesIO(red.bytes())).getpixel((0, 0)) == (255, 0, 0)


def test_opening_leaves_a_given_picture_alone():
    given = Image.new("RGBA", (4, 4), (1, 2, 3, 0))
    assert RowImage.of(given).open().getpixel((0, 0)) == (255, 255, 255)
    assert given.mode == "RGBA"
    assert given.getpixel((0, 0)) == (1, 2, 3, 0)


def test_a_reference_travels_to_another_process(tmp_path):
    reference = pickle.loads(pickle.dumps(image(tmp_path, "truncated.jpg")))
    fault = problem(reference)
    assert pickle.loads(pickle.dumps(fault)).status == fault.status


def test_only_rasters_are_opened():
    """PostScript would start another program."""
    assert problem(RowImage.of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")).status == "image_unreadable"


def test_a_reason_never_carries_a_name_raw():
    status, reason = RowImage.of({"bytes": b"", "path": "\x1b[2Jgone.png"}).problem()
    assert status == "image_unreadable" and "size 0" in reason and "\x1b" not in reason
