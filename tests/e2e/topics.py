"""How a profile speaks to a target: everybody subscribes, publishers say something to everybody.

RELAYED        a whole profile: topics, through a relay
TOPICS         `targets/websocket_server.py`: topics are joined
COLLECTIONS    the reference stack: collections are subscribed to and edited
"""

TOPICS = """
[subscribe]
message = {{ op = "join", topic = "{{channel}}" }}
ack_path = "op"
ack_equals = "joined"

[publish]
message = {{ op = "say", topic = "{{channel}}", body = {{ text = "{{marker}}" }} }}
marker = "body.text"
rate = "{rate}/s"
deadline = "1s"

[phases]
warmup = "500ms"
"""
"""The end of a profile, for `format(rate=...)`: publishes a second, all topics together."""

RELAYED = (
    """
name = "relayed"
duration = "{duration}"

[target]
dialect = "websocket"
url = "{url}/feed"

[relay]
processes = 2

[population]
connections = 60
herd_size = 20

[[population.channels]]
name = "topic-{{n}}"
count = 4

[reconnect]
policy = "fixed"
delay = "200ms"

[ramp]
rate = "400/s"
"""
    + TOPICS
)
"""A profile for `format(url=..., rate=..., duration=...)`, to which tables of faults may be appended."""

COLLECTIONS = """
[subscribe]
event = "subscribe"
args = [{{ collection = "{{channel}}" }}]
ack_path = "0.ok"
ack_equals = true

[publish]
rate = "{rate}/s"
deadline = "{deadline}"
event = "edit"
args = [{{ collection = "{{channel}}", parameter = "url", text = "{{marker}}" }}]
ack = true
marker = "1.text"
"""
"""A part of a profile, for `format(rate=..., deadline=...)`: publishes a second; when a message is lost."""
