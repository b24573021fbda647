"""The wire, without I/O: bytes in, events out. No sockets, no clock, no randomness of its own.

        socket bytes --frames.split--> Frame --Dialect.decode--> Event     (stateless: equal bytes, equal events)
        variables    --Dialect.subscribe / publish / join-->  masked frames, ready to write

See README.md of this folder for how to add a dialect.
"""
