"""The synthesized deployment, made once for all tests that read it."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from infra.declared import Declared
from infra.stages import load
from privacy_assets.governed import PROJECT
from tests.infra.template import Templates

STAGE = "rehearsal"
PYTHON = PROJECT / "infra" / ".venv" / "bin" / "python"


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The templates of the stage that is what local AWS is; the processes of a test run share them.

    ``INFRA_TEMPLATES`` names a folder that holds them already, as ``make infra`` does.
    """
    if given := os.environ.get("INFRA_TEMPLATES"):
        return Templates.read(Path(given), STAGE)
    if not PYTHON.exists():
        pytest.skip("infra/.venv: not there, so nothing can be synthesized: make synth")
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    out = shared / "cdk.out"
    with (shared / "cdk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "manifest.json").exists():
            synthesize(out)
    return Templates.read(out, STAGE)


WITH_STAGES = """
import pathlib, sys
import infra.stages
infra.stages.FILE = pathlib.Path(sys.argv[1])
from infra.app import main
main()
"""


def synthesize(out: Path, stages: Path | None = None, **environment: str) -> None:
    """Run the app as ``make synth`` does; ``stages`` is another ``stages.yaml``."""
    program = ["-c", WITH_STAGES, str(stages)] if stages else ["-m", "infra.app"]
    done = subprocess.run(
        [str(PYTHON), *program],
        env={**os.environ, "STAGE": STAGE, "CDK_OUTDIR": str(out), **environment},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def declared() -> Declared:
    return Declared(load()[STAGE])
