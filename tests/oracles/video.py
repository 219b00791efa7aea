"""Reads a video with OpenCV: one JSON line on stdout, the pixels (RGB, frame after frame) to OUT.

usage: video.py VIDEO OUT
"""
import json
import sys

import cv2

video, out = sys.argv[1:]
capture = cv2.VideoCapture(video, cv2.CAP_FFMPEG)
times, size = [], None
with open(out, "wb") as f:
    while True:
        ok, bgr = capture.read()
        if not ok:
            break
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        size = [bgr.shape[1], bgr.shape[0]]
        f.write(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).tobytes())
print(json.dumps({"frames": len(times), "size": size, "times_ms": times}))
