"""The server answers its own page on this machine, and nobody else."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from typer.testing import CliRunner

from downup.cli import app
from downup.errors import DataError
from downup.explorer import FILES, Server, write_page


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": f"127.0.0.1:{server.server_port}", **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def test_the_page_comes_with_a_policy_that_lets_nothing_in(server: Server) -> None:
    for name in ("", *FILES):
        answer = ask(server, "GET", f"/{name}")
        assert answer.status == 200
        policy = answer.getheader("Content-Security-Policy") or ""
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "'unsafe-eval'" not in policy
        assert answer.getheader("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "", "127.0.0.1", "127.0.0.1:1"])
def test_a_foreign_host_is_refused(server: Server, host: str) -> None:
    assert ask(server, "GET", "/", Host=host).status == 403


@pytest.mark.parametrize("origin", ["http://example.org", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_a_foreign_origin_is_refused(server: Server, origin: str) -> None:
    assert ask(server, "GET", "/", Origin=origin).status == 403


@pytest.mark.parametrize(
    "path", ["/../files.py", "/%2e%2e/files.py", "/static/main.js", "//etc/passwd", "/nothing"]
)
def test_only_the_files_of_the_page_are_offered(server: Server, path: str) -> None:
    assert ask(server, "GET", path).status == 404


def test_static_writes_a_folder_that_any_server_can_offer(tmp_path: Path) -> None:
    for _ in range(2):  # over an earlier page as well
        answer = CliRunner().invoke(app, ["explore", "--static", str(tmp_path / "page")])
        assert answer.exit_code == 0, answer.output
        assert sorted(path.name for path in (tmp_path / "page").iterdir()) == sorted(FILES)


def test_static_leaves_foreign_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"thesis\.txt.*not of the page"):
        write_page(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(DataError, match="is a file"):
        write_page(tmp_path / "thesis.txt")
