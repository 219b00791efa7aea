"""Writes tests/golden/surfaces.json: distances between random masks as MONAI has them.

    python evaluate_monai.py > tests/golden/surfaces.json

Needs `monai==1.6.1` with `torch` and `scipy`, too much for every run of the tests: so the answers are kept beside them, and the masks too,
as bits in rows, the first in the highest bit of the first byte, hexadecimal.
"""

import json
import warnings

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20261121)


def blob(height, width, part):
    """Noise, smoothed by shifting, above the level that leaves `part` of it."""
    noise = rng.normal(size=(height, width))
    for _ in range(6):
        for axis in (0, 1):
            noise = noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)
    return noise > np.quantile(noise, 1 - part)


def pair(kind, height, width):
    mask, truth = blob(height, width, 0.2), blob(height, width, 0.15)
    if kind == "shifted":
        truth = np.roll(mask, (3, -2), (0, 1))
    elif kind == "pixel":
        mask = np.zeros_like(mask)
        mask[rng.integers(height), rng.integers(width)] = True
    elif kind == "pixels":
        mask, truth = np.zeros_like(mask), np.zeros_like(truth)
        mask[0, 0] = truth[-1, -1] = True
    elif kind == "full":
        mask = np.ones_like(mask)
    elif kind == "specks":
        mask = rng.random((height, width)) < 0.08
    elif kind == "ring":
        y, x = np.mgrid[:height, :width]
        radius = np.hypot(y - height / 2, x - width / 2)
        mask, truth = (radius < 12) & (radius > 7), radius < 9
    elif kind == "same":
        truth = mask
    return mask, truth


def bits(mask):
    return np.packbits(mask.ravel()).tobytes().hex()


def numbers(mask, truth, spacing):
    a, b = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (mask, truth))
    hd95 = compute_hausdorff_distance(a, b, include_background=True, percentile=95, spacing=spacing)
    mean = compute_average_surface_distance(a, b, include_background=True, symmetric=True, spacing=spacing)
    return [float(hd95), float(mean)]


cases = []
for kind in ["blobs", "shifted", "pixel", "pixels", "full", "specks", "ring", "same"]:
    for height, width in [(37, 48), (1, 29), (24, 24)]:
        mask, truth = pair(kind, height, width)
        if not mask.any() or not truth.any():
            continue
        spacing = [round(float(s), 3) for s in rng.uniform(0.05, 0.4, 2)]
        cases.append({
            "kind": kind,
            "width": width,
            "height": height,
            "mask": bits(mask),
            "truth": bits(truth),
            "px": numbers(mask, truth, None),
            "rows_columns_mm": spacing,
            "mm": numbers(mask, truth, spacing),
        })
print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
