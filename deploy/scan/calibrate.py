"""`thalweg drift calibrate`: how often a stretch without drift is noticed."""

import numpy as np

from deploy.scan.run import ScanRequest, scan_file
from drift.realised_rate import Calibration, calibration


def calibrate_file(request: ScanRequest) -> Calibration:
    """Scan a stretch in which nothing drifts; raises ConfigurationError as `scan_file` does."""
    report = scan_file(request)
    ends = report.bounds[:, 1]
    noticed = {int(np.searchsorted(ends, finding.row)) for finding in report.findings}
    return calibration(len(ends), len(noticed), request.arl0, report.warnings)
