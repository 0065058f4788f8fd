"""The harness of this folder is importable by its plain names."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
