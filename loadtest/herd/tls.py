"""One TLS session over bytes: what the socket carries on one side, what the application says on the other.

Law: no sockets here; the herd moves the bytes. Certificates are checked by the context it is given.
"""

from __future__ import annotations

import ssl

_CHUNK = 65_536


class TlsSession:
    """The client's side of a TLS connection.

    Raises (from `feed`): ssl.SSLError, whose `reason_of_tls` is the class under which the failure is counted.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=False, server_hostname=server_name)
        self.established = False
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the socket; return the application's bytes. Look at `established` and `pending` after."""
        if data:
            self._incoming.write(data)
        if not self.established:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.established = True
        plain = bytearray()
        try:
            while chunk := self._tls.read(_CHUNK):
                plain += chunk
            self.ended = True  # an empty read: the peer said goodbye
        except ssl.SSLWantReadError:
            pass
        return bytes(plain)

    def seal(self, data: bytes) -> None:
        """Encrypt application bytes; they wait in `pending`."""
        self._tls.write(data)

    def pending(self) -> bytes:
        """Take the bytes that the socket must carry now."""
        return self._outgoing.read()


def reason_of_tls(error: ssl.SSLError) -> str:
    """Return the failure class of a TLS error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls_certificate"
    return "tls_" + (error.reason or "error").lower()
