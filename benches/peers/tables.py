"""Writes the table of a result where documents show it, between `<!-- peers -->` and `<!-- /peers -->`.

tables.py benches/results/FILE.json [DOCUMENT ...]
"""

import json
import pathlib
import re
import sys

PAIRS = [("fp32", "openvino fp32"), ("bf16", "openvino bf16"), ("int8", "openvino int8")]


def rows(result):
    yield "| network, threads | ours fp32 / OpenVINO | ours bf16 / OpenVINO | ours int8 / OpenVINO | ONNX Runtime fp32 |"
    yield "| --- | --- | --- | --- | --- |"
    for run in result["runs"]:
        for name, kinds in run["networks"].items():
            cells = [f"{name}, {run['threads']}"]
            for own, peer in PAIRS:
                ratio = kinds[own][f"ratio to {peer}"]
                cells.append(f"{kinds[own]['median_ms']:.3g} / {kinds[peer]['median_ms']:.3g} (**{ratio:.2f}**)")
            cells.append(f"{kinds['onnxruntime']['median_ms']:.3g}")
            yield "| " + " | ".join(cells) + " |"


def main():
    source = pathlib.Path(sys.argv[1])
    result = json.loads(source.read_text())
    peers = ", ".join(f"{name} {version}" for name, version in result["peers"].items())
    head = f"{result['machine']}; {result['date']}, commit {result['commit']}; {peers}. `{result['command']}`; `{source}`."
    table = "\n".join(["Milliseconds at batch 1, medians in turn; in bold the median of the ratios of one round. " + head, ""])
    table += "\n" + "\n".join(rows(result))
    for document in map(pathlib.Path, sys.argv[2:]):
        text = document.read_text()
        block = f"<!-- peers -->\n{table}\n<!-- /peers -->"
        new, count = re.subn(r"<!-- peers -->.*?<!-- /peers -->", lambda _: block, text, flags=re.DOTALL)
        if count != 1:
            sys.exit(f"cannot write the table to `{document}`: expected one `<!-- peers -->` … `<!-- /peers -->`, found {count}")
        document.write_text(new)


main()
