"""`serve` from the command line: a real process that starts, answers and is stopped."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys

import httpx
import keras
import pytest


@pytest.fixture(scope="module")
def weights(save_net, tmp_path_factory):
    """A net that sees no ship anywhere."""
    return save_net(tmp_path_factory.mktemp("weights") / "net.keras", keras.layers.Rescaling(0.0))


def stopped_by(sign, weights, folder, *arguments):
    """Start a server, ask it for its page, send the signal and return how it ended."""
    folder.mkdir()
    arguments = ["serve", "--weights", weights, "--port", "0", "--json", folder.parent / "result.json", *arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "shipseg_tiles", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TMPDIR": str(folder)},
    )
    try:
        address = process.stdout.readline().strip()
        listens = httpx.URL(address)
        with socket.create_connection((listens.host, listens.port)) as stalled:
            stalled.sendall(b"POST /tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nhalf an image")
            assert httpx.get(address, trust_env=False).status_code == 200
            (private,) = folder.iterdir()
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
            process.send_signal(sign)
            output, complaint = process.communicate(timeout=60)
    finally:
        process.kill()
    return address, process.returncode, output, complaint


def test_ctrl_c_ends_quietly_and_leaves_nothing(weights, tmp_path):
    """Also while somebody sends an image."""
    address, *ended = stopped_by(signal.SIGINT, weights, tmp_path / "temporary")

    assert address.startswith("http://127.0.0.1:")
    assert ended == [130, "", "error: interrupted\n"]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_request_to_end_is_a_good_end(weights, tmp_path):
    """The page answers at the address that is printed, also if `--host` spells it otherwise."""
    address, *ended = stopped_by(signal.SIGTERM, weights, tmp_path / "temporary", "--host", "127.2")

    assert address.startswith("http://127.0.0.2:")
    assert ended == [0, "0 images predicted, 0 failed\n", ""]
    assert json.loads((tmp_path / "result.json").read_text()) == {"done": 0, "failed": 0}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_port_in_use_is_named(shipseg, weights):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        status, output, complaint = shipseg("serve", "--weights", weights, "--port", port)

    assert (status, output) == (2, "")
    assert complaint == (
        f"error: port {port} of 127.0.0.1 cannot be taken (Address already in use); choose another --port, or 0\n"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "65536"], "port 65536 must be from 0 to 65535"),
        (["--host", "none.invalid"], "host 'none.invalid' is unknown"),
        (["--host", ".."], "host '..' is unknown"),
        (["--host", "192.0.2.1"], "of 192.0.2.1 cannot be taken"),
        (["--weights", "none.keras"], "none.keras does not exist"),
        (["--gate", "none.keras"], "none.keras does not exist"),
        (["--bands", "3,2"], "bands '3,2'"),
        (["--largest-file", "0"], "--largest-file 0 would refuse every file"),
    ],
)
def test_a_wrong_value_is_refused(shipseg, weights, arguments, reason):
    status, output, complaint = shipseg("serve", "--weights", weights, "--port", 0, *arguments)

    assert (status, output) == (2, "")
    assert complaint.count("\n") == 1
    assert reason in complaint


def test_a_missing_extra_is_named(weights):
    """A process in which starlette and uvicorn cannot be found."""
    code = (
        "import sys; sys.modules.update(starlette=None, uvicorn=None); from shipseg_tiles.cli.main import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", code, "serve", "--weights", weights], capture_output=True, text=True)

    install = f"{sys.executable} -m pip install -e '.[serve]'"
    told = f"error: serve needs starlette, uvicorn; in the project's folder: {install}\n"
    assert (ended.returncode, ended.stderr) == (2, told)
