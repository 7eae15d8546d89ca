"""Fresh interpreters, for what depends on which modules can be imported, or were."""

from __future__ import annotations

import subprocess
import sys


def fresh(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What this code says in an interpreter of its own. Raises CalledProcessError if it fails."""
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def without(modules: tuple[str, ...], vendor: str, endpoint: str) -> subprocess.CompletedProcess[str]:
    """The fix that a vendor's recognizer names where these modules are not installed. Warnings are errors."""
    code = f"""
import sys
for name in {modules!r}:
    sys.modules[name] = None
from twopass.errors import RecognizerUnavailable
from twopass_providers.{vendor} import provider
from twopass_providers.{vendor} import standin
try:
    provider.streaming({{"endpoint": {endpoint!r}}})
except RecognizerUnavailable as error:
    print(error.fix)
"""
    return fresh(code, "-W", "error")
