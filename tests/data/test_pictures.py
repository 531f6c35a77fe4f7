import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgerd.bundle.bundle import save_bundle
from edgerd.bundle.manifest import (
    GRAPH_FILE,
    Manifest,
    ModelRecord,
    PictureLimits,
    PreprocessSpec,
    TileSpec,
    TrainingRecord,
)
from edgerd.data.pictures import (
    PICTURE_SUFFIXES,
    decode_png,
    encode_png,
    load_bundle_pictures,
    read_mask,
    read_picture,
    write_png,
)
from edgerd.errors import BundleDamagedError, PictureError, StorageError


def smooth_picture(height=60, width=80, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def encoded(array, suffix, parameters=()):
    return cv2.imencode(suffix, array, list(parameters))[1].tobytes()


def saved(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def put(tmp_path):
    def write(content, name="picture.png"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_every_format_becomes_bgr(put, suffix):
    original = smooth_picture()
    picture = read_picture(put(encoded(original, suffix), f"a{suffix}"))
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert picture.shape == original.shape
    assert np.abs(picture.astype(int) - original).mean() < 8


def test_the_content_decides_not_the_name(put):
    original = smooth_picture()
    assert np.array_equal(read_picture(put(encoded(original, ".png"), "lied.jpg")), original)


def test_any_characters_in_the_path(put):
    original = smooth_picture()
    assert np.array_equal(read_picture(put(encoded(original, ".png"), "шайба 垫圈 ü.png")), original)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".jpg"])
def test_grey_is_repeated_in_three_channels(put, suffix):
    grey = smooth_picture()[..., 0]
    picture = read_picture(put(encoded(grey, suffix)))
    assert picture.shape == (*grey.shape, 3)
    assert np.array_equal(picture[..., 0], picture[..., 2])
    assert np.abs(picture[..., 1].astype(int) - grey).mean() < 8


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_16_bit_value_is_scaled_by_257_and_rounded(put, suffix, channels):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    stored = values if channels == 1 else np.repeat(values[..., None], channels, axis=2)
    picture = read_picture(put(encoded(stored, suffix)))
    expected = np.rint(values / 257).astype(np.uint8)
    assert all(np.array_equal(picture[..., channel], expected) for channel in range(3))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_alpha_is_dropped_and_the_stored_colours_stay(put, suffix):
    original = smooth_picture()
    alpha = np.zeros(original.shape[:2], np.uint8)
    assert np.array_equal(read_picture(put(encoded(np.dstack([original, alpha]), suffix))), original)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_unusual_png_modes(put, mode):
    source = Image.fromarray(smooth_picture()[..., ::-1]).convert(mode)
    picture = read_picture(put(saved(source, "PNG")))
    assert np.array_equal(picture[..., ::-1], np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 2}, {"quality": 100}])
def test_unusual_jpegs_are_whole(put, options):
    source = Image.fromarray(smooth_picture()[..., ::-1])
    assert read_picture(put(saved(source, "JPEG", **options))).shape == (60, 80, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_exif_orientation_turns_pictures_and_masks_alike(put, kind):
    exif = Image.Exif()
    exif[0x112] = 6  # a quarter turn clockwise for display
    original = np.zeros((40, 80, 3), np.uint8)
    original[:20, :40] = 255
    options = {"lossless": True} if kind == "WEBP" else {}
    path = put(saved(Image.fromarray(original), kind, exif=exif, **options))
    shown = np.rot90(original, -1)
    assert np.abs(read_picture(path).astype(int) - shown).max() < 40
    assert np.array_equal(read_mask(path), shown[..., 0] > 127)


def whole_files():
    original = smooth_picture()
    picture = Image.fromarray(original[..., ::-1])
    exif = Image.Exif()
    exif[0x112] = 1
    thumbnail = saved(picture.resize((20, 15)), "JPEG")
    return {
        "png": encoded(original, ".png"),
        "jpeg": encoded(original, ".jpg"),
        "progressive jpeg": saved(picture, "JPEG", progressive=True),
        "jpeg with a jpeg inside": saved(picture, "JPEG", exif=exif, comment=thumbnail),
        "bmp": encoded(original, ".bmp"),
        "tiff": encoded(original, ".tiff"),
        "tiff, directory first": saved(picture, "TIFF"),
        "webp": encoded(original, ".webp"),
        "lossless webp": saved(picture, "WEBP", lossless=True),
    }


@pytest.mark.parametrize("name", list(whole_files()))
def test_a_file_cut_anywhere_is_an_error_and_says_so_once(put, name, capfd):
    content = whole_files()[name]
    assert read_picture(put(content)).shape == (60, 80, 3)
    cuts = sorted({*range(0, len(content) - 2, max(1, len(content) // 40)), len(content) - 2, len(content) - 1})
    for cut in cuts:
        with pytest.raises(PictureError, match=r"picture\.png"):
            read_picture(put(content[:cut]))
    assert capfd.readouterr().err == ""


def test_a_jpeg_whose_end_was_never_written_to_disk(put):
    content = encoded(smooth_picture(), ".jpg")
    with pytest.raises(PictureError, match="no end marker"):
        read_picture(put(content[: len(content) // 2] + bytes(len(content) - len(content) // 2)))


def test_a_changed_byte_in_a_png(put, capfd):
    content = bytearray(encoded(smooth_picture(), ".png"))
    content[len(content) // 2] ^= 1
    with pytest.raises(PictureError, match="checksum of its IDAT"):
        read_picture(put(bytes(content)))
    assert capfd.readouterr().err == ""


def test_bytes_after_the_end_do_not_matter(put):
    original = smooth_picture()
    assert np.array_equal(read_picture(put(encoded(original, ".png") + b"more")), original)
    assert read_picture(put(encoded(original, ".jpg") + b"more")).shape == original.shape


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\0\0\0\0WEBP", b"II*\0"]),
)
@settings(max_examples=150, deadline=None)
def test_noise_is_never_a_picture(noise, start):
    with pytest.raises(PictureError):
        decode_png(start + noise)


@pytest.mark.parametrize(("name", "match"), [("absent.png", "No such file"), (".", "directory")])
def test_a_path_that_cannot_be_read(tmp_path, name, match):
    with pytest.raises(PictureError, match=match):
        read_picture(tmp_path / name)


def test_floating_point_pixels_are_refused(put):
    with pytest.raises(PictureError, match="float32"):
        read_picture(put(encoded(smooth_picture().astype(np.float32), ".tiff")))


def test_masks_are_cut_above_127(put):
    levels = np.array([[0, 127, 128, 255]], np.uint8)
    assert read_mask(put(encoded(levels, ".png"))).tolist() == [[False, False, True, True]]
    assert not read_mask(put(encoded(np.zeros((2, 2), np.uint8), ".png"))).any()


def test_a_mask_of_zeros_and_ones_is_refused_not_taken_for_empty(put):
    with pytest.raises(PictureError, match="largest value is 1") as caught:
        read_mask(put(encoded(np.eye(4, dtype=np.uint8), ".png")))
    assert "by 255" in str(caught.value)


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_png_round_trip(height, width, colour, seed):
    shape = (height, width, 3) if colour else (height, width)
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    assert np.array_equal(decode_png(encode_png(array)), array if colour else np.dstack([array] * 3))


def test_a_bool_mask_is_written_as_0_and_255(tmp_path):
    mask = np.eye(5, dtype=np.bool_)
    path = tmp_path / "new" / "folder" / "mask.png"
    write_png(path, mask)
    assert set(np.unique(read_picture(path))) == {0, 255}
    assert np.array_equal(read_mask(path), mask)


def test_writing_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        write_png(tmp_path / "file" / "a.png", np.zeros((2, 2), np.uint8))


class TestBundlePictures:
    spec = PreprocessSpec(height=32, width=64, tiles=TileSpec(rows=1, columns=2))

    def bundle(self, path, tiles):
        names = tuple(f"pictures/{index}.png" for index in range(len(tiles)))
        manifest = Manifest(
            id="0" * 64,
            created_at="2026-01-01T00:00:00Z",
            edgerd_version="0",
            model=ModelRecord(teacher="lite0", student="light", teacher_sha256=""),
            training=TrainingRecord(
                method="rd4ad",
                seed=0,
                epochs=1,
                steps=1,
                batch_size=1,
                n_train=1,
                n_holdout=1,
                n_skipped=0,
                data_fingerprint="",
            ),
            preprocess=self.spec,
            limits=PictureLimits(mean_low=0, mean_high=255, contrast_low=0),
            holdout=names,
            files={name: {"sha256": "0" * 64, "n_bytes": 0} for name in names},
        )
        files = {name: encode_png(tile) for name, tile in zip(names, tiles, strict=True)}
        return save_bundle(path / "bundle", manifest, files | {GRAPH_FILE: b"graph"})

    def test_tiles_come_back_picture_by_picture(self, tmp_path):
        tiles = np.stack([smooth_picture(32, 64, seed) for seed in range(4)])
        bundle = self.bundle(tmp_path, tiles)
        pictures = load_bundle_pictures(bundle, bundle.manifest.holdout, self.spec)
        assert np.array_equal(pictures, tiles.reshape(2, 2, 32, 64, 3))

    def test_no_pictures(self, tmp_path):
        assert load_bundle_pictures(self.bundle(tmp_path, []), (), self.spec).shape == (0, 2, 32, 64, 3)

    def test_half_a_picture(self, tmp_path):
        bundle = self.bundle(tmp_path, [smooth_picture(32, 64)])
        with pytest.raises(BundleDamagedError, match="1 pictures of single tiles"):
            load_bundle_pictures(bundle, bundle.manifest.holdout, self.spec)

    def test_another_size(self, tmp_path):
        bundle = self.bundle(tmp_path, [smooth_picture(64, 64)] * 2)
        with pytest.raises(BundleDamagedError, match="64x64"):
            load_bundle_pictures(bundle, bundle.manifest.holdout, self.spec)
