"""One bounded HTTP request with the standard library, for faults that speak to a control address or a hook."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtest.faults.fault import FaultFailedError

MAX_ANSWER_BYTES = 65_536


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and at most 64 KiB of the body as text."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def said(self) -> str:
        """The beginning of the body, for a message."""
        return self.text.strip()[:200] or "(empty answer)"

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object; {} when it is none."""
        try:
            content = json.loads(self.text)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}


def is_http(url: str) -> bool:
    """Tell whether a URL may be called; urllib by itself would open files too."""
    return url.lower().startswith(("http://", "https://"))


def call(
    fault: str,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout_s: float,
    proxies: bool,
) -> Answer:
    """Send one request and return the answer, whatever its status.

    Args:
        fault: name of the fault, for messages.
        timeout_s: the longest silence of the peer, not the length of the whole exchange.
        proxies: honour the environment's proxies; False for an address on this machine.

    Raises:
        FaultFailedError: nothing came back, with the reason.
    """
    opener = urllib.request.build_opener(*(() if proxies else (urllib.request.ProxyHandler({}),)))
    if not is_http(url):
        raise FaultFailedError(f"fault {fault}: {method} {url}: neither http:// nor https://")
    try:
        request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)
        try:
            response = opener.open(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:  # a status of 400 and more is an answer too
            response = error
        with response:
            return Answer(response.status, response.read(MAX_ANSWER_BYTES).decode("utf-8", "replace"))
    except TimeoutError as error:
        raise FaultFailedError(f"fault {fault}: {method} {url}: no answer within {timeout_s:g} s") from error
    except http.client.InvalidURL as error:  # its message would repeat a part of the URL
        raise FaultFailedError(f"fault {fault}: {method} {url}: names no host and port to connect to") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise FaultFailedError(f"fault {fault}: {method} {url}: {reason or type(error).__name__}") from error
