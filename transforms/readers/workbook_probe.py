"""Opens a workbook in a process of its own, to see whether it fits into memory.

For the binary formats (xls, xlsb), whose extent cannot be looked up beforehand: a parser that runs
out of memory aborts its process, so it is tried in one that may be lost. Run as a script, which
imports nothing but the parser.
"""

import resource
import subprocess
import sys
from pathlib import Path


__all__ = ["fits"]

MEMORY_BYTES = 2 * 2**30
CPU_SECONDS = 60


def fits(path: Path) -> bool:
    """Tell whether all sheets of `path` can be opened within 2 GB and 60 s of processor time."""
    command = [sys.executable, __file__, str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _open_all(path: str) -> None:
    """Open every sheet; an error that the parser reports is the reader's to tell, not ours."""
    from python_calamine import CalamineError, CalamineWorkbook

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        workbook = CalamineWorkbook.from_path(path)
        for name in workbook.sheet_names:
            workbook.get_sheet_by_name(name)
    except CalamineError:
        return


if __name__ == "__main__":
    _open_all(sys.argv[1])
