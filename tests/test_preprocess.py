import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgekit.preprocess as module
from edgekit.errors import BadInputError
from edgekit.interface import Preprocessing
from edgekit.preprocess import load_image, normalise, to_pixels

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def saved(folder: Path, image: Image.Image, name: str = "image.png", **options) -> Path:
    image.save(folder / name, **options)
    return folder / name


def gradient(height: int, width: int) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([rows % 256, columns % 256, (rows + columns) % 256], -1).astype(np.uint8))


def test_normalise_is_the_formula():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    given = normalise(pixels, Preprocessing(resolution=5))
    assert (given.shape, given.dtype) == ((1, 3, 5, 5), np.float32)
    for row, column, channel in np.ndindex(5, 5, 3):
        expected = (int(pixels[row, column, channel]) / 255 - MEAN[channel]) / STD[channel]
        assert given[0, channel, row, column] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_without_resizing_the_centre_is_cut_out_exactly():
    image = gradient(64, 80)  # shorter side int(56 / 0.875) = 64
    pixels = to_pixels(image, Preprocessing(resolution=56))
    assert np.array_equal(pixels, np.asarray(image)[4:60, 12:68])


def waves(height: int, width: int) -> Image.Image:
    """Away from 0 and 255, where Pillow cuts off between its two passes."""
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([128 + 80 * np.sin(x / 9) for x in (rows, columns, rows + 2 * columns)], -1).astype(np.uint8))


@pytest.mark.parametrize(("height", "width"), [(100, 300), (300, 100), (37, 41), (256, 256), (1, 7)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_the_shorter_side_is_resized_then_cropped(height, width, interpolation):
    image = waves(height, width)
    pixels = to_pixels(image, Preprocessing(resolution=56, interpolation=interpolation))
    assert (pixels.shape, pixels.dtype) == ((56, 56, 3), np.uint8)
    factor = 64 / min(height, width)
    new_height, new_width = max(64, round(height * factor)), max(64, round(width * factor))
    # torch's antialiased resampling is written independently of Pillow's
    import torch

    tensor = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(tensor, (new_height, new_width), mode=interpolation, antialias=True, align_corners=False)
    top, left = (new_height - 56) // 2, (new_width - 56) // 2
    expected = resized[0, :, top : top + 56, left : left + 56].permute(1, 2, 0).clamp(0, 255).numpy()
    assert np.abs(pixels.astype(float) - expected).max() <= 1.5  # Pillow rounds to 8 bits after each of its two passes


def test_rows_are_resized_before_columns_whatever_the_shape():
    """Pillow 13 would begin with the columns of a picture this tall."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (71, 33, 3), np.uint8))
    rows_first = image.resize((27, 71), Image.Resampling.BICUBIC).resize((27, 58), Image.Resampling.BICUBIC)
    assert np.array_equal(to_pixels(image, Preprocessing(resolution=24)), np.asarray(rows_first)[17:41, 1:25])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(tmp_path, orientation):
    upright = gradient(8, 12)
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(saved(tmp_path, stored, exif=exif))
    assert np.array_equal(np.asarray(loaded), np.asarray(upright))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = gradient(9, 9).convert(mode)
    loaded = load_image(saved(tmp_path, image, "image.tif" if mode == "CMYK" else "image.png"))
    assert (loaded.mode, loaded.size) == ("RGB", (9, 9))
    if mode == "L":
        assert np.array_equal(np.asarray(loaded), np.repeat(np.asarray(image)[..., None], 3, -1))


def test_sixteen_bits_are_refused_rather_than_cut_off(tmp_path):
    file = saved(tmp_path, Image.fromarray(np.full((4, 4), 40_000, np.uint16)))
    with pytest.raises(BadInputError, match=r"image\.png has more than 8 bits a channel"):
        load_image(file)


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    file = saved(tmp_path, gradient(100, 101))
    monkeypatch.setattr(module, "_MAX_PIXELS", 10_000)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(BadInputError, match="101 x 100 pixels") as caught:
        load_image(file)
    assert caught.value.hint == "scale it down first"


def test_a_huge_file_is_refused_before_it_is_read_whole(tmp_path, monkeypatch):
    file = saved(tmp_path, gradient(100, 101))
    monkeypatch.setattr(module, "_MAX_FILE_BYTES", 100)
    with pytest.raises(BadInputError, match=r"image\.png has more than 0 MB"):
        load_image(file)


def test_a_long_thin_picture_is_refused_before_it_is_resized():
    """The file has a few hundred bytes; 64 x 6,400,000 pixels would take a gigabyte."""
    with pytest.raises(BadInputError, match="1 x 100000 pixels would be resized to 64 x 6400000"):
        to_pixels(Image.new("RGB", (1, 100_000)), Preprocessing(resolution=56))


def test_formats_that_need_other_programs_are_not_opened(tmp_path):
    file = tmp_path / "image.eps"
    gradient(8, 8).save(file, "eps")
    with pytest.raises(BadInputError, match=r"cannot read the image image\.eps") as caught:
        load_image(file)
    assert caught.value.why.startswith("it is none of JPEG, PNG")


def png() -> bytes:
    stream = io.BytesIO()
    gradient(40, 40).save(stream, "png")
    return stream.getvalue()


@pytest.mark.parametrize("content", [b"", b"not an image", png()[:60], png()[:-40], b"\xff\xd8\xff\xe0 a jpeg, it says"])
def test_what_is_no_image_is_refused(tmp_path, content):
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with pytest.raises(BadInputError, match=r"cannot read the image photo\.jpg") as caught:
        load_image(file)
    assert caught.value.exit_code == 3
    assert caught.value.why


def test_a_folder_or_nothing_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "no.jpg"):
        with pytest.raises(BadInputError, match="cannot read the image"):
            load_image(place)
