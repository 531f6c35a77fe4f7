"""Checks that a picture file is complete, by its container alone, without decoding.

Sources: ITU-T T.81 annex B (JPEG markers), the PNG specification section 5 (chunks), Google's WebP container
specification (RIFF size), and Microsoft's BITMAPFILEHEADER and BITMAPINFOHEADER.
"""

from __future__ import annotations

import re
import struct
import zlib

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""A marker in the scan data of a JPEG: 0xff and a byte that is no stuffed zero, restart marker or fill byte."""
_START_OF_IMAGE = 0xD8
_END_OF_IMAGE = 0xD9
_BMP_UNCOMPRESSED = 0


def container_fault(content: bytes) -> str:
    """Why a picture file is not complete.

    Args:
        content: The bytes of the file. Formats other than JPEG, PNG, WebP and BMP are not checked.

    Returns:
        What is wrong, in words; "" where the container is complete.
    """
    if not content:
        return "the file is empty"
    if content.startswith(b"\xff\xd8"):
        return "" if _jpeg_ends(content) else "the JPEG has no end marker"
    if content.startswith(_PNG_SIGNATURE):
        return _png_fault(content)
    needed = _bytes_needed(content)
    return "" if len(content) >= needed else f"{len(content)} of {needed} bytes are there"


def _jpeg_ends(content: bytes) -> bool:
    """Whether there is an end marker, from marker to marker: that of a thumbnail inside a segment does not count."""
    position = 2
    while found := _NEXT_MARKER.search(content, position):
        marker, position = content[found.start() + 1], found.end()
        if marker == _END_OF_IMAGE:
            return True
        if marker == _START_OF_IMAGE:  # the rest of this picture is missing, and another follows
            return False
        if position + 2 > len(content):
            return False
        # The scan header is a segment as well; the scan data behind it is skipped by the next search.
        position += struct.unpack_from(">H", content, position)[0]
    return False


def _png_fault(content: bytes) -> str:
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        kind, checksum_at = content[position + 4 : position + 8], position + 8 + length
        if checksum_at + 4 > len(content):
            break
        if zlib.crc32(content[position + 4 : checksum_at]) != struct.unpack_from(">I", content, checksum_at)[0]:
            return f"the checksum of its {kind.decode('latin-1')} chunk is wrong"
        if kind == b"IEND":
            return ""
        position = checksum_at + 4
    return "the PNG has no end chunk"


def _bytes_needed(content: bytes) -> int:
    """How long a WebP or BMP must be; 0 for other formats."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return 8 + int(struct.unpack_from("<I", content, 4)[0])
    if content[:2] == b"BM" and len(content) >= 34:
        offset, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
        if header >= 40 and compression == _BMP_UNCOMPRESSED:
            return int(offset + (width * bits + 31) // 32 * 4 * abs(height))
    return 0
