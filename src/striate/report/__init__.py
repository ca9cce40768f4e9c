"""The HTML report of a run or a drive, and contact sheets of images that were found."""

from __future__ import annotations

from striate.report.contact_sheet import SheetImage, SheetRow, write_contact_sheet
from striate.report.data import PhaseLike, Reconstructions, ReportData, Sample, StageFilters
from striate.report.drive import DriveReport, write_drive_report
from striate.report.report import write_report
from striate.report.training import training_report, write_training_report

__all__ = [
    "ReportData",
    "StageFilters",
    "Reconstructions",
    "Sample",
    "PhaseLike",
    "write_report",
    "training_report",
    "write_training_report",
    "SheetImage",
    "SheetRow",
    "write_contact_sheet",
    "DriveReport",
    "write_drive_report",
]
