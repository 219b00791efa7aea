"""Reads packed data sets as docs/datasets.md has them, with NumPy and Pillow, and compares them with the folder.

    dataset.py FOLDER WHOLE.sonopack SIZED.sonopack TABLE.csv

TABLE.csv holds the run lengths of the masks of FOLDER, in the order of its pictures, at their own size.
"""

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

NEAR = 0.9


def packed(path):
    """Header, and for each entry its grey levels and its labels."""
    data = Path(path).read_bytes()
    magic, version, length = struct.unpack("<8sII", data[:16])
    assert (magic, version) == (b"SONOPACK", 1)
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    header = json.loads(data[16 : 16 + length])
    at, planes = 16 + length, []
    for entry in header["entries"]:
        shape = entry["size"]["height"], entry["size"]["width"]
        both = []
        for size in entry["bytes"]:
            both.append(np.frombuffer(zlib.decompress(data[at : at + size]), np.uint8).reshape(shape))
            at += size
        planes.append((np.cumsum(both[0], axis=1, dtype=np.uint8), both[1]))
    assert at == len(data) - 32
    return header, planes


def resized(gray, width, height):
    return np.asarray(Image.fromarray(gray.astype(np.float32)).resize((width, height), Image.BILINEAR))


def runs(text, shape):
    flat = np.zeros(shape[0] * shape[1], np.uint8)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2]):
        flat[start - 1 : start - 1 + length] = 1
    return flat.reshape(shape, order="F")


def main(folder, whole, sized, table):
    header, planes = packed(whole)
    small, small_planes = packed(sized)
    rows = Path(table).read_text().splitlines()
    width, height = small["size"]["width"], small["size"]["height"]
    thumbnails = []
    for i, (entry, (gray, labels)) in enumerate(zip(header["entries"], planes)):
        picture = np.asarray(Image.open(f"{folder}/images/{entry['id']}.png").convert("L"))
        mask = np.asarray(Image.open(f"{folder}/masks/{entry['id']}.png"))
        assert (gray == picture).all() and (labels == mask).all(), entry["id"]
        assert (runs(rows[i], mask.shape) == (mask == 1)).all(), f"runs of {entry['id']}"
        worst = np.abs(resized(picture, width, height) - small_planes[i][0]).max()
        assert worst <= 0.52, f"{entry['id']}: {worst} from Pillow"
        cover = [resized((mask == label) * 255, width, height) for label in range(3)]
        clear = np.sort(cover, axis=0)[-1] - np.sort(cover, axis=0)[-2] > 1
        assert (small_planes[i][1] == np.argmax(cover, axis=0))[clear].all(), f"small mask of {entry['id']}"
        flat = resized(picture, 64, 64).astype(np.float64).ravel()
        thumbnails.append(flat)
    near = np.corrcoef(thumbnails) > NEAR
    group = list(range(len(thumbnails)))
    for i, j in zip(*np.nonzero(np.triu(near, 1))):
        a, b = sorted((group[i], group[j]))
        group = [a if g == b else g for g in group]
    subjects = [entry["subject"] for entry in header["entries"]]
    assert subjects == [header["entries"][g]["id"] for g in group], "groups of near-copies"
    print(len(set(group)), "groups of", len(group))


main(*sys.argv[1:])
