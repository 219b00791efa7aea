"""Writes pictures of every kind with Pillow, and what Pillow reads back: images.py OUT [FOLDER_OF_MORE_PICTURES_AND_MASKS]

OUT/NAME.EXT       the file
OUT/NAME.EXT.raw   expected bytes: 8-bit grey or RGB, or the class indices of a mask
OUT/index.txt      one line each: kind (picture, mask), tolerance, width, height, channels, file
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

out = Path(sys.argv[1])
rows = []


def note(kind, path, expected, tolerance=0):
    expected = np.ascontiguousarray(expected, dtype=np.uint8)
    raw = out / (path.name + "." + kind + ".raw")
    raw.write_bytes(expected.tobytes())
    channels = 1 if expected.ndim == 2 else expected.shape[2]
    rows.append(f"{kind}\t{tolerance}\t{expected.shape[1]}\t{expected.shape[0]}\t{channels}\t{path}\t{raw}")


rng = np.random.default_rng(5)
y, x = np.mgrid[0:37, 0:53]
smooth = (127 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)).astype(np.uint8)
noise = rng.integers(0, 256, (37, 53), dtype=np.uint8)
color = np.dstack([smooth, 255 - smooth, (x * 4).astype(np.uint8)])
labels = ((x // 9 + y // 7) % 3).astype(np.uint8)


def picture(name, image, expected=None, tolerance=0, **options):
    path = out / name
    image.save(path, **options)
    if expected is None:
        back = Image.open(path)
        expected = np.array(back if back.mode in ("L", "RGB") else back.convert("RGB"))
    note("picture", path, expected, tolerance)


grey, rgb = Image.fromarray(noise), Image.fromarray(color)
picture("grey.png", grey)
picture("rgb.png", rgb)
picture("rgba.png", Image.fromarray(np.dstack([color, noise])), color)
picture("grey_alpha.png", Image.merge("LA", [grey, Image.fromarray(smooth)]), noise)
picture("palette.png", rgb.convert("P", palette=Image.ADAPTIVE, colors=100))
picture("bits.png", Image.fromarray(noise > 127), np.where(noise > 127, 255, 0))
deep = (noise.astype(np.uint16) << 8) | smooth
picture("deep.png", Image.fromarray(deep), (deep.astype(np.uint32) + 128) // 257)
picture("grey.jpg", Image.fromarray(smooth), tolerance=2, quality=90)
picture("rgb.jpg", rgb, tolerance=4, quality=95, subsampling=0)
picture("grey.tif", grey)
picture("rgb_lzw.tif", rgb, compression="tiff_lzw")
picture("grey_deflate.tiff", grey, compression="tiff_adobe_deflate")
picture("packbits.tif", rgb, compression="packbits")
picture("deep.tif", Image.fromarray(deep), (deep.astype(np.uint32) + 128) // 257)
picture("rgb.bmp", rgb)
picture("wrong_name.png", rgb, format="BMP")


def mask(name, image, expected, **options):
    path = out / name
    image.save(path, **options)
    note("mask", path, expected)


indexed = Image.fromarray(labels, "P")
indexed.putpalette([0, 0, 0, 230, 159, 0, 0, 0, 0] + [7] * 747)
mask("indexed_mask.png", indexed, labels)
mask("clear_mask.png", indexed, labels, transparency=0)
mask("partly_clear_mask.png", indexed, labels, transparency=bytes([0, 128, 255]))
for bits in (1, 2, 4):
    few = Image.fromarray(np.minimum(labels, 2**bits - 1), "P")
    few.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    mask(f"bits{bits}_mask.png", few, np.minimum(labels, 2**bits - 1), bits=bits)
mask("levels_mask.png", Image.fromarray(labels), labels)
white = np.where(labels == 1, 255, 0).astype(np.uint8)
mask("white_mask.png", Image.fromarray(white), white // 255)
mask("white_mask.tif", Image.fromarray(white), white // 255)
mask("bilevel_mask.png", Image.fromarray(white > 0), white // 255)
mask("black_mask.png", Image.fromarray(white * 0), white * 0)
mask("jpeg_mask.jpg", Image.fromarray(np.kron(white[::8, ::8], np.ones((8, 8), np.uint8))),
     np.kron(white[::8, ::8], np.ones((8, 8), np.uint8)) // 255, quality=95)

if len(sys.argv) > 2:
    more = Path(sys.argv[2])
    for path in sorted((more / "images").iterdir())[::17]:
        image = Image.open(path)
        note("picture", path, np.array(image if image.mode in ("L", "RGB") else image.convert("RGB")))
    for path in sorted((more / "masks").iterdir())[::17]:
        note("mask", path, np.array(Image.open(path)))

(out / "index.txt").write_text("\n".join(rows))
