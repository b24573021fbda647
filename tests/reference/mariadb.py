"""A real MariaDB for tests: a server of its own in a temporary folder, one database per test."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from urllib.parse import quote

import asyncmy
import pytest
from asyncmy.errors import OperationalError

USER, PASSWORD = "rg", "p@ss:/w%rd?#"
_FLAGS = (
    "--bind-address=127.0.0.1",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--character-set-server=latin1",  # ours must not depend on the server's default
)


_TABLES = tuple(Path("/usr/share/mysql") / f"mysql_system_tables{part}.sql" for part in ("", "_data"))
# What `mariadb-install-db` would say first; itself it needs programs of another package.
_BIRTH = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\nSET @skip_auth_anonymous=1;\n"


def _find_server() -> str:
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None or not all(file.exists() for file in _TABLES):
        pytest.skip("no MariaDB is installed (Debian: apt install mariadb-server-core)")
    return found


class MariaProcess:
    """`mariadbd` on a free loopback port; ended by its pid."""

    def __init__(self) -> None:
        server = _find_server()
        self.folder = Path(tempfile.mkdtemp(prefix="mariadb-test-"))
        (self.folder / "data").mkdir()
        me = ("--user=root",) if os.getuid() == 0 else ()
        command = [server, "--no-defaults", f"--datadir={self.folder / 'data'}", *_FLAGS, *me]
        with (self.folder / "log").open("wb") as log:
            birth = _BIRTH + b"".join(file.read_bytes() for file in _TABLES)
            subprocess.run([*command, "--bootstrap"], input=birth, stdout=log, stderr=log, check=True)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port: int = probe.getsockname()[1]
            self._socket = str(self.folder / "socket")
            command += [f"--port={self.port}", f"--socket={self._socket}"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.sql(f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'")
                self.sql(f"GRANT ALL ON *.* TO '{USER}'@'%'")
                return
            except OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def sql(self, statement: str) -> None:
        async def run() -> None:
            async with (
                asyncmy.connect(unix_socket=self._socket, user="root") as connection,
                connection.cursor() as cursor,
            ):
                await cursor.execute(statement)

        asyncio.run(run())

    def new_database(self) -> str:
        """Return the URL of an empty database, in the form people write."""
        name = f"t{uuid.uuid4().hex}"
        self.sql(f"CREATE DATABASE {name}")
        return f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)
