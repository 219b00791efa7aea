"""Runs every NAME.onnx of a folder with ONNX Runtime on NAME.INPUT.npy, and writes NAME.out.npy beside them."""
import pathlib
import sys

import numpy
import onnxruntime

folder = pathlib.Path(sys.argv[1])
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 1
for model in sorted(folder.glob("*.onnx")):
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    feeds = {i.name: numpy.load(folder / f"{model.stem}.{i.name}.npy") for i in session.get_inputs()}
    output = session.run(None, feeds)[0]
    numpy.save(folder / f"{model.stem}.out.npy", numpy.ascontiguousarray(output, numpy.float32))
