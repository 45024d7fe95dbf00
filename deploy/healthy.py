"""``healthy.py http PORT PATH``: exit code 0 when this task's service answers; for ECS's health check."""

import sys
import urllib.request


def main() -> None:
    _, kind, port, path = sys.argv
    with urllib.request.urlopen(f"{kind}://127.0.0.1:{port}{path}", timeout=10) as answer:  # noqa: S310  # loopback
        sys.exit(0 if answer.status == 200 else 1)


if __name__ == "__main__":
    main()
