"""``python -m infra.checks``: what a reviewer would run over the templates; exit code 1 if any fails.

Synthesis twice (the same bytes), cdk-nag with the first, cfn-lint, checkov. None of them calls anybody.
"""

import filecmp
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUT = ROOT / "infra" / "cdk.out"
BIN = ROOT / "infra" / ".venv" / "bin"
CHECKOV = ROOT / "infra" / ".checkov" / "bin" / "checkov"
ACCEPTED_LINT = {
    "W3010": "zones are named in stages.yaml, so that synthesis looks nothing up",
}
ACCEPTED_CHECKOV = {
    "CKV_AWS_18": "the bucket of access logs logs no access to itself",
    "CKV_AWS_27": "queues are encrypted with SQS's own keys, which checkov does not look for",
    "CKV_AWS_28": "rows of the API's state expire within a day; every other table has point-in-time recovery",
    "CKV_AWS_82": "each audit names its result's path, in the one lake, which encrypts by default",
    "CKV_AWS_119": "tables are encrypted with AWS's key of the account; IAM decides who reads them",
    "CKV_AWS_158": "logs of addresses, without contents, encrypted with CloudWatch's own keys",
    "CKV_AWS_195": "a crawler's log names files and tables, and holds no values",
    "CKV_AWS_260": "port 80 answers with a redirect to TLS and nothing else",
}


def run(*command: str, **environment: str) -> str:
    """What went wrong, or nothing."""
    done = subprocess.run(  # noqa: S603  # our own tools
        command, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


def synth() -> str:
    """Every stage, looked at by cdk-nag."""
    return run(str(BIN / "python"), "-m", "infra.app", CDK_OUTDIR=str(OUT), NAG="1")


def again() -> str:
    """The same templates a second time."""
    with tempfile.TemporaryDirectory() as other:
        if wrong := run(str(BIN / "python"), "-m", "infra.app", CDK_OUTDIR=other):
            return wrong
        names = [path.name for path in templates()]
        _, different, missing = filecmp.cmpfiles(OUT, other, names, shallow=False)
        return "\n".join(f"{name}: not the same the second time" for name in [*different, *missing])


def lint() -> str:
    """cfn-lint, warnings included."""
    skipped = [part for rule in ACCEPTED_LINT for part in ("-i", rule)]
    return run(str(BIN / "cfn-lint"), *skipped, "--", *map(str, templates()))


def checkov() -> str:
    """checkov, which downloads nothing."""
    files = [part for path in templates() for part in ("-f", str(path))]
    skipped = ["--skip-check", ",".join(ACCEPTED_CHECKOV)] if ACCEPTED_CHECKOV else []
    return run(
        str(CHECKOV),
        "--skip-download",
        "--quiet",
        "--compact",
        "--framework",
        "cloudformation",
        *skipped,
        *files,
    )


def templates() -> list[Path]:
    """The templates of every stage."""
    return sorted(OUT.glob("*.template.json"))


CHECKS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("synth, and cdk-nag", synth),
    ("synth again: the same", again),
    ("cfn-lint", lint),
    ("checkov", checkov),
)


def main() -> None:
    failed = False
    for name, check in CHECKS:
        started = time.monotonic()
        wrong = check()
        failed = failed or bool(wrong)
        sys.stdout.write(f"{'✗' if wrong else '✓'} {time.monotonic() - started:5.1f} s  {name}\n")
        if wrong:
            sys.stdout.write(f"{wrong}\n")
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
