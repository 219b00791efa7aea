"""Store the weights of an ONNX model as fp16, with a Cast to f32 in front of each use, and write metadata into it.

The arithmetic stays f32: only the stored weights are rounded (to nearest even, relative error at most 2^-11), so
the file halves and every runtime that knows Cast opens it. A weight that fp16 cannot hold (over 65504) is refused.

    python tools/store_fp16.py IN.onnx OUT.onnx --set sonoplex.classes=nerve,vessel ...
"""

import argparse
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def store_fp16(model: onnx.ModelProto) -> int:
    """Turns every f32 initializer into fp16 + Cast, under its old name; returns how many."""
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            kept.append(tensor)
            continue
        values = numpy_helper.to_array(tensor)
        if not np.all(np.abs(values) <= np.finfo(np.float16).max):
            sys.exit(f"cannot store `{tensor.name}` as fp16: expected values up to 65504, found {np.abs(values).max()}")
        stored = tensor.name + ".f16"
        kept.append(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [tensor.name], name=tensor.name + ".cast", to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    return len(casts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("output")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a metadata_props entry")
    args = parser.parse_args()

    model = onnx.load(args.model)
    count = store_fp16(model)
    del model.metadata_props[:]
    for entry in args.set:
        key, value = entry.split("=", 1)
        model.metadata_props.add(key=key, value=value)
    # Source lines of the exporter would tell about the machine it ran on, and nothing about the model.
    for part in [model.graph, *model.graph.node]:
        part.doc_string = ""
        del part.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, args.output)
    print(f"{args.output}: {count} tensors as fp16, {len(model.metadata_props)} metadata entries")


if __name__ == "__main__":
    main()
