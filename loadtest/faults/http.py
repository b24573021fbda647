"""Call an HTTP hook, such as the deploy button of somebody's pipeline."""

from __future__ import annotations

import json
from dataclasses import dataclass

from loadtest.faults.call import call, is_http
from loadtest.faults.fault import Fault, FaultContext, FaultFailedError
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class HttpFault(Fault):
    """HTTP hook: done when it answers 2xx. A body that is no string is sent as JSON."""

    settings: profile.HttpFault

    def check(self, context: FaultContext) -> list[str]:  # noqa: ARG002
        name, url = self.settings.name, self.settings.http.url
        return [] if is_http(url) else [f'fault {name}: url "{url}" is neither http:// nor https://']

    def apply(self, context: FaultContext) -> None:
        name, request = self.settings.name, self.settings.http
        headers, content = dict(request.headers), request.body
        if content is not None and not isinstance(content, str):
            content = json.dumps(content)
            headers = {"Content-Type": "application/json"} | headers
        answer = call(
            name,
            request.method,
            request.url,
            headers=headers,
            body=None if content is None else content.encode(),
            timeout_s=self.settings.timeout_s,
            proxies=True,
        )
        if not answer.ok:
            raise FaultFailedError(
                f"fault {name}: {request.method} {request.url} answered {answer.status}: {answer.said}"
            )
        context.log(f"{name}: {request.method} {request.url} answered {answer.status}")
