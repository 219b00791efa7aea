"""Writes the three networks of the comparison with seeded weights, an input and onnxruntime's answer: models.py FOLDER

unet32_256    32 channels, 4 levels, 256 x 256: 24.1 GFLOP
mini16_128    16 channels, 3 levels, 128 x 128: 1.15 GFLOP
resnet34_256  segmentation_models_pytorch Unet with a resnet34, 256 x 256: 15.4 GFLOP
NAME_qdq.onnx is the same with 8 bits (Q/DQ, static quantisation of onnxruntime).
"""

import pathlib
import sys

import numpy as np
import onnxruntime as ort
import segmentation_models_pytorch as smp
import torch
from onnxruntime import quantization as quant
from torch import nn


def block(ins, outs):
    layers = []
    for channels in (ins, outs):
        layers += [nn.Conv2d(channels, outs, 3, padding=1, bias=False), nn.BatchNorm2d(outs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, base, levels):
        super().__init__()
        widths = [base << i for i in range(levels + 1)]
        self.down = nn.ModuleList([block(a, b) for a, b in zip([1] + widths, widths)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1])])
        self.dec = nn.ModuleList([block(2 * w, w) for w in reversed(widths[:-1])])
        self.head = nn.Conv2d(base, 1, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        skips = []
        for i, down in enumerate(self.down):
            x = down(self.pool(x) if i else x)
            skips.append(x)
        skips.pop()
        for up, dec in zip(self.up, self.dec):
            x = dec(torch.cat([up(x), skips.pop()], 1))
        return self.head(x)


class Noise(quant.CalibrationDataReader):
    def __init__(self, size):
        self.frames = iter([np.random.default_rng(i).standard_normal((1, 1, size, size), np.float32) for i in range(6)])

    def get_next(self):
        frame = next(self.frames, None)
        return None if frame is None else {"image": frame}


def settle(model, size):
    """Gives the batch normalisations the statistics of noise, so that values stay near one on the way."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.randn(2, 1, size, size))
    return model.eval()


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    resnet = lambda: smp.Unet("resnet34", encoder_weights=None, in_channels=1, classes=1)
    networks = {"unet32_256": lambda: UNet(32, 4), "mini16_128": lambda: UNet(16, 3), "resnet34_256": resnet}
    for name, make in networks.items():
        size = int(name.split("_")[1])
        torch.manual_seed(7)
        model = settle(make(), size)
        path = folder / f"{name}.onnx"
        image = torch.randn(1, 1, size, size)
        torch.onnx.export(
            model, image, path, opset_version=17, input_names=["image"], output_names=["logits"], dynamo=False
        )
        np.save(folder / f"{name}.input.npy", image.numpy())
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        np.save(folder / f"{name}.logits.npy", session.run(None, {"image": image.numpy()})[0])
        quant.quantize_static(path, folder / f"{name}_qdq.onnx", Noise(size), per_channel=True)


main()
