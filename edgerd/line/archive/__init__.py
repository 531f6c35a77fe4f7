"""The archive: pictures of parts that were judged, kept under a quota, in a layout that is a data set."""

from edgerd.line.archive.archive import Archive
from edgerd.line.archive.part import Part

__all__ = ["Archive", "Part"]
