"""What lies in a site's inbox, before anybody has described it: tables, columns, likely meaning.

    discover   which tables the files hold, and in which row their columns are named
    columns    what each column looks like: numbers, dates, codes, free text, identifiers
    model      the scan itself, and what of it may be shown
    page       the scan as a page to look at

A scan describes patients' data, so it says little: words of a column of codes that stand in at
least five rows, shares, and coarse bands; never a value of an identifier, a date, a free text.
"""

from transforms.scan.discover import scan_inbox
from transforms.scan.model import HIDDEN_BELOW, ColumnScan, Ready, Scan, TableScan


__all__ = ["HIDDEN_BELOW", "ColumnScan", "Ready", "Scan", "TableScan", "scan_inbox"]
