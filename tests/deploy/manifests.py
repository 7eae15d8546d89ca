"""What lies in configs/deploy, read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "configs" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CONFIG = DEPLOY / "config" / "twopass.yaml"
OVERLAYS = ("base", "trial", "production")
MOUNTED = "/etc/twopass/twopass.yaml"
"""Where the configuration lies in a container."""

Document = Mapping[str, Any]


def documents(path: Path) -> list[Any]:
    """All of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def one(path: Path) -> Any:
    """The only one of a YAML file."""
    (found,) = documents(path)
    return found


def files() -> list[Path]:
    """Every YAML file."""
    return sorted({*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")})


def resources() -> list[Document]:
    """Every object for Kubernetes, before any overlay; patches are none."""
    found = [each for path in KUBERNETES.rglob("*.yaml") if path.parent.name != "gpu" for each in documents(path)]
    return [each for each in found if "kustomize" not in each["apiVersion"]]


def named(kind: str, name: str) -> Document:
    """One object."""
    (found,) = (each for each in resources() if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def workloads() -> list[Document]:
    """What runs pods."""
    return [each for each in resources() if each["kind"] in ("Deployment", "StatefulSet")]


def container(workload: Document) -> Document:
    """Its only one."""
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(found)


def program(name: str) -> str:
    """Where it is, or skip by name."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def well(command: Sequence[str | Path]) -> str:
    """What a command says that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
