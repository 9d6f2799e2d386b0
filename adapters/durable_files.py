"""What a file system must be told before a power cut can no longer undo something."""

import os
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """The names in this folder are on disk when this returns: a new or renamed file is found after a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
