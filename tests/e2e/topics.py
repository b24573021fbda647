"""How a profile speaks to `targets/websocket_server.py`: everybody joins topics, publishers say something to them."""

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
