"""A gateway node, version `bifrost-1`: one process that holds sockets and nothing else. Run it with `python -m`.

    client <== WebSocket ==> session --event--> upstream --HTTP--> private API
                                ^
                               hub <--revision-- broker

No connection owns a task, a timer or a dict: what every connection needs is a slot in `session`, one place in the
`heartbeat` wheel and one in the sets of the `hub`.
"""
