"""Reads DICOM with pydicom, and makes DICOM files whose pixels are known.

read FILE OUT   writes 8-bit frames (grey or RGB) to OUT, prints their shape and header values as JSON
shipped FOLDER  copies files that pydicom is shipped with to FOLDER, and writes NAME.raw as `read` does
make FOLDER     writes NAME.dcm and NAME.raw (the frames a reader must give) for every kind that ultrasound comes in
"""
import json
import sys
import warnings

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_color_lut, convert_color_space, pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit,
    JPEG2000Lossless, RLELossless,
)

warnings.simplefilter("ignore")


def read(path, out):
    d = pydicom.dcmread(path, force=True)
    a = pixel_array(d)
    if d.PhotometricInterpretation == "PALETTE COLOR":
        a = apply_color_lut(a, d)
        a = (a >> 8).astype(np.uint8) if a.dtype == np.uint16 else a
    frames = int(d.get("NumberOfFrames", 1))
    channels = 3 if a.shape[-1] == 3 and (d.SamplesPerPixel == 3 or d.PhotometricInterpretation == "PALETTE COLOR") else 1
    a.astype(np.uint8).tofile(out)
    print(json.dumps({
        "frames": frames, "width": int(d.Columns), "height": int(d.Rows), "channels": channels,
        "frame_time_ms": float(d.get("FrameTime", 0) or 0),
    }))


def shipped(folder):
    import contextlib, shutil
    from pathlib import Path
    from pydicom.data import get_testdata_file
    names = ["SC_rgb_jpeg_gdcm", "SC_jpeg_no_color_transform", "SC_jpeg_no_color_transform_2", "SC_rgb_jpeg", "SC_rgb_jpeg_app14_dcmd",
             "SC_rgb_dcmtk_+eb+cr", "SC_rgb_dcmtk_+eb+cy+n1", "SC_rgb_dcmtk_+eb+cy+np", "SC_rgb_dcmtk_+eb+cy+s4",
             "SC_rgb_small_odd_jpeg", "SC_rgb_gdcm_KY", "GDCMJ2K_TextGBR", "SC_ybr_full_422_uncompressed",
             "SC_rgb_small_odd_big_endian", "SC_rgb_rle_2frame", "image_dfl", "examples_rgb_color"]
    for name in names:
        source = get_testdata_file(name + ".dcm", download=False)
        if source:
            shutil.copy(source, Path(folder, name + ".dcm"))
            with contextlib.redirect_stdout(None):
                read(source, Path(folder, name + ".raw"))


def base(syntax, rows, columns, **values):
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = syntax
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = "2.25.7"
    d.Modality, d.PatientName = "US", "No^Body"
    d.Rows, d.Columns = rows, columns
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 8, 8, 7, 0
    for k, v in values.items():
        setattr(d, k, v)
    return d


def save(folder, name, d, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        d.save_as(f"{folder}/{name}.dcm", enforce_file_format=True)
    np.ascontiguousarray(expected, np.uint8).tofile(f"{folder}/{name}.raw")


def region(left, top, right, bottom, units, dx, dy):
    r = Dataset()
    r.RegionSpatialFormat, r.RegionDataType, r.RegionFlags = 1, 1, 0
    r.RegionLocationMinX0, r.RegionLocationMinY0, r.RegionLocationMaxX1, r.RegionLocationMaxY1 = left, top, right, bottom
    r.PhysicalUnitsXDirection, r.PhysicalUnitsYDirection = units
    r.PhysicalDeltaX, r.PhysicalDeltaY = dx, dy
    return r


def lut_words(values):
    return np.asarray(values, "<u2").tobytes()


def make(folder):
    g = np.random.default_rng(5)
    h, w = 13, 17  # odd on purpose: an odd frame needs padding
    grey = g.integers(0, 256, (h, w), np.uint8)
    rgb = g.integers(0, 256, (h, w, 3), np.uint8)
    pad = lambda b: b + b"\0" * (len(b) % 2)
    colour = dict(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)

    for name, syntax in [("explicit", ExplicitVRLittleEndian), ("implicit", ImplicitVRLittleEndian),
                         ("deflated", DeflatedExplicitVRLittleEndian)]:
        save(folder, name, base(syntax, h, w, PixelData=pad(grey.tobytes())), grey)
    d = base(ExplicitVRLittleEndian, h, w, PixelData=pad(grey.tobytes()))
    d.PhotometricInterpretation = "MONOCHROME1"
    save(folder, "monochrome1", d, 255 - grey)
    save(folder, "rgb", base(ExplicitVRLittleEndian, h, w, PixelData=pad(rgb.tobytes()), **colour), rgb)
    d = base(ExplicitVRLittleEndian, h, w, PixelData=pad(rgb.transpose(2, 0, 1).tobytes()), **colour)
    d.PlanarConfiguration = 1
    save(folder, "rgb_planar", d, rgb)

    # Several frames, big endian, 8 bits in words: the second begins in the middle of one.
    cine = g.integers(0, 256, (3, h, w), np.uint8)
    run = pad(cine.tobytes())
    d = base(ExplicitVRBigEndian, h, w, NumberOfFrames=3, PixelData=np.frombuffer(run, "<u2").astype(">u2").tobytes())
    d["PixelData"].VR = "OW"
    d.FrameTimeVector = [0, 40, 60]
    d.FrameIncrementPointer = 0x00181065
    d.SequenceOfUltrasoundRegions = [region(0, 0, 4, 4, (3, 3), 0.5, 0.5), region(1, 1, 16, 12, (3, 3), 0.02, 0.03),
                                     region(0, 0, 17, 13, (4, 3), 0.9, 0.9)]
    save(folder, "cine_big_endian", d, cine)

    deep = g.integers(0, 4096, (h, w)).astype(np.uint16)
    for name, syntax, order in [("deep", ExplicitVRLittleEndian, "<u2"), ("deep_big_endian", ExplicitVRBigEndian, ">u2")]:
        d = base(syntax, h, w, BitsAllocated=16, BitsStored=12, HighBit=11, PixelData=deep.astype(order).tobytes())
        d.SmallestImagePixelValue, d.LargestImagePixelValue = 0, 4095
        save(folder, name, d, np.round(255 * (deep / 4095)))
    d = base(ExplicitVRLittleEndian, h, w, BitsAllocated=16, BitsStored=12, HighBit=11, PixelData=deep.tobytes())
    low, high = float(deep.min()), float(deep.max())
    save(folder, "deep_found_range", d, np.round(255 * ((deep - low) / (high - low))))
    signed = g.integers(-1000, 1000, (h, w)).astype(np.int16)
    d = base(ExplicitVRLittleEndian, h, w, BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=1,
             PixelData=signed.tobytes(), RescaleSlope=2, RescaleIntercept=-10, WindowCenter=40, WindowWidth=400)
    x = 2.0 * signed - 10
    save(folder, "signed_window", d, np.round(255 * np.clip((x - 39.5) / 399 + 0.5, 0, 1)))

    table = g.integers(0, 65536, (3, 200)).astype(np.uint16)
    d = base(ExplicitVRLittleEndian, h, w, PixelData=pad(grey.tobytes()), PhotometricInterpretation="PALETTE COLOR")
    for i, c in enumerate(["Red", "Green", "Blue"]):
        setattr(d, f"{c}PaletteColorLookupTableDescriptor", [200, 20, 16])
        setattr(d, f"{c}PaletteColorLookupTableData", lut_words(table[i]))
    at = np.clip(grey.astype(int) - 20, 0, 199)
    save(folder, "palette16", d, np.stack([table[i][at] >> 8 for i in range(3)], -1))
    table8 = g.integers(0, 256, (3, 256), np.uint8)
    d = base(ExplicitVRLittleEndian, h, w, PixelData=pad(grey.tobytes()), PhotometricInterpretation="PALETTE COLOR")
    for i, c in enumerate(["Red", "Green", "Blue"]):
        setattr(d, f"{c}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(d, f"{c}PaletteColorLookupTableData", table8[i].tobytes())
    save(folder, "palette8", d, np.stack([table8[i][grey] for i in range(3)], -1))

    # Luma and chroma: full, and two pixels sharing theirs.
    ybr = convert_color_space(rgb, "RGB", "YBR_FULL")
    back = convert_color_space(ybr, "YBR_FULL", "RGB")
    d = base(ExplicitVRLittleEndian, h, w, PixelData=pad(ybr.tobytes()), **colour)
    d.PhotometricInterpretation = "YBR_FULL"
    save(folder, "ybr_full", d, back)
    even = ybr[:, :16].copy()
    even[:, 1::2, 1:] = even[:, 0::2, 1:]
    packed = np.stack([even[:, 0::2, 0], even[:, 1::2, 0], even[:, 0::2, 1], even[:, 0::2, 2]], -1)
    d = base(ExplicitVRLittleEndian, h, 16, PixelData=packed.tobytes(), **colour)
    d.PhotometricInterpretation = "YBR_FULL_422"
    save(folder, "ybr_422", d, convert_color_space(even, "YBR_FULL", "RGB"))

    for name, pixels, deepness in [("rle_grey", cine, 8), ("rle_rgb", np.stack([rgb, rgb[::-1]]), 8),
                                   ("rle_deep", np.stack([deep, deep[::-1]]), 16)]:
        d = base(ExplicitVRLittleEndian, h, w, NumberOfFrames=len(pixels), PixelData=pad(pixels.tobytes()))
        expected = pixels
        if pixels.ndim == 4:
            for k, v in colour.items():
                setattr(d, k, v)
        if deepness == 16:
            d.BitsAllocated, d.BitsStored, d.HighBit = 16, 12, 11
            d.SmallestImagePixelValue, d.LargestImagePixelValue = 0, 4095
            expected = np.round(255 * (pixels / 4095))
        d.CineRate = 25
        d.compress(RLELossless)
        save(folder, name, d, expected)

    smooth = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    picture = np.stack([smooth, smooth[::-1], 255 - smooth], -1)
    for name, pixels in [("j2k_grey", smooth), ("j2k_rgb", picture)]:
        d = base(ExplicitVRLittleEndian, 48, 64, PixelData=pixels.tobytes())
        if pixels.ndim == 3:
            for k, v in colour.items():
                setattr(d, k, v)
        d.compress(JPEG2000Lossless)
        save(folder, name, d, pixels)

    # JPEG made by OpenCV (JFIF, YCbCr), one frame cut into two fragments so that offsets are needed.
    import cv2
    frames = [picture, picture[:, ::-1].copy()]
    streams = [cv2.imencode(".jpg", f[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for f in frames]
    halves = [p for s in streams for p in (s[:200], s[200:])]
    halves = [p + b"\0" * (len(p) % 2) for p in halves]
    item = lambda b: b"\xfe\xff\x00\xe0" + len(b).to_bytes(4, "little") + b
    offset = (16 + len(halves[0]) + len(halves[1])).to_bytes(4, "little")
    for name, table in [("jpeg_offsets", b"\0\0\0\0" + offset), ("jpeg_no_offsets", b"")]:
        d = base(JPEGBaseline8Bit, 48, 64, NumberOfFrames=2, **colour)
        d.PhotometricInterpretation = "YBR_FULL_422"
        d.PixelData = item(table) + b"".join(map(item, halves))
        d["PixelData"].VR, d["PixelData"].is_undefined_length = "OB", True
        d.FrameTime = 50
        decoded = np.stack([cv2.imdecode(np.frombuffer(s, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1] for s in streams])
        save(folder, name, d, decoded)

    no = base(ExplicitVRLittleEndian, h, w)
    save(folder, "no_pixels", no, grey[:0])


if __name__ == "__main__":
    {"read": read, "shipped": shipped, "make": make}[sys.argv[1]](*sys.argv[2:])
