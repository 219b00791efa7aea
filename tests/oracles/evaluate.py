"""Scores of masks and of confidences, by scikit-learn and SimpleITK: evaluate.py FOLDER

FOLDER/cases.json   {"pairs": [{"mask", "truth": files of one byte a pixel, "width", "height", "spacing": [x, y]}],
                     "presence": {"confidence": [...], "there": [...], "weight": [...]}}
Standard output     {"pairs": [...], "pooled": {...}, "presence": {...}}

The surface of a mask is SimpleITK's LabelContour, on a picture with a rim of one empty pixel, so that the border of the picture
is a surface too; distances to it are those of its SignedMaurerDistanceMap.
"""

import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from sklearn.metrics import (accuracy_score, f1_score, jaccard_score, precision_score, recall_score, roc_auc_score,
                             roc_curve)

folder = Path(sys.argv[1])
cases = json.loads((folder / "cases.json").read_text())


def number(value):
    return None if np.isnan(value) else float(value)


def overlap(mask, truth):
    both = {"y_true": truth.ravel(), "y_pred": mask.ravel(), "zero_division": np.nan}
    return {
        "accuracy": number(accuracy_score(truth.ravel(), mask.ravel())),
        "precision": number(precision_score(**both)),
        "recall": number(recall_score(**both)),
        "specificity": number(recall_score(**both, pos_label=0)),
        # Where both are empty, these two are 1 by the competition's rule.
        "iou": number(jaccard_score(**{**both, "zero_division": 1.0})),
        "dice": number(f1_score(**{**both, "zero_division": 1.0})),
    }


def surface(mask, spacing):
    image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    image.SetSpacing(spacing)
    contour = sitk.LabelContour(image, fullyConnected=False)
    distance = sitk.Abs(sitk.SignedMaurerDistanceMap(contour, squaredDistance=False, useImageSpacing=True))
    return sitk.GetArrayFromImage(contour) > 0, sitk.GetArrayFromImage(distance)


def distances(mask, truth, spacing):
    if not mask.any() or not truth.any():
        return None
    (a, to_a), (b, to_b) = surface(mask, spacing), surface(truth, spacing)
    there, back = to_b[a], to_a[b]
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return [float(hd95), float(np.concatenate([there, back]).mean())]


pairs, masks, truths = [], [], []
for case in cases["pairs"]:
    shape = (case["height"], case["width"])
    mask, truth = (np.fromfile(folder / case[k], np.uint8).reshape(shape) for k in ("mask", "truth"))
    pairs.append({
        **overlap(mask, truth),
        "px": distances(mask, truth, [1.0, 1.0]),
        "mm": distances(mask, truth, case["spacing"]),
    })
    masks.append(mask.ravel())
    truths.append(truth.ravel())

presence = cases["presence"]
confidence, there, weight = (np.array(presence[k]) for k in ("confidence", "there", "weight"))
bins = np.minimum((confidence * 15).astype(int), 14)
gaps = [abs(there[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
fpr, tpr, _ = roc_curve(there, confidence)
print(json.dumps({
    "pairs": pairs,
    "pooled": overlap(np.concatenate(masks), np.concatenate(truths)),
    "presence": {
        "auc": float(roc_auc_score(there, confidence)),
        "weighted": float(roc_auc_score(there, confidence, sample_weight=weight)),
        "ece": float(sum(gaps)),
        "roc": [[float(x), float(y)] for x, y in zip(fpr, tpr)],
    },
}))
