"""What a folder needs so that its files outlast a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make durable which names a folder holds: what was made, renamed or deleted in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
