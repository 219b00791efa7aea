"""Answers a list of cases with libraries that others wrote; started once for many cases.

usage: kernels.py DIRECTORY

DIRECTORY/cases.json is a list of
    {"op": NAME, "attributes": {...}, "inputs": [{"file": F, "shape": [...], "dtype": "float32" | "uint8" | "int64"} | null]}
NAME is an ONNX operator (onnxruntime), or `cv2.NAME` or `pillow.NAME` for a picture.
The answer of case i goes to DIRECTORY/i.out, its shape to DIRECTORY/shapes.json.
"""

import json
import pathlib
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from PIL import Image

OPSET = 19
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


def onnx_operator(op, attributes, arrays):
    names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
    node = helper.make_node(op, names, ["y"], **attributes)
    inputs = [
        helper.make_tensor_value_info(n, TYPES[str(a.dtype)], a.shape) for n, a in zip(names, arrays) if a is not None
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "case", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {n: a for n, a in zip(names, arrays) if a is not None})[0]


def picture(op, a, image):
    if op == "cv2.resize":
        return cv2.resize(image, (a["width"], a["height"]), interpolation=cv2.INTER_LINEAR)
    if op == "pillow.resize":
        return np.asarray(Image.fromarray(image, "F").resize((a["width"], a["height"]), Image.BILINEAR))
    if op == "cv2.medianBlur":
        return cv2.medianBlur(image, 2 * a["radius"] + 1)
    if op == "cv2.bilateralFilter":
        return cv2.bilateralFilter(
            image, 2 * a["radius"] + 1, a["range"], a["space"], borderType=cv2.BORDER_REPLICATE
        )
    if op == "cv2.Canny":
        return cv2.Canny(image, a["low"], a["high"], L2gradient=True)
    raise ValueError(f"unknown case {op}")


def main():
    folder = pathlib.Path(sys.argv[1])
    shapes = []
    for i, case in enumerate(json.loads((folder / "cases.json").read_text())):
        arrays = [
            None if x is None else np.fromfile(folder / x["file"], x["dtype"]).reshape(x["shape"]) for x in case["inputs"]
        ]
        op, attributes = case["op"], case["attributes"]
        out = picture(op, attributes, arrays[0]) if "." in op else onnx_operator(op, attributes, arrays)
        np.ascontiguousarray(out).tofile(folder / f"{i}.out")
        shapes.append(list(out.shape))
    (folder / "shapes.json").write_text(json.dumps(shapes))


main()
