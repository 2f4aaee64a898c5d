"""The checked-in table of facts against the botocore that it is generated from."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_checked_in_table_is_what_the_pinned_botocore_says() -> None:
    command = [sys.executable, str(ROOT / "scripts/generate_service_model.py"), "--check"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
