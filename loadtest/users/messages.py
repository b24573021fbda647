"""The names of what master and workers tell each other over Locust's own connection, and what each carries.

worker -> master   clock      {"asked_ns"}         what time is it? (see `timekeeper`)
                   hello      {"role", "version", "pid", "host", "remote", "files", "tables", "users"} (see `muster`)
                   report     one interval (see `WorkerBridge.report`); the last one says "final": true
                   published  {"messages": [[channel, epoch, seq, sched_ns, late_ns], ...]}
                   afflicted  {"id", "act", "error", "hit" | "facts"}    (see `afflictor`)
master -> worker   clock      {"asked_ns", "heard_ns", "answered_ns", "clock"}
                   refused    {"reason"}           the run goes on without you
                   plan       {"run", "worker", "herd", "herds", "connections", "profile", "folder", "files"}
                   go         {"start_ns"}            the population connects from here on, by the ramp
                   publish    {"start_ns" | None}     publishers start at that time, or stop
                   canary     {"first", "number", "at_ns"}    publishers send one message more to each of these channels
                   published  as above, from another worker
                   follow     {"id", "t0_ns"}         a mass disconnect began: who was subscribed, when are they back
                   unfollow   {"id"}
                   afflict    {"id", "kind", "share" | "number", "seed", ...}    fault: do this to your sockets
                   relieve    {"id"}                  and let go of them
                   finish     {}                      send your last report
"""

from __future__ import annotations

CLOCK = "loadtest.clock"
HELLO = "loadtest.hello"
REFUSED = "loadtest.refused"
REPORT = "loadtest.report"
PUBLISHED = "loadtest.published"
PLAN = "loadtest.plan"
GO = "loadtest.go"
PUBLISH = "loadtest.publish"
CANARY = "loadtest.canary"
FOLLOW = "loadtest.follow"
UNFOLLOW = "loadtest.unfollow"
AFFLICT = "loadtest.afflict"
RELIEVE = "loadtest.relieve"
AFFLICTED = "loadtest.afflicted"
FINISH = "loadtest.finish"
