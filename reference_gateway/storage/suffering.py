"""Whoever uses the database suffers its trouble, if there is any.

    before each statement -> trouble file --none--> on it goes
                                 |--{"delay_s": 0.05}--> the statement waits, holding what its transaction holds
                                 \\--{"down": true}-----> OperationalError, as from a database that is gone

Law: whatever the database is and whoever its driver: trouble is made where SQLAlchemy hands a statement to the driver.
Without trouble, one `stat` per statement.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from reference_gateway.storage.trouble import Trouble


def suffer(engine: AsyncEngine, file: Path) -> None:
    """Let every statement of `engine` suffer the trouble that `file` tells of at that moment."""

    def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if not file.exists():
            return
        trouble = Trouble.read(file)
        if trouble.down:
            raise OperationalError(statement, parameters, ConnectionRefusedError("the database is down"))
        await_only(asyncio.sleep(trouble.delay_s))

    event.listen(engine.sync_engine, "before_cursor_execute", before)
