"""Addresses of stores and of Optuna studies: which are valid, and which file each one names.

Light at import (no SQLAlchemy), as every command checks its configuration.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from fae.errors import SECRET, ConfigError, without_password
from fae.runtime.paths import absolute, flaw, shown, too_long

STORES = "sqlite:///FILE or http://SERVER"
DATABASES = {"mariadb", "mssql", "mysql", "oracle", "postgres", "postgresql"}
LONGEST_DATABASE = 490
"""Bytes of a database's path; SQLite's limit is 512, its journal's name included."""


def of_file(path: Path) -> str:
    """The address of an SQLite database in an absolute file.

    Plain, if SQLAlchemy parses that to the same path. Otherwise percent-encoded, and with the name
    of the driver: MLflow would create the folder of what follows ``sqlite:///`` without decoding.

    Raises:
        ConfigError: SQLAlchemy cannot express it.
    """
    from sqlalchemy.engine import URL

    plain = f"sqlite:///{path}"
    if _database(plain) == str(path):
        return plain
    encoded = URL.create("sqlite+pysqlite", database=str(path)).render_as_string()
    if _database(encoded) != str(path):
        raise ConfigError(f"{path}: a path with ? needs SQLAlchemy 2.1, and so Python 3.11")
    return encoded


def file_of(address: str) -> Path | None:
    """The file of an SQLite address; None for a server."""
    return Path(_database(address)) if _scheme(address) == "sqlite" else None


def of_store(given: str) -> str:
    """A store's address for MLflow, with an absolute file.

    Raises:
        ConfigError: it is not valid; names where it came from.
    """
    variable = "MLFLOW_TRACKING_URI"
    key = variable if given == os.environ.get(variable) else "tracking.uri"
    try:
        return _of_store(given.strip())
    except ValueError as problem:
        raise ConfigError(f"{key}={without_password(given)}: {problem}") from None


def of_study(given: str) -> str:
    """The address of Optuna's database for SQLAlchemy, with an absolute file.

    Raises:
        ConfigError: it is not valid.
    """
    from sqlalchemy.engine import make_url

    try:
        if _scheme(given) == "sqlite":
            return of_file(_file(given.strip()))
        try:
            url = make_url(given.strip())
        except Exception:  # its message may repeat a password
            raise ValueError("must be like postgresql://host:5432/name") from None
        if url.password or any(re.search(SECRET, key, re.IGNORECASE) for key in url.query):
            raise ValueError(
                "a password here would be written into files; leave it out, and set PGPASSWORD "
                "or write ~/.pgpass (PostgreSQL), or add ?read_default_file=FILE (MySQL)"
            )
    except ValueError as problem:
        raise ConfigError(f"search.storage={without_password(given)}: {problem}") from None
    return given.strip()


def _of_store(address: str) -> str:
    scheme = _scheme(address)
    if scheme == "sqlite":
        return of_file(_file(address))
    if scheme in {"http", "https"}:
        return _server(address)
    if scheme in DATABASES:
        raise ValueError(
            f"a database needs a server before it, mlflow server --backend-store-uri {scheme}:..., "
            "and here http://SERVER"
        )
    if scheme.startswith("databricks"):
        raise ValueError(f"fae does not know Databricks; must be {STORES}")
    if scheme in {"", "file"}:
        raise ValueError(f"MLflow keeps no runs in folders any more; must be {STORES}")
    raise ValueError(f"must be {STORES}")


def _scheme(address: str) -> str:
    """The scheme in lower case, without a driver; empty for a path."""
    if address.strip() in {"databricks", "databricks-uc"}:
        return "databricks"
    found = re.match(r"\s*(\w+)[\w+.-]*:", address)
    return found[1].lower() if found else ""


def _database(address: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(address).database or ""


def _file(address: str) -> Path:
    """The file of an SQLite address given by a user."""
    from sqlalchemy.engine import make_url

    driver, slashes, name = address.partition(":///")
    if not slashes or driver.lower() not in {"sqlite", "sqlite+pysqlite"}:
        raise ValueError("must be sqlite:///FILE, with a slash more before an absolute path")
    url = make_url(f"sqlite:///{name}")
    if url.query:
        raise ValueError("takes no options; a ? of the file's own path is written %3F")
    if not url.database or url.database == ":memory:":
        raise ValueError("names no file, and what is in memory ends with the process; name one")
    path = absolute(Path(url.database))
    if path.name in {"", ".."} or os.path.isdir(path):
        raise ValueError(f"{shown(path)} is a folder; name a file in it")
    if found := flaw(path) or too_long(path, LONGEST_DATABASE):
        raise ValueError(f"{shown(path)} {found}")
    return path


def _server(address: str) -> str:
    if not address.isprintable() or " " in address:
        raise ValueError("must not have blanks or control characters in it")
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:  # its message may repeat a password
        raise ValueError("must be like http://host:5000") from None
    if "@" in parts.netloc:
        raise ValueError(
            "a name or a password here would be written into files; leave it out, and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if not parts.hostname:
        raise ValueError("names no server")
    server = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    if parts.query or parts.fragment:
        raise ValueError(f"is a page of a server; give the server, {server}")
    return server
