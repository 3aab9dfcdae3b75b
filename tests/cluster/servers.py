"""Servers as a group would run them: PostgreSQL, MLflow's, and one that answers as S3 does."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

START_S = 400.0
"""How long a server may take to answer first; MLflow's makes its tables meanwhile."""
END_S = 20.0
"""How long a process may take to end before it is killed."""
USER, PASSWORD = "fae", "a long secret"
"""Of PostgreSQL's role, and of the administrator of an MLflow server with basic auth."""
BUCKET = "artifacts"
S3_KEYS = {"AWS_ACCESS_KEY_ID": "fae", "AWS_SECRET_ACCESS_KEY": "secret"}
REGION = {"AWS_DEFAULT_REGION": "us-east-1"}
MLFLOW = (sys.executable, "-m", "mlflow")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def end(process: subprocess.Popen[str], signum: int = signal.SIGTERM) -> None:
    """End a process that leads a session, and all that it started there."""
    try:
        os.killpg(process.pid, signum)
        process.wait(END_S)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Server:
    """A server process, which can be ended or killed, and started again at the same address.

    Attributes:
        address: what clients name.
        environment: what clients need in theirs.

    Args:
        command: what starts it, in the foreground.
        answers: whether it does.
        log: where its output goes.
        variables: its environment, besides that of this process.
        user: name of the user who runs it; this process's by default.
    """

    def __init__(
        self,
        address: str,
        command: Sequence[str | Path],
        answers: Callable[[], bool],
        log: Path,
        *,
        variables: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.address, self.environment = address, dict(environment or {})
        self.command, self.answers, self.log, self.user = command, answers, log, user
        self.variables = {**os.environ, **(variables or {})}
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("a") as log:
            self.process = self._open(log)
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                end(self.process)
                raise RuntimeError(f"{self.command}: does not answer:\n{self.log.read_text()}")
            time.sleep(0.2)

    def _open(self, log: IO[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.log.parent,
            env=self.variables,
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            start_new_session=True,
        )

    def end(self) -> None:
        """End it in order: it says goodbye to its clients."""
        end(self.process, signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel or a power failure would."""
        end(self.process, signal.SIGKILL)


class PostgreSQL(Server):
    """A PostgreSQL server with a data folder of its own.

    Args:
        programs: the folder of its programs.
        folder: an empty one, which will be the user's.
        user: an ordinary one, as PostgreSQL refuses to be run by root.
    """

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self.programs, self.port = programs, free_port()
        self.authority = f"127.0.0.1:{self.port}"
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            if user:
                shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        data = folder / "data"
        subprocess.run(
            f"{programs}/initdb -D {data} -U {USER} -A scram-sha-256 -E UTF8 --locale=C --no-sync "
            f"--pwfile={folder}/password".split(),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "fsync": "off"}
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        super().__init__(
            f"postgresql+psycopg://{USER}:{PASSWORD.replace(' ', '%20')}@{self.authority}",
            [programs / "postgres", "-D", data, "-k", folder, *given],
            self._is_ready,
            folder / "log",
            user=user,
        )

    def _is_ready(self) -> bool:
        command = f"{self.programs}/pg_isready -q -h 127.0.0.1 -p {self.port}"
        return subprocess.run(command.split()).returncode == 0

    def end(self) -> None:
        """End it at once, connections or not, as ``pg_ctl stop -m fast`` does."""
        end(self.process, signal.SIGINT)

    def database(self, name: str) -> str:
        """Make an empty database, and return its address."""
        command = f"{self.programs}/createdb -h 127.0.0.1 -p {self.port} -U {USER} {name}"
        subprocess.run(command.split(), check=True, env={**os.environ, "PGPASSWORD": PASSWORD})
        return f"{self.address}/{name}"


class S3(Server):
    """A server that answers as S3 does, with one bucket; it forgets all when it ends."""

    def __init__(self, folder: Path) -> None:
        address = f"http://127.0.0.1:{(port := free_port())}"
        super().__init__(
            address,
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", f"{port}"],
            lambda: _answers(address),
            folder / "log",
            environment={"MLFLOW_S3_ENDPOINT_URL": address, **S3_KEYS, **REGION},
        )
        self.client().create_bucket(Bucket=BUCKET)

    def client(self) -> Any:
        """boto3's client of it."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.address,
            region_name=REGION["AWS_DEFAULT_REGION"],
            aws_access_key_id=S3_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=S3_KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def stored(self) -> list[str]:
        """Names of the stored objects, of the first thousand."""
        listed = self.client().list_objects_v2(Bucket=BUCKET)
        return [item["Key"] for item in listed.get("Contents", [])]


def mlflow_server(
    folder: Path,
    database: str,
    *,
    s3: S3 | None = None,
    clients_use_s3: bool = False,
    accounts: str | None = None,
) -> Server:
    """Start an MLflow server; clients find what they need in its ``environment``.

    Args:
        folder: for its log, and for artifacts unless S3 has them.
        database: address of the database for runs.
        s3: where artifacts go.
        clients_use_s3: they upload to it themselves, rather than through the server.
        accounts: address of the database for accounts; without it everybody may do everything.
    """
    address = f"http://127.0.0.1:{(port := free_port())}"
    artifacts = f"s3://{BUCKET}" if s3 else f"{folder}/artifacts"
    options = ["--backend-store-uri", database, "--artifacts-destination", artifacts]
    if clients_use_s3:
        options[2:] = ["--no-serve-artifacts", "--default-artifact-root", artifacts]
    variables = dict(s3.environment) if s3 else {}
    environment = {"MLFLOW_TRACKING_URI": address}
    if s3 and clients_use_s3:
        environment |= s3.environment
    if accounts:
        options += ["--app-name", "basic-auth"]
        settings = folder / "accounts.ini"
        settings.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {accounts.replace('%', '%%')}\n"
            f"admin_username = {USER}\nadmin_password = {PASSWORD}\n"
        )
        variables |= {
            "MLFLOW_AUTH_CONFIG_PATH": f"{settings}",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "for tests",
        }
        environment |= {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    return Server(
        address,
        [*MLFLOW, *f"server --host 127.0.0.1 --port {port} --workers 1".split(), *options],
        lambda: _answers(f"{address}/health"),
        folder / "log",
        variables={
            **variables,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        environment=environment,
    )


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except HTTPError:
        return True
    except (URLError, OSError):
        return False
