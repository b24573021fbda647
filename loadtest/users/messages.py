"""The names of what master and workers tell each other over Locust's own connection, and what each carries.

worker -> master   hello      {"role", "version", "pid", "host"}
                   report     one interval (see `WorkerBridge.report`); the last one says "final": true
                   published  {"messages": [[channel, epoch, seq, sched_ns, late_ns], ...]}
master -> worker   plan       {"run", "worker", "herd", "herds", "connections", "profile", "folder"}   first of all
                   go         {"start_ns"}            the population connects from here on, by the ramp
                   publish    {"start_ns" | None}     publishers start at that time, or stop
                   published  as above, from another worker
                   follow     {"id", "t0_ns"}         a mass disconnect began: who was subscribed, when are they back
                   unfollow   {"id"}
                   drop       {"share", "how"}        fault: close this share of your own sockets
                   finish     {}                      send your last report
"""

from __future__ import annotations

HELLO = "loadtest.hello"
REPORT = "loadtest.report"
PUBLISHED = "loadtest.published"
PLAN = "loadtest.plan"
GO = "loadtest.go"
PUBLISH = "loadtest.publish"
FOLLOW = "loadtest.follow"
UNFOLLOW = "loadtest.unfollow"
DROP = "loadtest.drop"
FINISH = "loadtest.finish"
