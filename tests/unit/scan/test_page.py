"""The page of a scan: figures as a person writes them."""

from transforms.mapping import Source
from transforms.scan import ColumnScan, Scan, TableScan
from transforms.scan.model import Numbers
from transforms.scan.page import page


def test_whole_numbers_have_no_decimals() -> None:
    def column(name: str, low: float, high: float) -> ColumnScan:
        return ColumnScan(name, "number", 50, 50, 50, numbers=Numbers(0, 0, 0, 0, low, low, high))

    source = Source("labs", "excel", "f.xlsx", "excel", "IPP")
    columns = (column("Plq", 98.0, 1200000.0), column("Ca", 2.1, 2.6))
    text = page("Lyon", Scan((TableScan(source, ("f.xlsx",), 50, columns),)))
    assert "98 – 1200000" in text
    assert "2.1 – 2.6" in text
    assert "98.0" not in text
