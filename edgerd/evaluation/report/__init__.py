"""The evaluation report: a folder with a page and its pictures, for the screen and for paper. Begin reading at `page`.

content      what a report is made from
page         the page: from the figures at the top to the list of pictures
rates        rates with their intervals, and which of them are poor
slider       the threshold slider, and what the script starts with
gallery      the pictures on the page, in the order of how far on the wrong side they are
files        the pictures in their files
report.css   the style that this page has beyond every page's
report.js    the threshold slider and the large pictures

Style and script stand in the page. It loads nothing but its own pictures, by relative links, so the folder can be
copied, zipped, archived and opened from a disk.
"""

from edgerd.evaluation.report.content import ComparedRun, Example, ReportData, ReportPicture
from edgerd.evaluation.report.page import write_report

__all__ = ["ComparedRun", "Example", "ReportData", "ReportPicture", "write_report"]
