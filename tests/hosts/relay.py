"""A TCP relay that holds back what it passes on, as a long line does.

    python relay.py LISTEN_ADDRESS LISTEN_PORT ADDRESS PORT DELAY_S

Each chunk leaves DELAY_S seconds after it came, in both directions and in order; a connection is
made after the two ways that a handshake takes. What waits is bounded: beyond it nothing more is
read. Imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

CHUNK_BYTES = 1 << 16
N_CHUNKS = 256
"""What one direction of one connection holds back at most: 16 MiB."""

Held = asyncio.Queue[tuple[float, bytes]]


async def serve(listen: tuple[str, int], to: tuple[str, int], *, delay_s: float) -> None:
    """Relays every connection until it is ended."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _relay(reader, writer, to=to, delay_s=delay_s)

    server = await asyncio.start_server(connected, *listen)
    async with server:
        print("ready", flush=True)  # noqa: T201 - whoever started it waits for this line
        await server.serve_forever()


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    to: tuple[str, int],
    delay_s: float,
) -> None:
    await asyncio.sleep(2 * delay_s)
    try:
        far_reader, far_writer = await asyncio.open_connection(*to)
    except OSError:
        writer.close()
        return
    there = _one_way(reader, far_writer, delay_s=delay_s)
    back = _one_way(far_reader, writer, delay_s=delay_s)
    await asyncio.gather(there, back)
    for end in (writer, far_writer):
        end.close()
        with contextlib.suppress(OSError):
            await end.wait_closed()


async def _one_way(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delay_s: float
) -> None:
    """Passes on until the sender is done, and says so to the receiver."""
    held: Held = asyncio.Queue(N_CHUNKS)
    await asyncio.gather(_take(reader, held), _give(writer, held, delay_s=delay_s))


async def _take(reader: asyncio.StreamReader, held: Held) -> None:
    while True:
        try:
            chunk = await reader.read(CHUNK_BYTES)
        except OSError:
            chunk = b""
        await held.put((time.monotonic(), chunk))
        if not chunk:
            return


async def _give(writer: asyncio.StreamWriter, held: Held, *, delay_s: float) -> None:
    broken = False
    while True:
        came, chunk = await held.get()
        await asyncio.sleep(max(0.0, came + delay_s - time.monotonic()))
        if not chunk:
            break
        if broken:  # the receiver is gone: what the sender still sends is taken and dropped
            continue
        try:
            writer.write(chunk)
            await writer.drain()
        except OSError:
            broken = True
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


def main(argv: list[str]) -> int:
    """Exit code 0 once it is interrupted."""
    listen_address, listen_port, address, port, delay_s = argv
    with contextlib.suppress(KeyboardInterrupt):
        listen, to = (listen_address, int(listen_port)), (address, int(port))
        asyncio.run(serve(listen, to, delay_s=float(delay_s)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
