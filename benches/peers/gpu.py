"""The U-Net of `benches/cuda.rs` in PyTorch on a GPU: what a step of it takes in fp16, channels last.

Eager as one CUDA graph (cuDNN's choice of kernels, `cudnn.benchmark`), and `torch.compile(mode="max-autotune")`. Each is
timed between two events on the device, 200 runs to warm up, then 2,000; nothing is copied. `gpu.py [RESULT.json]`.
"""

import json
import sys

import torch
from torch import nn

WARM_UP, RUNS = 200, 2000


class Twice(nn.Sequential):
    def __init__(self, ins, outs):
        convs = [nn.Conv2d(ins, outs, 3, padding=1), nn.Conv2d(outs, outs, 3, padding=1)]
        super().__init__(convs[0], nn.ReLU(inplace=True), convs[1], nn.ReLU(inplace=True))


class UNet(nn.Module):
    """32 channels and four levels, one plane in, one map out; batch normalisation is folded, as in ours."""

    def __init__(self, base=32, levels=4):
        super().__init__()
        widths = [base << level for level in range(levels + 1)]
        self.down = nn.ModuleList(Twice(a, b) for a, b in zip([1] + widths, widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.join = nn.ModuleList(Twice(2 * w, w) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(base, 1, 1)

    def forward(self, x):
        skips = []
        for i, down in enumerate(self.down):
            x = down(x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, join in zip(self.up, self.join):
            x = join(torch.cat([skips.pop(), up(x)], 1))
        return self.head(x)


def timed(run):
    times = []
    for i in range(WARM_UP + RUNS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        if i >= WARM_UP:
            times.append(1e3 * start.elapsed_time(end))
    times.sort()
    return {"p50_us": times[RUNS // 2], "p99_us": times[RUNS * 99 // 100], "max_us": times[-1]}


def graph(model, image):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            model(image)
    torch.cuda.current_stream().wait_stream(side)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        model(image)
    return recorded.replay


@torch.inference_mode()
def main():
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    model = UNet().half().cuda().to(memory_format=torch.channels_last).eval()
    image = torch.rand(1, 1, 256, 256, device="cuda", dtype=torch.half).to(memory_format=torch.channels_last)
    result = {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version(), "device": torch.cuda.get_device_name()}
    result["graph"] = timed(graph(model, image))
    print("PyTorch, fp16, channels last, CUDA graph:", result["graph"], flush=True)
    write(result)
    try:
        compiled = torch.compile(model, mode="max-autotune")
        for _ in range(5):
            compiled(image)
        result["compile"] = timed(lambda: compiled(image))
        print("torch.compile(mode=max-autotune):", result["compile"])
    except Exception as error:  # a machine without compiler
        result["compile"] = None
        print("torch.compile failed:", str(error).splitlines()[0])
    write(result)


def write(result):
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as file:
            json.dump(result, file, indent=2)


if __name__ == "__main__":
    main()
