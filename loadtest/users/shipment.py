"""The files a profile names (CSV, certificates, keys), taken along to workers on other machines.

    master: Profile --pack--> {"client.csv": ("users.csv", bytes)} --plan--> worker: unpack --> Profile

Law: on the worker the bytes live in anonymous memory files: private to the process, never on a disk, gone with it
however it ends. A private key of the master's machine leaves no trace on the load machines.

Source: memfd_create(2).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from loadtest.errors import UsageError
from loadtest.profile.model import Profile

MOST_BYTES = 8 * 1024 * 1024
"""All files of a profile together: the plan is one message to every worker."""

Shipment = dict[str, list[Any]]
"""Name in the profile -> [file name, bytes]."""


def pack(profile: Profile) -> Shipment:
    """Read every file that the profile names.

    Raises:
        UsageError: one cannot be read, or all together exceed 8 MiB.
    """
    shipment: Shipment = {}
    for table, key in profile.files_in(profile.content()):
        path = profile.file(table[key])
        try:
            shipment[table[key]] = [path.name, path.read_bytes()]
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    total = sum(len(data) for _, data in shipment.values())
    if total > MOST_BYTES:
        sizes = ", ".join(f"{name} {len(data):,}" for name, data in shipment.values())
        raise UsageError(
            f"the files of the profile hold {total:,} bytes ({sizes}); at most {MOST_BYTES:,} together are sent to"
            " workers on other machines: shorten client.csv, or make its columns client.variables"
        )
    return shipment


class Store:
    """The shipped files of one worker; `close` gives them up."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def unpack(self, content: Mapping[str, Any], shipment: Mapping[str, Any]) -> Profile:
        """Return the profile of `content` with every shipped file in place.

        Raises:
            UsageError: the profile names a file that was not shipped.
        """
        profile = Profile.model_validate(content)
        plain = profile.content()
        for table, key in profile.files_in(plain):
            if table[key] not in shipment:
                raise UsageError(f"the master sent no file {table[key]!r}")
            name, data = shipment[table[key]]
            table[key] = self._keep(str(name), bytes(data))
        return Profile.model_validate(plain)

    def _keep(self, name: str, data: bytes) -> str:
        descriptor = os.memfd_create(name[:200], os.MFD_CLOEXEC)
        self._descriptors.append(descriptor)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        return f"/proc/self/fd/{descriptor}"

    def close(self) -> None:
        """Forget the files."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
