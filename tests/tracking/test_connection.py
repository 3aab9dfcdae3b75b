"""Servers: asked with the user's credentials and certificates, and not trusted with time, memory,
files or what is meant for another."""

import base64
import datetime
import ipaddress
import json
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fae.errors import StoreError
from fae.runs.stored_config import LARGEST, stored_config
from fae.tracking import connection, limits
from fae.tracking.archive import Archive, UnreadableError
from fae.tracking.config import TrackingConfig
from fae.tracking.connection import Connection, connect

EXPERIMENT = {"experiment": {"experiment_id": "7", "name": "fae", "lifecycle_stage": "active"}}
RUN: dict[str, Any] = {
    "info": {
        "run_id": "a" * 32,
        "run_uuid": "a" * 32,
        "experiment_id": "7",
        "status": "FINISHED",
        "artifact_uri": "mlflow-artifacts:/7/a/artifacts",
        "lifecycle_stage": "active",
    },
    "data": {"tags": [{"key": "fae.kind", "value": "run"}]},
}


class Handler(BaseHTTPRequestHandler):
    """Answers as the server that it belongs to says."""

    def _answer(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server: Any = self.server
            server.seen.append((self.path, dict(self.headers)))
            server.behave(self)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 the names are the library's

    def log_message(self, *_: object) -> None:
        pass

    def send(self, body: bytes, status: int = 200, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


Behaviour = Callable[[Handler], None]


@dataclass
class Server:
    """Where it listens, and what it was asked: paths with headers."""

    port: int
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(behave: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    http: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.behave = behave
    if context:
        http.socket = context.wrap_socket(http.socket, server_side=True)
    server = Server(http.server_address[1])
    http.seen = server.seen
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.socket.close()


def mlflow(handler: Handler) -> None:
    """As much of MLflow's server as finds the experiment and a run."""
    path = handler.path.partition("?")[0]
    answers: dict[str, Any] = {
        "get-by-name": EXPERIMENT,
        "runs/search": {"runs": [RUN]},
        "runs/get": {"run": RUN},
    }
    found = next((answer for end, answer in answers.items() if path.endswith(end)), None)
    handler.send(json.dumps(found or {}).encode(), 200 if found else 404)


def tracking(uri: str) -> TrackingConfig:
    return TrackingConfig(
        uri=uri, experiment="fae", silence_s=600, checkpoint_s=60, system_metrics=False
    )


def found(uri: str) -> Connection:
    return connect(tracking(uri), create=False)


def refusal(uri: str) -> str:
    with pytest.raises(StoreError) as refused:
        found(uri)
    said = str(refused.value)
    assert said.startswith(f"tracking.uri={uri}: ")
    assert len(said.splitlines()) == 1
    assert len(said) < 1000
    return said


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        (
            {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "secret"},
            "Basic " + base64.b64encode(b"me:secret").decode(),
        ),
        ({"MLFLOW_TRACKING_TOKEN": "secret"}, "Bearer secret"),
    ],
)
def test_credentials_are_those_that_mlflow_takes(
    variables: dict[str, str], header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guarded(handler: Handler) -> None:
        if handler.headers.get("Authorization") == header:
            mlflow(handler)
        else:
            handler.send(b"You are not authenticated.", 401, "text/plain")

    with serving(guarded) as server:
        said = refusal(server.uri)
        assert "does not know you; set MLFLOW_TRACKING_USERNAME" in said
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert found(server.uri).experiment_id == "7"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its own authority, for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fae")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "server.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        made.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_those_that_mlflow_takes(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    mutual = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mutual.load_cert_chain(certificate)
    mutual.load_verify_locations(certificate)
    mutual.verify_mode = ssl.CERT_REQUIRED
    with serving(mlflow, own) as server, serving(mlflow, mutual) as strict:
        uri, other = (one.uri.replace("http:", "https:") for one in (server, strict))
        said = refusal(uri)
        assert "its certificate is not trusted" in said
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in said
        assert "no MLflow server answers there" in refusal(server.uri)
        with monkeypatch.context() as insecure:
            insecure.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
            assert found(uri).experiment_id == "7"
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        assert found(uri).experiment_id == "7"
        assert "no MLflow server answers there" in refusal(other)
        monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(certificate))
        assert found(other).experiment_id == "7"
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/no/such/file")
        assert "invalid path: /no/such/file" in refusal(uri)


@pytest.mark.parametrize("code", ["RESOURCE_ALREADY_EXISTS", "PERMISSION_DENIED"])
def test_an_experiment_that_another_client_creates_meanwhile_is_found(code: str) -> None:
    known = []

    def behave(handler: Handler) -> None:
        if handler.path.endswith("experiments/create"):
            known.append(handler)
            body = {"error_code": code, "message": "no"}
            handler.send(json.dumps(body).encode(), 400)
        elif known or "Default" in handler.path:
            mlflow(handler)
        else:
            body = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}
            handler.send(json.dumps(body).encode(), 404)

    with serving(behave) as server:
        if code == "RESOURCE_ALREADY_EXISTS":
            assert connect(tracking(server.uri), create=True).experiment_id == "7"
        else:
            with pytest.raises(StoreError, match="PERMISSION_DENIED"):
                connect(tracking(server.uri), create=True)


def test_a_page_is_no_server_of_mlflow() -> None:
    with serving(lambda handler: handler.send(b"<html>" * 100, kind="text/html")) as server:
        assert "is no MLflow server (200, text/html)" in refusal(server.uri)
        assert "is no MLflow server (200, text/html)" in refusal(f"{server.uri}/mlflow")


def test_a_redirection_is_followed_without_the_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To another host: localhost is one, as names go."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    with serving(lambda handler: handler.send(b"hello", kind="text/html")) as elsewhere:

        def redirect(handler: Handler) -> None:
            handler.send_response(302)
            handler.send_header("Location", f"http://localhost:{elsewhere.port}/login?from=fae")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with serving(redirect) as server:
            said = refusal(server.uri)
    assert f"redirected to http://localhost:{elsewhere.port}/login)" in said
    assert "Authorization" in server.seen[0][1]
    assert [path for path, _ in elsewhere.seen] == ["/login?from=fae"]
    assert "Authorization" not in elsewhere.seen[0][1]


def drip(handler: Handler) -> None:
    """A byte now and then, from the first line on."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + b"x" * 10_000:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 1_000_000)


def trickle(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.05)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_S", 1.0)
    monkeypatch.setattr(limits, "ANSWER_BYTES", 10_000_000)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("behave", [drip, endless, trickle])
def test_an_answer_without_an_end_is_not_waited_for(behave: Behaviour) -> None:
    """The first one, and a later one."""
    with serving(behave) as server:
        assert re.search("no complete answer within|is longer than", refusal(server.uri))

    def later(handler: Handler) -> None:
        (behave if "runs/search" in handler.path else mlflow)(handler)

    with serving(later) as server:
        archive = Archive(tracking(server.uri))
        with pytest.raises(StoreError, match=f"^tracking.uri={server.uri}: cannot be read"):
            archive.runs("run")


def nested(handler: Handler) -> None:
    """A folder in a folder in a folder."""
    if "/mlflow-artifacts/artifacts?" not in handler.path:
        handler.send(b"evil", kind="text/plain")
        return
    asked = handler.path.partition("path=")[2].replace("%2F", "/").removeprefix("7/a/artifacts/")
    name = "config.yaml" if asked == "7/a/artifacts" else "x"
    listed = [{"path": name, "is_dir": True}]
    handler.send(json.dumps({"files": listed}).encode())


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("behave", [drip, endless, trickle, nested])
def test_an_artifact_without_an_end_is_not_waited_for(
    behave: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is more of it written than may be read."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sizes: list[int] = []

    def hostile(handler: Handler) -> None:
        (behave if "/mlflow-artifacts/" in handler.path else mlflow)(handler)

    class Watched(tempfile.TemporaryDirectory[str]):
        def cleanup(self) -> None:
            sizes.extend(p.stat().st_size for p in Path(self.name).rglob("*") if p.is_file())
            super().cleanup()

    monkeypatch.setattr("tempfile.TemporaryDirectory", Watched)
    with serving(hostile) as server:
        archive = Archive(tracking(server.uri))
        (run,) = archive.runs("run")
        with pytest.raises(UnreadableError, match=r"config\.yaml cannot be read"):
            stored_config(archive, run)
    assert sum(sizes) <= LARGEST


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("found", [[RUN], []])
def test_a_list_of_runs_without_an_end_is_not_read_on(found: list[Any]) -> None:
    def repeating(handler: Handler) -> None:
        if "runs/search" in handler.path:
            page = {"runs": found, "next_page_token": str(len(server.seen))}
            handler.send(json.dumps(page).encode())
        else:
            mlflow(handler)

    with serving(repeating) as server:
        archive = Archive(tracking(server.uri))
        with pytest.raises(StoreError, match="its list of runs has no end"):
            archive.runs("run")


def test_a_run_on_two_pages_is_one() -> None:
    """As where another was stored between them, that began earlier."""

    def shifted(handler: Handler) -> None:
        if "runs/search" not in handler.path:
            mlflow(handler)
        elif sum("runs/search" in path for path, _ in server.seen) == 1:
            handler.send(json.dumps({"runs": [RUN], "next_page_token": "2"}).encode())
        else:
            other = {**RUN, "info": {**RUN["info"], "run_id": "b" * 32}}
            handler.send(json.dumps({"runs": [RUN, other]}).encode())

    with serving(shifted) as server:
        found = Archive(tracking(server.uri)).runs("run")
    assert [run.id for run in found] == ["a" * 32, "b" * 32]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    "body", [b"[]", b"5", b'{"experiment": 5}', b'{"experiment": {"experiment_id": {}}}', b"{", b""]
)
def test_an_answer_that_makes_no_sense_is_an_error_of_the_store(body: bytes) -> None:
    with serving(lambda handler: handler.send(body)) as server:
        refusal(server.uri)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("status", [400, 403, 418, 500, 503])
def test_an_error_of_a_server_is_an_error_of_the_store(status: int) -> None:
    with serving(lambda handler: handler.send(b"no\x1b[2J" * 9999, status, "text/plain")) as server:
        assert str(status) in refusal(server.uri)


@pytest.mark.parametrize("path", ["../../../evil", "/evil", "%2e%2e/%2e%2e/evil", "a/../../evil"])
def test_artifacts_of_a_server_are_written_nowhere_else(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it lists them where they were not asked for."""
    inside = tmp_path / "a" / "b" / "c"
    inside.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(inside))

    def hostile(handler: Handler) -> None:
        if "/mlflow-artifacts/artifacts?" in handler.path:
            listed = [{"path": path, "is_dir": False, "file_size": 4}]
            handler.send(json.dumps({"files": listed}).encode())
        elif "/mlflow-artifacts/" in handler.path:
            handler.send(b"evil", kind="text/plain")
        else:
            mlflow(handler)

    with serving(hostile) as server:
        archive = Archive(tracking(server.uri))
        (run,) = archive.runs("run")
        with pytest.raises(StoreError, match=r"config\.yaml (is gone|cannot be read)"):
            stored_config(archive, run)
    assert not [file for file in tmp_path.rglob("*evil*") if inside not in file.parents]
    assert not Path("/evil").exists()


@pytest.mark.parametrize(("given", "seconds"), [(None, 3.0), ("10", 3.0), ("60", 60.0)])
def test_a_server_may_take_as_long_as_the_user_allows(
    monkeypatch: pytest.MonkeyPatch, given: str | None, seconds: float
) -> None:
    """MLflow's own variable counts, unless it has the value that is set here for later requests."""
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    if given:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", given)
    assert connection._timeout_s() == seconds
