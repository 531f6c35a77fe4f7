"""Judge the frames of a camera that OpenCV reads: python opencv_camera.py BUNDLE 0 [RUNTIME]."""

import sys

import cv2

from edgerd import Inspector

bundle, camera, *runtime = sys.argv[1:]
capture = cv2.VideoCapture(int(camera) if camera.isdigit() else camera)
with Inspector.open(bundle, runtime=runtime[0] if runtime else None) as inspector:
    inspector.warm_up()
    while True:
        ok, frame = capture.read()
        if not ok:  # the camera is lost, or the video has ended: no frame is not a good part
            break
        inspection = inspector.inspect(frame)  # uint8 (h, w, 3), BGR
        print(inspection)
capture.release()
