"""The configuration of NGINX in front of the gateways, as text: a pure function of what the stack has.

    client --> server (one per version) --admitted? held?--> /socket.io/ --> nodes_<i>          WebSocket: fewest first
                        |                                             \\---> nodes_<i>_pinned    polling: by address
                        \\--> 429 over the rate, 503 over the connections, with Retry-After, before any node hears of it

Laws: a new client costs one unit of the rate, a request of a session that exists none. A WebSocket counts as held while
it lasts. A polling session and its upgrade meet the same node, since they come from the same address; a client that
begins with WebSocket goes where the fewest are. What a node refuses is passed on as it is. No node is ever marked as
failed: while a deploy replaces it, its port refuses for a moment, and the next client tries again.

Source: nginx documentation, ngx_http_limit_req_module, ngx_http_limit_conn_module, ngx_http_upstream_module, "WebSocket
proxying". That refusals are spread over four waits is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_CONNECTIONS: Final = 65_535  # nginx's own bound
_BURST_S: Final = 0.1
_TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_MAX_FILES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """What NGINX lets through, for each version.

    Attributes:
        rate_per_s: new clients per second; 0 = any number. Up to a tenth of a second's worth may come at once.
        connections: WebSockets at the same time; 0 = any number.
    """

    rate_per_s: float = 0.0
    connections: int = 0


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Site:
    """One version behind one port.

    Attributes:
        authority: host:port to listen on.
        nodes: host:port of each gateway node, at least one.
    """

    authority: str
    nodes: Sequence[str]


def config(folder: Path, sites: Sequence[Site], limits: Limits, patience_s: float, files: int) -> str:
    """Return nginx.conf.

    Args:
        folder: for its pid file and temporary files; nothing else of the machine is written to.
        patience_s: how long a connection may be silent: more than the heartbeat of the gateways.
        files: open files that a worker may have; each client takes two.
    """
    temporary = [f"{name}_temp_path {_quoted(folder / name)};" for name in _TEMPORARY]
    zones = []
    if limits.rate_per_s:
        zones.append(f"limit_req_zone $newcomer zone=admitted:128k rate={_per_minute(limits.rate_per_s)}r/m;")
    if limits.connections:
        zones.append("limit_conn_zone $held zone=held:128k;")
    http = [
        *temporary,
        "access_log off;",
        "server_tokens off;",
        "default_type text/plain;",
        "keepalive_timeout 20s;",
        "client_max_body_size 1m;",
        "client_body_buffer_size 1m;",
        "map $http_upgrade $connection_header { default upgrade; '' ''; }",
        "map $arg_sid $newcomer { '' $server_port; default ''; }",
        "map $arg_transport $held { websocket $server_port; default ''; }",
        'map "$arg_transport:$arg_sid" $pinned { "websocket:" ""; default _pinned; }',
        "split_clients $request_id $retry_after { 25% 0.5; 25% 1; 25% 2; * 4; }",
        *zones,
    ]
    for number, site in enumerate(sites):
        http += _site(number, site, limits, patience_s)
    lines = [
        f"pid {_quoted(folder / 'nginx.pid')};",
        "daemon off;",
        "worker_processes 2;",
        "worker_shutdown_timeout 1h;",
        f"worker_rlimit_nofile {files};",
        "error_log stderr warn;",
        "pcre_jit on;",
        f"events {{ worker_connections {min(files, _MAX_FILES)}; multi_accept on; }}",
        *_block("http", http),
    ]
    return "\n".join(lines) + "\n"


def _site(number: int, site: Site, limits: Limits, patience_s: float) -> list[str]:
    nodes = [f"server {node} max_fails=0;" for node in site.nodes]
    name = f"nodes_{number}"
    passing = [
        "proxy_http_version 1.1;",
        "proxy_set_header Host $http_host;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection $connection_header;",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_buffering off;",
        "proxy_connect_timeout 5s;",
        f"proxy_read_timeout {patience_s:.0f}s;",
        f"proxy_send_timeout {patience_s:.0f}s;",
        "proxy_next_upstream error;",
    ]
    limited = []
    if limits.rate_per_s:
        burst = max(1, round(_BURST_S * limits.rate_per_s))
        limited += [f"limit_req zone=admitted burst={burst} nodelay;", "limit_req_status 429;"]
        limited += ["limit_req_log_level info;", "error_page 429 = @over_the_rate;"]
    if limits.connections:
        limited += [f"limit_conn held {limits.connections};", "limit_conn_status 503;"]
        limited += ["limit_conn_log_level info;", "error_page 503 = @full;"]
    refusals = {"@over_the_rate": ("429", "over the rate"), "@full": ("503", "full")}
    server = [
        f"listen {site.authority} backlog=4096;",
        *_block("location /socket.io/", [*limited, *passing, f"proxy_pass http://{name}$pinned;"]),
        *_block("location = /healthz", [*passing, f"proxy_pass http://{name};"]),
        *_block("location /", ["return 404;"]),
    ]
    for place, (status, text) in refusals.items():
        answer = ["keepalive_timeout 0;", "add_header Retry-After $retry_after always;"]
        server += _block(f"location {place}", [*answer, f'return {status} "{text}\\n";'])
    return [
        *_block(f"upstream {name}", [f"zone {name} 256k;", "least_conn;", *nodes]),
        *_block(f"upstream {name}_pinned", [f"zone {name}_pinned 256k;", "hash $remote_addr consistent;", *nodes]),
        *_block("server", server),
    ]


def sites_of(listens: Mapping[str, str], nodes: Mapping[str, Sequence[str]]) -> list[Site]:
    """Return the sites of a stack: for each version where it listens and which nodes it has."""
    return [Site(authority, list(nodes[version])) for version, authority in listens.items()]


def _per_minute(rate_per_s: float) -> int:
    return max(1, round(60 * rate_per_s))


def _block(head: str, lines: Sequence[str]) -> list[str]:
    return [f"{head} {{", *(f"    {line}" for line in lines), "}"]


def _quoted(path: Path) -> str:
    text = str(path)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
