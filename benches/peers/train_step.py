"""Seconds of one training step in PyTorch: the network, the loss and the batch of `cargo bench --bench step` in train/."""

import statistics
import time

import torch
from torch import nn

LEVELS, BASE, BATCH, SIDE, ROUNDS = 3, 16, 8, 128, 12


def block(inputs, outputs):
    layers = []
    for c in (inputs, outputs):
        layers += [nn.Conv2d(c, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        width = [BASE << level for level in range(LEVELS + 1)]
        self.down = nn.ModuleList(block(a, b) for a, b in zip([1, *width], width))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in width[:-1])
        self.joins = nn.ModuleList(block(2 * w, w) for w in width[:-1])
        self.drop = nn.Dropout2d(0.1)
        self.logits = nn.Conv2d(BASE, 1, 1)
        self.presence = nn.Conv2d(width[-1], 1, 1)

    def forward(self, x):
        skips = []
        for level, down in enumerate(self.down):
            x = down(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        presence = self.presence(x.mean((2, 3), keepdim=True)).flatten(1)
        x = self.drop(skips.pop())
        for up, join in reversed(list(zip(self.ups, self.joins))):
            x = join(torch.cat([skips.pop(), up(x)], 1))
        return self.logits(x).float(), presence.float()


def step(network, optimizer, picture, truth, mixed):
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        logits, presence = network(picture)
    bce = nn.functional.binary_cross_entropy_with_logits
    p = logits.sigmoid()
    both, all = (p * truth).sum((2, 3)), p.sum((2, 3)) + truth.sum((2, 3))
    dice = 1 - (2 * both + 1) / (all + 1)
    loss = bce(logits, truth) + dice.mean() + 0.2 * bce(presence, torch.ones_like(presence))
    loss.backward()
    for weights in network.parameters():
        nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()


def measure(name, layout, mixed):
    torch.manual_seed(1)
    network = UNet().to(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    truth = (torch.rand(BATCH, 1, SIDE, SIDE) > 0.9).float()
    seconds = []
    for _ in range(ROUNDS):
        picture = torch.rand(BATCH, 1, SIDE, SIDE).to(memory_format=layout)
        start = time.perf_counter()
        step(network, optimizer, picture, truth, mixed)
        seconds.append(time.perf_counter() - start)
    print(f"{name}  {statistics.median(seconds):.3f} s", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure("PyTorch, fp32                ", torch.contiguous_format, False)
    measure("PyTorch, fp32, channels last ", torch.channels_last, False)
    measure("PyTorch, mixed, channels last", torch.channels_last, True)
