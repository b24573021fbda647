"""How a profile speaks to a target: everybody subscribes, publishers say something to everybody.

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
