"""REST and stream over TLS, with a certificate that is made here and trusted here only."""

import json
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.sync.client import connect

from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 30


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 for a day, signed by itself, and its key (0600)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.touch(0o600)
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path


def test_rest_and_stream_speak_tls_and_nothing_else(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(cert))
    options = ("--tls-cert", str(cert), "--tls-key", str(key))
    with ServerProcess(tmp_path / "data", *options) as server:
        rest, stream = server.addresses.rest, server.addresses.stream
        assert rest.startswith("https://")
        assert stream.startswith("wss://")
        headers = {"Authorization": f"Bearer {server.addresses.api_key}"}
        with httpx2.Client(verify=trusting, timeout=WATCHDOG_S) as client:
            assert client.get(rest + "/account", headers=headers).status_code == 200
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(rest + "/account", headers=headers, timeout=WATCHDOG_S)
        with pytest.raises(httpx2.TransportError):
            httpx2.get(rest.replace("https", "http") + "/account", timeout=WATCHDOG_S)
        with connect(stream, additional_headers=headers, ssl=trusting) as socket:
            socket.send(json.dumps({"action": "ping", "id": 1}))
            assert json.loads(socket.recv(WATCHDOG_S)) == {"type": "pong", "id": 1}
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(stream, additional_headers=headers)
