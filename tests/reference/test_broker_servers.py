"""Two servers, one broker: whichever is killed, nothing that was published is missing in the end. Real Valkeys."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator

import pytest
from redis.asyncio import Redis

from reference_gateway.broker import RedisBroker
from reference_gateway.broker.registry import Registry
from reference_gateway.services.outbox import Outbox

from .conftest import ValkeyProcess

pytestmark = pytest.mark.e2e

CHANNEL = "collection:c"


@pytest.fixture
def pair() -> Iterator[tuple[ValkeyProcess, ValkeyProcess]]:
    primary = ValkeyProcess()
    replica = ValkeyProcess(primary.port)
    try:
        yield primary, replica
    finally:
        for server in (primary, replica):
            server.stop()
            shutil.rmtree(server.folder)


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(15):
        while not await done():
            await asyncio.sleep(0.01)


async def role(server: ValkeyProcess) -> list[object]:
    client = Redis(port=server.port)
    try:
        return list(await client.execute_command("ROLE"))
    finally:
        await client.aclose()


async def linked(replica: ValkeyProcess) -> None:
    async def done() -> bool:
        found = await role(replica)
        return found[0] == b"slave" and found[3] == b"connected"

    await until(done)


def test_killed_servers_cost_no_message_and_the_reader_takes_no_writes(
    pair: tuple[ValkeyProcess, ValkeyProcess],
) -> None:
    primary, replica = pair

    async def body() -> None:
        await linked(replica)
        urls = f"{primary.url} {replica.url}"
        writer = RedisBroker(urls, kept=1000, promotes=True)
        reader = RedisBroker(urls, kept=1000)
        outbox = Outbox(writer)
        heard: list[int] = []
        await reader.subscribe(CHANNEL, lambda _, data: heard.append(int(data)))
        refilled = 0

        def refill() -> None:
            nonlocal refilled
            refilled += 1

        reader.restored = refill

        async def publish(numbers: range, on: Callable[[int], None] = lambda _: None) -> None:
            for number in numbers:
                await outbox.publish(CHANNEL, b"%d" % number)
                on(number)
                await asyncio.sleep(0.002)

        async def all_heard(count: int) -> None:
            async def done() -> bool:
                return len(set(heard)) == count

            await until(done)

        try:
            reader.enter_room("session", "c")
            await publish(range(50))
            await all_heard(50)
            assert await commands(replica, "xadd") == await commands(primary, "xadd")  # replicated, not asked for

            await publish(range(50, 150), lambda number: primary.stop() if number == 100 else None)
            await all_heard(150)
            assert refilled == 0, "the reader's own server was never away"
            assert writer.failovers == 1
            assert (await role(replica))[0] == b"master"
            assert await reader.rooms("session") == ["c"]

            primary.follows = replica.port  # as the stack starts it again
            primary.start()
            await linked(primary)
            await publish(range(150, 250), lambda number: replica.stop() if number == 200 else None)

            async def kept() -> bool:
                return {int(data) for data in await reader.history(CHANNEL)} == set(range(250))

            async def back() -> bool:
                return reader.healthy and refilled == 1

            await until(back)
            await until(kept)
            assert writer.failovers == 2
        finally:
            await outbox.close()
            await writer.close()
            await reader.close()

    asyncio.run(body())


async def commands(server: ValkeyProcess, name: str) -> int:
    client = Redis(port=server.port)
    try:
        stats = await client.info("commandstats")
        return int(stats.get(f"cmdstat_{name}", {}).get("calls", 0))
    finally:
        await client.aclose()


#: What a reader may be asked: anything else is denied, and noted in its ACL log.
READING = "-@all +@read +subscribe +unsubscribe +ping +client +hello +auth +select +role"
#: What the primary need not be asked while all is well: messages are listened to, and logs and rooms read, elsewhere.
NOT_READING = "+@all -@read -subscribe +exists"  # that one in scripts that write


def test_commands_are_split_reads_to_the_reader_writes_to_the_writer(pair: tuple[ValkeyProcess, ValkeyProcess]) -> None:
    """A denied command would be in a server's ACL log; what replication brings is not asked for and not denied."""
    primary, replica = pair

    async def body() -> None:
        await linked(replica)
        await ask(primary, "ACL", "SETUSER", "default", *NOT_READING.split())
        urls = f"{primary.url} {replica.url}"
        service, gateway = RedisBroker(urls, kept=10, promotes=True), RedisBroker(urls, kept=10)
        registry = Registry(gateway.servers, "gateway-1", beat_s=0.02)
        heard: list[bytes] = []
        try:
            admin = Redis(port=replica.port, username="admin", password="admin")
            await ask(replica, "ACL", "SETUSER", "admin", "on", ">admin", "+@all", "~*", "&*")
            await ask(replica, "ACL", "SETUSER", "default", *READING.split())
            await gateway.subscribe(CHANNEL, lambda _, data: heard.append(data))
            registry.enter("ann")
            for number in range(5):
                await service.publish(CHANNEL, b"%d" % number)
                gateway.enter_room("session", f"c-{number}")
            gateway.leave_room("session", "c-0")

            async def through() -> bool:
                rooms, kept = await gateway.rooms("session"), await gateway.history(CHANNEL)
                return (len(heard), len(kept), len(rooms), await registry.where("ann")) == (5, 5, 4, ["gateway-1"])

            await until(through)
            denied = [(each["object"], each["username"]) for each in await admin.acl_log()]
            assert denied == [], "asked of the reader"
            assert await ask(primary, "ACL", "LOG") == [], "asked of the writer"
            assert (service.failovers, gateway.failovers) == (0, 0)
        finally:
            await registry.close()
            await service.close()
            await gateway.close()
            await admin.aclose()

    asyncio.run(body())


async def ask(server: ValkeyProcess, *command: str) -> object:
    client = Redis(port=server.port)
    try:
        return await client.execute_command(*command)
    finally:
        await client.aclose()
