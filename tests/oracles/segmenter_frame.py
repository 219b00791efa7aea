"""One frame of a recording as a grey PGM on standard output, read by OpenCV, pydicom or zlib.

    python segmenter_frame.py RECORDING INDEX
"""

import sys
import zlib

import numpy as np


def frame(path: str, index: int) -> np.ndarray:
    if path.endswith(".dcm"):
        import pydicom
        from pydicom.pixels import apply_color_lut

        data = pydicom.dcmread(path)
        pixels = data.pixel_array
        if data.PhotometricInterpretation == "PALETTE COLOR":
            pixels = (apply_color_lut(pixels, data) >> 8).astype(np.uint8)
        return pixels[index] if pixels.ndim == 4 else pixels
    if path.endswith(".mha"):
        with open(path, "rb") as file:
            raw = file.read()
        mark = b"ElementDataFile = LOCAL\n"
        start = raw.index(mark) + len(mark)
        header = dict(line.split(" = ", 1) for line in raw[:start].decode("latin1").splitlines() if " = " in line)
        width, height, frames = (int(n) for n in header["DimSize"].split())
        pixels = np.frombuffer(zlib.decompress(raw[start:]), np.uint8)
        return pixels.reshape(frames, height, width)[index]
    import cv2

    video = cv2.VideoCapture(path)
    for _ in range(index):
        video.grab()
    return video.read()[1][..., ::-1]


picture = frame(sys.argv[1], int(sys.argv[2]))
if picture.ndim == 3:
    red, green, blue = (picture[..., i].astype(np.uint32) for i in range(3))
    picture = ((77 * red + 150 * green + 29 * blue + 128) >> 8).astype(np.uint8)
sys.stdout.buffer.write(b"P5\n%d %d\n255\n" % (picture.shape[1], picture.shape[0]) + picture.tobytes())
