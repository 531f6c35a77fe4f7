"""Checks that the picture data of a JPEG is complete, where its container is.

libjpeg, which OpenCV decodes with, fills missing data with grey and goes on behind a gap; its warnings do not reach
us. FFmpeg's decoder can be told to stop instead. It is only used for this check: the pixels come from OpenCV.
"""

from __future__ import annotations

import re
import struct

_SEGMENT = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_FRAME_HEADERS = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})
_HUFFMAN_CODED = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive, the kinds of JPEG that FFmpeg reads."""


def picture_data_fault(content: bytes) -> str:
    """Why the picture data of a JPEG is not complete.

    Args:
        content: The bytes of the file. Other formats, and kinds of JPEG that FFmpeg does not read, are not checked.

    Returns:
        What is wrong, in words; "" where nothing was found.
    """
    if not content.startswith(b"\xff\xd8") or _frame_header(content) not in _HUFFMAN_CODED:
        return ""
    import av  # here, so that a line whose bundle and cameras hold no JPEG starts sooner

    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode"}
    decoder.thread_count = 1
    try:
        decoder.decode(av.Packet(content))
    except av.error.InvalidDataError:
        return "a part of its picture data is missing or was overwritten"
    except av.FFmpegError:  # a kind of JPEG that FFmpeg does not read
        return ""
    return ""


def _frame_header(content: bytes) -> int | None:
    """The marker that says how the picture is coded (ITU-T T.81, table B.1); None without one."""
    position = 2
    while (found := _SEGMENT.match(content, position)) and found.end() + 2 <= len(content):
        marker = found[1][0]
        if marker in _FRAME_HEADERS:
            return marker
        position = found.end() + int(struct.unpack_from(">H", content, found.end())[0])
    return None
