"""Times this engine and its peers in turn, one run each, so that a drift of the machine meets all alike.

compare.py FOLDER [--threads N] [--runs N] [--json FILE]   FOLDER as models.py wrote it

Ours is `target/release/examples/infer_loop` on plans that `target/release/sonoplex build` makes, with its tactics timed
(cargo build --release --bins --example infer_loop). Printed are the median, the
fastest and the 90th percentile in milliseconds at batch 1, the ratio of each of ours to each peer (median of the ratios
of one round), the largest difference from onnxruntime as a share of its largest value, and the peak memory of a process
that loads the network and runs it five times.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
OURS = ["fp32", "bf16", "bf16-fast", "int8"]
# What ranges are taken from: the weights are random, so that their Dice says nothing and no budget is kept.
FRAMES = ROOT / "docs/phantom.png"


def peak_mb(process):
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


class OpenVino:
    def __init__(self, path, threads, image, precision):
        import openvino as ov

        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }
        self.request = ov.Core().compile_model(str(path), "CPU", options).create_infer_request()
        self.request.set_input_tensor(ov.Tensor(np.ascontiguousarray(image)))

    def run(self):
        start = time.perf_counter()
        self.request.infer()
        return (time.perf_counter() - start) * 1e3


class OnnxRuntime:
    def __init__(self, path, threads, image):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Its threads spin during a run alone, or they would take the processors from the next engine.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.feed = {self.session.get_inputs()[0].name: image}

    def run(self):
        start = time.perf_counter()
        self.session.run(None, self.feed)
        return (time.perf_counter() - start) * 1e3


class Ours:
    def __init__(self, path, threads, image):
        binary = ROOT / "target/release/examples/infer_loop"
        command = [binary, path, image, str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def peak_mb(self):
        return peak_mb(self.process.pid)


def make(kind, folder, name, threads):
    image_path = folder / f"{name}.input.npy"
    image = np.load(image_path)
    model, quantised = folder / f"{name}.onnx", folder / f"{name}_qdq.onnx"
    if kind in OURS:
        return Ours(plan_of(model, kind), threads, image_path)
    return {
        "openvino fp32": lambda: OpenVino(model, threads, image, "f32"),
        "openvino bf16": lambda: OpenVino(model, threads, image, "bf16"),
        "openvino int8": lambda: OpenVino(quantised, threads, image, "f32"),
        "onnxruntime": lambda: OnnxRuntime(model, threads, image),
    }[kind]()


def plan_of(model, precision):
    """The plan that `sonoplex build` makes of a model; made anew when this runs first."""
    plan = model.with_suffix(f".{precision}.plan")
    if plan not in BUILT:
        command = [ROOT / "target/release/sonoplex", "build", model, "-o", plan, "--precision", precision]
        if precision == "int8":
            command += ["--calibrate", FRAMES, "--budget", "0"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        BUILT.add(plan)
    return plan


BUILT = set()
PEERS = ["openvino fp32", "openvino bf16", "openvino int8", "onnxruntime"]


def memory(kind, folder, name, threads):
    """Peak memory in MiB; of a peer with Python and its libraries."""
    engine = make(kind, folder, name, threads)
    for _ in range(5):
        engine.run()
    return engine.peak_mb() if kind in OURS else peak_mb("self")


def difference(folder, name, precision):
    """Largest difference of the logits from onnxruntime's, by the largest of these."""
    out = folder / "out.npy"
    plan = plan_of(folder / f"{name}.onnx", precision)
    command = [ROOT / "target/release/sonoplex", "infer", plan]
    command += ["--input", f"image={folder / name}.input.npy", "--output", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    expected = np.load(folder / f"{name}.logits.npy")
    return float(np.abs(np.load(out) - expected).max() / np.abs(expected).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        print(memory(args.memory_of[1], args.folder, args.memory_of[0], args.threads))
        return
    report = {}
    for name in ["unet32_256", "mini16_128", "resnet34_256"]:
        engines = {kind: make(kind, args.folder, name, args.threads) for kind in PEERS + OURS}
        times = {kind: [] for kind in engines}
        order = list(engines)
        for round_number in range(args.runs + 8):
            for i in range(len(order)):
                kind = order[(round_number + i) % len(order)]
                # The threads of the engine before may spin a little before they sleep.
                time.sleep(0.02)
                times[kind].append(engines[kind].run())
        times = {kind: np.array(t[8:]) for kind, t in times.items()}
        print(f"{name}, {args.threads} threads, {args.runs} runs")
        own = report[name] = {}
        for kind, t in times.items():
            command = [sys.executable, __file__, args.folder, "--threads", str(args.threads), "--memory-of", name, kind]
            peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            row = {"median_ms": np.median(t), "min_ms": t.min(), "p90_ms": np.percentile(t, 90), "peak_mib": peak}
            if kind in OURS:
                row |= {f"ratio to {peer}": np.median(t / times[peer]) for peer in PEERS}
                row["difference"] = difference(args.folder, name, kind)
            own[kind] = {key: float(f"{value:.4g}") for key, value in row.items()}
            print(f"  {kind:14}", ", ".join(f"{key} {value:.3g}" for key, value in row.items()))
    if args.json:
        args.json.write_text(json.dumps({"threads": args.threads, "runs": args.runs, "networks": report}, indent=1) + "\n")


main()
