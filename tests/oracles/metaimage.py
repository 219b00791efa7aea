"""A MetaImage reader of one page, and a maker of MetaImage files, both in numpy alone.

read FILE...    writes the upright 8-bit frames of each to FILE.raw8, prints a line of JSON each: shape and times
make FOLDER     writes one file for every orientation, kind of sample, byte order and compression
"""
import json
import os
import sys
import zlib

import numpy as np

KINDS = {"MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
         "MET_FLOAT": "f4", "MET_DOUBLE": "f8"}


def read(*paths):
    for path in paths:
        read_one(path, path + ".raw8")


def read_one(path, out):
    blob = open(path, "rb").read()
    end = blob.index(b"\n", blob.index(b"ElementDataFile")) + 1
    head = dict(tuple(p.strip() for p in line.split("=", 1)) for line in blob[:end].decode().splitlines() if "=" in line)
    name = head["ElementDataFile"]
    data = blob[end:] if name == "LOCAL" else open(os.path.join(os.path.dirname(path), name), "rb").read()
    if head.get("CompressedData") == "True":
        data = zlib.decompress(data)
    order = ">" if head.get("BinaryDataByteOrderMSB") == "True" else "<"
    dims = [int(v) for v in head["DimSize"].split()] + [1]
    channels = int(head.get("ElementNumberOfChannels", 1))
    a = np.frombuffer(data, order + KINDS[head["ElementType"]]).reshape(dims[2], dims[1], dims[0], channels)
    keep = [i for i in range(dims[2]) if head.get(f"Seq_Frame{i:04}_ImageStatus") != "INVALID"]
    times = [float(head.get(f"Seq_Frame{i:04}_Timestamp", "nan")) for i in keep]
    a = a[keep].astype(np.float64)
    kind = head["ElementType"]
    if kind == "MET_CHAR":
        a = a + 128
    elif kind != "MET_UCHAR":
        a = np.floor((a - a[0].min()) * (255.0 / (a[0].max() - a[0].min())) + 0.5)  # halves go up, not to even
    a = np.clip(a, 0, 255).astype(np.uint8)
    orientation = head.get("UltrasoundImageOrientation", "MF")
    if orientation[0] in "FN":
        a, orientation = a.transpose(0, 2, 1, 3), orientation[1] + orientation[0]
    if orientation[0] == "U":
        a = a[:, :, ::-1]
    if orientation[1] == "N":
        a = a[:, ::-1]
    np.ascontiguousarray(a).tofile(out)
    print(json.dumps({"frames": a.shape[0], "height": a.shape[1], "width": a.shape[2], "channels": channels,
                      "times": [t - times[0] for t in times] if np.all(np.isfinite(times)) else []}))


def make(folder):
    g = np.random.default_rng(11)

    def write(name, a, kind, channels=1, orientation=None, big=False, compressed=False, beside=None, more=""):
        n, h, w = a.shape[:3]
        data = a.astype((">" if big else "<") + KINDS[kind]).tobytes()
        data = zlib.compress(data) if compressed else data
        lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", f"BinaryDataByteOrderMSB = {big}",
                 f"CompressedData = {compressed}", f"DimSize = {w} {h} {n}", f"ElementNumberOfChannels = {channels}",
                 "ElementSpacing = 0.1 0.2 1", f"ElementType = {kind}"]
        if compressed:
            lines.append(f"CompressedDataSize = {len(data)}      ")
        if orientation:
            lines.append(f"UltrasoundImageOrientation = {orientation}")
        lines += [f"Seq_Frame{i:04}_Timestamp = {100 + 0.04 * i + 0.001 * (i % 2)}" for i in range(n)]
        text = "\n".join(lines) + "\n" + more + f"ElementDataFile = {beside or 'LOCAL'}\n"
        with open(os.path.join(folder, name), "wb") as f:
            f.write(text.encode() + (b"" if beside else data))
        if beside:
            with open(os.path.join(folder, beside), "wb") as f:
                f.write(data)

    grey = g.integers(0, 256, (3, 5, 7))
    for orientation in ["MF", "MN", "UF", "UN", "FM", "NM", "FU", "NU", "UNA"]:
        for compressed in [False, True]:
            write(f"{orientation}_{compressed}.mha", grey, "MET_UCHAR", orientation=orientation, compressed=compressed)
    for kind in KINDS:
        low = 0 if "U" in kind[4:6] else -100
        a = g.integers(low, 100, (3, 5, 7)) * (1 if "CHAR" in kind else 20)
        for big in [False, True]:
            write(f"{kind}_{big}.igs.mha", a, kind, big=big, orientation="MN", compressed=big)
    colour = g.integers(0, 256, (3, 5, 7, 3))
    write("colour.mha", colour, "MET_UCHAR", 3, "UN")
    write("beside.mhd", grey, "MET_UCHAR", beside="beside.raw")
    write("beside_zlib.mhd", grey, "MET_UCHAR", beside="beside.zraw", compressed=True)
    write("invalid.mha", grey, "MET_UCHAR", orientation="MF", more="Seq_Frame0001_ImageStatus = INVALID\n", compressed=True)


if __name__ == "__main__":
    {"read": read, "make": make}[sys.argv[1]](*sys.argv[2:])
