"""The configuration of NGINX: what it says, and that nginx itself takes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from reference_gateway.errors import SettingError
from reference_gateway.proxy.nginx import NO_LIMITS, Limits, Site, config, sites_of
from reference_gateway.stack import front as module
from reference_gateway.stack.config import StackConfig, find_versions

NODES = ["127.0.0.1:2001", "127.0.0.1:2002"]
SITES = [Site("127.0.0.1:1001", NODES), Site("[::1]:1002", ["[::1]:2003"])]


def written(limits: Limits = NO_LIMITS, folder: Path = Path("/data/nginx")) -> str:
    return config(folder, SITES, limits, 60.0, 1024)


def test_each_version_has_a_server_and_both_ways_to_its_nodes() -> None:
    text = written()
    for site in SITES:
        assert text.count(f"listen {site.authority} backlog=4096;") == 1
        for node in site.nodes:
            assert text.count(f"server {node} max_fails=0;") == 2
    assert text.count("least_conn;") == text.count("hash $remote_addr consistent;") == 2
    assert "proxy_set_header Upgrade $http_upgrade;" in text


def test_without_limits_nothing_is_limited() -> None:
    assert "limit_req" not in written()
    assert "limit_conn" not in written()


def test_limits_are_the_ones_asked_for() -> None:
    text = written(Limits(2.5, 300))
    assert "zone=admitted:128k rate=150r/m;" in text
    assert text.count("limit_req zone=admitted burst=1 nodelay;") == 2
    assert text.count("limit_conn held 300;") == 2
    assert "burst=20 nodelay" in written(Limits(200.0))


def test_sites_follow_the_versions_that_listen() -> None:
    assert sites_of({"sync": "h:1"}, {"sync": NODES, "bifrost-1": ["h:9"]}) == [Site("h:1", NODES)]


@pytest.mark.parametrize("limits", [NO_LIMITS, Limits(0.1, 1), Limits(1e6, 65_535), Limits(33.3, 0), Limits(0, 7)])
def test_nginx_takes_it(limits: Limits, tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path=module._PLACES)
    if nginx is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path / 'a "quoted" folder'
    folder.mkdir()
    file = folder / "nginx.conf"
    file.write_text(written(limits, folder))
    command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(file), "-t"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_missing_nginx_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda *_, **__: None)
    with pytest.raises(SettingError, match="apt install nginx"):
        module.find_nginx()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"front": "haproxy"}, "allowed is nginx"),
        ({"front_limits": Limits(5.0, 0)}, "--front-rate"),
        ({"front": "nginx", "front_limits": Limits(0, 65_536)}, "--front-connections 65536"),
    ],
)
def test_wrong_front_is_refused(given: dict, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        StackConfig(find_versions("bifrost-1"), **given)
