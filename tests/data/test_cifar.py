"""CIFAR-10 and CIFAR-100: files of the published form, made here."""

import tarfile

import numpy as np
import pytest
import torch

import bayesops as bo

FILES_10 = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


def records(seed, count, *classes):
    """Labels by class set, pixels ``[N, 3, 32, 32]``, and the bytes of their file."""
    generator = np.random.default_rng(seed)
    labels = [generator.integers(0, number, count, np.uint8) for number in classes]
    pixels = generator.integers(0, 256, (count, 3, 32, 32), np.uint8)
    content = b"".join(
        bytes(int(label[i]) for label in labels) + pixels[i].tobytes() for i in range(count)
    )  # fmt: skip
    return labels, pixels, content


@pytest.fixture
def folder_10(tmp_path):
    made = {}
    for seed, name in enumerate(FILES_10):
        *made[name], content = records(seed, 4, 10)
        (tmp_path / name).write_bytes(content)
    return tmp_path, made


@pytest.fixture
def folder_100(tmp_path):
    made = {}
    for seed, name in enumerate(("train.bin", "test.bin")):
        *made[name], content = records(seed, 6 - seed, 20, 100)
        (tmp_path / name).write_bytes(content)
    return tmp_path, made


def pack(folder, archive, inner):
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.glob("*.bin"), reverse=True):
            tar.add(path, f"{inner}/{path.name}")
    return archive


def test_cifar10_is_read_in_the_order_of_its_files(folder_10):
    folder, made = folder_10
    read = bo.data.cifar10(folder)
    assert read.name == "CIFAR-10"
    assert read.train_images.shape == (20, 3, 32, 32)
    assert read.train_images.dtype == torch.float32
    pixels = np.concatenate([made[name][1] for name in FILES_10[:5]])
    labels = np.concatenate([made[name][0][0] for name in FILES_10[:5]])
    np.testing.assert_array_equal(read.train_images.numpy(), pixels.astype(np.float32) / 255)
    assert read.train_labels.dtype == torch.int64
    assert read.train_labels.tolist() == labels.tolist()
    np.testing.assert_array_equal(read.test_images.numpy(), made["test_batch.bin"][1].astype(np.float32) / 255)
    assert read.test_labels.tolist() == made["test_batch.bin"][0][0].tolist()


def test_cifar10_from_its_archive_and_from_the_folder_that_it_unpacks_to(folder_10):
    folder, _ = folder_10
    read = bo.data.cifar10(folder)
    archive = pack(folder, folder / "cifar-10-binary.tar.gz", "cifar-10-batches-bin")
    outer = folder / "outer"
    (outer / "cifar-10-batches-bin").mkdir(parents=True)
    with tarfile.open(archive) as tar:  # by hand: the first releases of Python 3.10 and 3.11 have no safe extractall
        for member in tar:
            (outer / member.name).write_bytes(tar.extractfile(member).read())
    for other in (bo.data.cifar10(archive), bo.data.cifar10(outer)):
        assert torch.equal(other.train_images, read.train_images)
        assert torch.equal(other.test_labels, read.test_labels)


@pytest.mark.parametrize("coarse", [False, True])
def test_cifar100_has_two_labels(folder_100, coarse):
    folder, made = folder_100
    read = bo.data.cifar100(folder, coarse=coarse)
    for name, images, labels in (
        ("train.bin", read.train_images, read.train_labels), ("test.bin", read.test_images, read.test_labels)
    ):  # fmt: skip
        (superclasses, classes), pixels = made[name]
        np.testing.assert_array_equal(images.numpy(), pixels.astype(np.float32) / 255)
        assert labels.tolist() == (superclasses if coarse else classes).tolist()
    archive = pack(folder, folder / "cifar-100-binary.tar.gz", "cifar-100-binary")
    assert torch.equal(bo.data.cifar100(archive, coarse).test_labels, read.test_labels)


def test_a_missing_file_is_named(folder_10):
    folder, _ = folder_10
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file data_batch_3\.bin") as error:
        bo.data.cifar10(folder)
    assert str(folder) in str(error.value)
    archive = pack(folder, folder / "part.tar.gz", "cifar-10-batches-bin")
    with pytest.raises(FileNotFoundError, match=r"part\.tar\.gz: no file data_batch_3\.bin in the archive"):
        bo.data.cifar10(archive)
    with pytest.raises(FileNotFoundError, match=r"no file train\.bin"):
        bo.data.cifar100(folder)


@pytest.mark.parametrize("content", [b"", bytes(3072), bytes(2 * 3073 - 1)])
def test_a_file_that_is_cut_off_is_refused(folder_10, content):
    folder, _ = folder_10
    (folder / "test_batch.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"records of 3073 bytes wanted, got {len(content)} bytes") as error:
        bo.data.cifar10(folder)
    assert "test_batch.bin" in str(error.value)


def test_a_class_that_there_is_not_is_refused(folder_10, folder_100):
    folder, _ = folder_10
    (folder / "data_batch_1.bin").write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(ValueError, match=r"classes in \[0, 10\) wanted in byte 0 of each record, got 10"):
        bo.data.cifar10(folder)
    (folder / "train.bin").write_bytes(bytes([20, 5]) + bytes(3072))
    with pytest.raises(ValueError, match=r"classes in \[0, 20\)"):
        bo.data.cifar100(folder)


def test_an_archive_that_is_cut_off_is_refused(folder_100):
    folder, _ = folder_100
    archive = pack(folder, folder / "cut.tar.gz", "cifar-100-binary")
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="not a whole archive") as error:
        bo.data.cifar100(archive)
    assert str(archive) in str(error.value)
    with pytest.raises(ValueError, match="not a whole archive"):
        bo.data.cifar100(folder / "train.bin")
