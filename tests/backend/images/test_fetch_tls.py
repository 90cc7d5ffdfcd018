"""TLS: the certificate, the name that is sent, a handshake that stalls."""

import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from web import PUBLIC

from memvr_integrations.backend.images import fetch


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -keyout key.pem -out cert.pem -subj /CN=img.example.org"
        " -addext subjectAltName=DNS:img.example.org"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize(
    ("name", "trusted"),
    [("img.example.org", True), ("b.example.org", True), ("img.example.org", False)],
)
def test_tls_verifies_the_certificate_and_sends_the_name(certificate, monkeypatch, name, trusted):
    cert, key = certificate
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    names: list[str | None] = []
    server.sni_callback = lambda _, asked, __: names.append(asked)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    real = ssl.create_default_context
    monkeypatch.setattr(
        ssl, "create_default_context", lambda: real(cafile=cert if trusted else None)
    )
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: ours)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        if trusted and name == "img.example.org":
            fetch.dial_address(PUBLIC, 443, server_name=name, timeout=5).close()
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                fetch.dial_address(PUBLIC, 443, server_name=name, timeout=5)
            assert ours.fileno() == -1
    finally:
        thread.join(5)
    assert names == [name]


def test_a_stalled_tls_handshake_gets_the_deadline(monkeypatch):
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: ours)
    with theirs, pytest.raises(TimeoutError):
        fetch.dial_address(PUBLIC, 443, server_name="img.example.org", timeout=0.2)
