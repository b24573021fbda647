"""What a locustfile of one's own imports.

from loadtest.users.api import HerdUser, PublisherUser, attach   (or SocketIOClientUser, WebSocketClientUser)
attach()
"""

from loadtest.users.client_users import SocketIOClientUser, WebSocketClientUser
from loadtest.users.herd_user import Client, HerdUser
from loadtest.users.plain import attach
from loadtest.users.publisher_user import PublisherUser

__all__ = ["Client", "HerdUser", "PublisherUser", "SocketIOClientUser", "WebSocketClientUser", "attach"]
