"""Children end with us: in order, in time, with all that they had started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from privacy_assets.errors import Stopped, UserError
from privacy_assets.machine.processes import ChildError, children
from privacy_assets.machine.stack import free_port, machine, require_free

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True); time.sleep(600)"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_childs_children_end_with_it(tmp_path: Path) -> None:
    with children(tmp_path) as group:
        child = group.start("parent", python(PARENT), {}, heard=True)
        grandchild = int(child.output.readline())
        assert alive(grandchild)
    assert not alive(child.process.pid)
    assert not alive(grandchild)


def test_a_child_that_will_not_end_is_killed(tmp_path: Path) -> None:
    with children(tmp_path) as group:
        child = group.start("stubborn", python(STUBBORN), {}, heard=True, patience=0.2)
        assert child.output.readline() == "up\n"
    assert child.process.returncode == -signal.SIGKILL


def test_the_first_started_is_ended_last(tmp_path: Path) -> None:
    said = tmp_path / "said"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(said)!r}, 'a').write(sys.argv[1]); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    with children(tmp_path) as group:
        for name in ("a", "b"):
            group.start(name, [*python(code), name], {}, heard=True).output.readline()
    assert said.read_text() == "ba"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_and_the_children(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, children(tmp_path) as group:  # noqa: PT012  # the signal is raised in it
        child = group.start("sleeper", python(SLEEPER), {}, heard=True)
        child.output.readline()
        os.kill(os.getpid(), number)
        time.sleep(60)
    assert stopped.value.exit_code == 128 + number
    assert not alive(child.process.pid)
    assert signal.getsignal(number) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_children_end_even_when_we_are_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from privacy_assets.machine.processes import children\n"
        "with children(Path(sys.argv[1])) as group:\n"
        f"    child = group.start('sleeper', [sys.executable, '-c', {SLEEPER!r}], {{}})\n"
        "    print(child.process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([*python(code), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait(30)
    until = time.monotonic() + 30
    while alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(child)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('the cause')", "ValueError: the cause"),
        (
            (
                "try:\n    raise KeyError('inner')\n"
                "except KeyError as error:\n    raise RuntimeError('outer') from error"
            ),
            "KeyError: 'inner'",
        ),
        ("import sys; sys.exit('port is taken')", "port is taken"),
    ],
)
def test_a_child_that_ended_is_told_with_its_cause(tmp_path: Path, code: str, words: str) -> None:
    with children(tmp_path) as group:
        child = group.start("poor", python(code), {})
        child.process.wait(30)
        with pytest.raises(ChildError, match=f"poor ended with code 1: {words}"):
            group.check()


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port}: in use, expected a free one"):
            require_free(port)
        with pytest.raises(UserError, match="in use"), machine(tmp_path / "state", web_port=port):
            pass
    require_free(free_port())
    assert not (tmp_path / "state").exists()


def test_a_directory_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="in use by another privacy-assets"), machine(tmp_path):
            pass


def test_a_talkative_child_is_never_held_up(tmp_path: Path) -> None:
    """What nobody listens to goes to the log; a pipe would fill at 64 KiB and hold the child for ever."""
    code = "import sys; sys.stdin.readline(); print('x' * 1_000_000); print('said all', flush=True)"
    with children(tmp_path) as group:
        child = group.start("talkative", python(code), {}, fed=True)
        child.input.write("go\n")
        child.input.flush()
        assert child.process.wait(timeout=30) == 0
    assert child.log.read_text().endswith("said all\n")
