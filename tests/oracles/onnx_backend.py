"""Writes the backend tests of the ONNX project as plain numbers.

usage: onnx_backend.py DIRECTORY

DIRECTORY/cases.json is a list of
    {"name", "operators", "rtol", "atol", "model": [start, length], "inputs": [TENSOR], "outputs": [TENSOR]}
with TENSOR {"name", "dtype", "shape", "whole", "data": [start, length]}: i64 where `whole`, else f32; ranges are bytes
of DIRECTORY/data.bin. A case whose tensors are neither has "skip" with the reason.
"""

import json
import pathlib
import sys
import warnings

import numpy
import onnx
from onnx import numpy_helper

warnings.filterwarnings("ignore")
import onnx.backend.test.case.node as node_cases  # noqa: E402

FOLDER = pathlib.Path(onnx.__file__).parent / "backend/test/data"
FLOATS = ("float16", "float32", "float64")


def stored_cases(kind):
    """Cases that lie as files: one model, perhaps several sets of data, of which the first is taken."""
    for folder in sorted((FOLDER / kind).iterdir()):
        if not (folder / "model.onnx").exists():
            continue
        model = onnx.load(folder / "model.onnx")
        weights = {t.name for t in model.graph.initializer}
        sets = []
        for side, declared in (("input", model.graph.input), ("output", model.graph.output)):
            values = []
            for i in range(len(list((folder / "test_data_set_0").glob(f"{side}_*.pb")))):
                tensor = onnx.TensorProto()
                tensor.ParseFromString((folder / f"test_data_set_0/{side}_{i}.pb").read_bytes())
                values.append(numpy_helper.to_array(tensor))
            names = [d.name for d in declared]
            # Some files list the weights among the inputs and give data for the others alone.
            if len(names) != len(values):
                names = [n for n in names if n not in weights]
            sets.append(list(zip(names, values)))
        yield f"{kind}/{folder.name}", model, sets[0], sets[1], 1e-3, 1e-7


def generated_cases():
    for case in node_cases.collect_testcases(None):
        if case.model is None or not case.data_sets:
            continue
        inputs, outputs = case.data_sets[0]
        names = [i.name for i in case.model.graph.input]
        yield case.name, case.model, list(zip(names, inputs)), list(
            zip([o.name for o in case.model.graph.output], outputs)
        ), case.rtol, case.atol


class Blob:
    def __init__(self, path):
        self.file, self.length = path.open("wb"), 0

    def add(self, data):
        start = self.length
        self.file.write(data)
        self.length += len(data)
        return [start, len(data)]


def tensor(blob, name, value):
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    if not isinstance(value, (numpy.ndarray, numpy.generic)):
        raise TypeError(type(value).__name__)
    value = numpy.asarray(value)
    dtype = str(value.dtype)
    if dtype in FLOATS:
        whole, data = False, value.astype(numpy.float32)
    elif value.dtype.kind in "iub" and dtype in ("bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "uint32"):
        whole, data = True, value.astype(numpy.int64)
    else:
        raise TypeError(dtype)
    data = numpy.ascontiguousarray(data).tobytes()
    return {"name": name, "dtype": dtype, "shape": list(value.shape), "whole": whole, "data": blob.add(data)}


def main():
    folder = pathlib.Path(sys.argv[1])
    blob, cases = Blob(folder / "data.bin"), []
    sources = [generated_cases(), stored_cases("pytorch-converted"), stored_cases("pytorch-operator")]
    for source in sources:
        for name, model, inputs, outputs, rtol, atol in source:
            operators = sorted({n.op_type for n in model.graph.node})
            case = {"name": name, "operators": operators, "rtol": rtol, "atol": atol}
            try:
                case["inputs"] = [tensor(blob, n, v) for n, v in inputs]
                case["outputs"] = [tensor(blob, n, v) for n, v in outputs]
                case["model"] = blob.add(model.SerializeToString())
            except TypeError as error:
                case["skip"] = f"tensors of type {error}"
            cases.append(case)
    (folder / "cases.json").write_text(json.dumps(cases))


main()
