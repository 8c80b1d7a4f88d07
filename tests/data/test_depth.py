"""Images with depths, from files of the published forms."""

import numpy as np
import pytest
import torch

import bayesops as bo

Image = pytest.importorskip("PIL.Image")
io = pytest.importorskip("scipy.io")


def write_make3d(folder, test_depths="Test134Depth"):
    """Upright images, bright below; depths 1 to 55 m from the first row to the last, 0 in the first column."""
    depth = np.broadcast_to(np.arange(1.0, 56)[:, None], (55, 305)).copy()
    depth[:, 0] = 0
    grid = np.stack([np.zeros_like(depth)] * 3 + [depth], -1)
    for images, depths, count in (("Train400Img", "Train400Depth", 3), ("Test134", test_depths, 2)):
        (folder / images).mkdir(parents=True)
        (folder / depths).mkdir()
        for number in range(count):
            pixels = np.zeros((284, 213, 3), np.uint8)
            pixels[142:] = 255
            Image.fromarray(pixels).save(folder / images / f"img-op{number}-p-015t000.jpg")
            io.savemat(folder / depths / f"depth_sph_corr-op{number}-p-015t000.mat", {"Position3DGrid": grid})
    return folder


@pytest.mark.parametrize("test_depths", ["Test134Depth", "Gridlaserdata"])
def test_make3d_is_read_from_its_folders(tmp_path, test_depths):
    scenes = bo.data.make3d(write_make3d(tmp_path, test_depths), size=(110, 61))
    assert (len(scenes.train), len(scenes.test)) == (3, 2)
    for image, depth in (scenes.train[2], scenes.test[0]):
        assert image.shape == (3, 110, 61)
        assert image.dtype == depth.dtype == torch.float32
        assert image[:, :50].max() < 0.05
        assert image[:, -50:].min() > 0.95
        assert depth.shape == (1, 110, 61)
        assert depth[0, :, 5].tolist() == [1.0 + row // 2 for row in range(110)]
    # Of 61 columns each stands for 5 of 305; the first for the third of them, which was measured.
    assert not scenes.train[0][1].isnan().any()
    native = bo.data.make3d(tmp_path, size=(55, 305)).train[0][1]
    assert native[0, :, 0].isnan().all()
    assert native[0, :, 1:].isfinite().all()


def test_make3d_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="Train400Img: no images"):
        bo.data.make3d(tmp_path)
    write_make3d(tmp_path)
    (tmp_path / "Train400Depth" / "depth_sph_corr-op1-p-015t000.mat").unlink()
    with pytest.raises(FileNotFoundError, match="depth_sph_corr-op1"):
        bo.data.make3d(tmp_path)


def test_make3d_refuses_another_mat_file(tmp_path):
    write_make3d(tmp_path)
    io.savemat(tmp_path / "Train400Depth" / "depth_sph_corr-op0-p-015t000.mat", {"other": np.zeros(3)})
    with pytest.raises(ValueError, match="Position3DGrid"):
        bo.data.make3d(tmp_path).train[0]


@pytest.mark.parametrize("size", [(0, 3), (3,), (2.5, 3)])
def test_a_size_is_two_ints(tmp_path, size):
    with pytest.raises(ValueError, match="make3d: argument 'size'"):
        bo.data.make3d(tmp_path, size)


def write_nyu(folder, numbers=((1, 3), (2,))):
    """Three images of 5 x 7, in MATLAB's order; their red is 10 times the row, depths 1 + row + column."""
    h5py = pytest.importorskip("h5py")
    rows, columns = np.mgrid[:5, :7]
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        image = np.stack([10 * rows, 0 * rows, 0 * rows]).astype(np.uint8)
        file["images"] = np.stack([image.transpose(0, 2, 1) + np.uint8(number) for number in range(3)])
        file["depths"] = np.stack([(1.0 + rows + columns).T.astype(np.float32) for _ in range(3)])
    io.savemat(folder / "splits.mat", {"trainNdxs": np.c_[numbers[0]].T, "testNdxs": np.c_[numbers[1]].T})
    return folder / "nyu_depth_v2_labeled.mat"


def test_nyu_depth_is_read_from_its_files(tmp_path):
    rooms = bo.data.nyu_depth_v2(write_nyu(tmp_path))
    assert (len(rooms.train), len(rooms.test)) == (2, 1)
    image, depth = rooms.train[1]  # the third image
    assert image.shape == (3, 5, 7)
    torch.testing.assert_close(image[0, :, 3] * 255, 2 + 10.0 * torch.arange(5))
    assert depth.shape == (1, 5, 7)
    assert depth[0, 2, 6] == 9
    small = bo.data.nyu_depth_v2(tmp_path / "nyu_depth_v2_labeled.mat", tmp_path / "splits.mat", (4, 6)).test[0]
    assert (small[0].shape, small[1].shape) == ((3, 4, 6), (1, 4, 6))


def test_nyu_splits_of_other_images_are_refused(tmp_path):
    file = write_nyu(tmp_path, numbers=((1, 4), (2,)))
    with pytest.raises(ValueError, match="numbers 1 to 3"):
        bo.data.nyu_depth_v2(file)


def test_nyu_depth_names_what_is_missing(tmp_path):
    file = tmp_path / "nyu_depth_v2_labeled.mat"
    with pytest.raises(FileNotFoundError, match=r"labeled\.mat: no such file"):
        bo.data.nyu_depth_v2(file)
    file.touch()
    with pytest.raises(FileNotFoundError, match=r"splits\.mat: no such file"):
        bo.data.nyu_depth_v2(file)
