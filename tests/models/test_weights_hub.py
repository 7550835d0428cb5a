"""Downloads against a server on this machine: only the right bytes are kept, and nothing is left of others."""

import hashlib
import http.server
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, field, frozen

from edgekit.errors import CheckpointError, EdgekitError, OutputError, UnknownNameError, UsageError
from edgekit.models import weights_hub
from edgekit.models.weights_hub import OFFICIAL_FILES, OfficialFile, cache_folder, git_blob_id, official_file, pull_file, pull_weights

CONTENT = bytes(range(256)) * 1000
ROW = OfficialFile(
    model="emov2-1m",
    resolution=224,
    kd=False,
    file_name="small.pth",
    blob_id=hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT, usedforsecurity=False).hexdigest(),
)

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@frozen
class Server:
    url: str
    answers: dict[str, Answer]
    requests: list[tuple[str, str | None]] = field(factory=list)  # path, user agent


def answer(
    content: bytes = CONTENT, *, status: int = 200, announce: int | str | None = "true length", headers: dict[str, str] | None = None
) -> Answer:
    def write(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if announce is not None:
            handler.send_header("Content-Length", str(len(content) if announce == "true length" else announce))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return write


def redirect(to: str) -> Answer:
    return answer(b"", status=302, headers={"Location": to})


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append((self.path, self.headers["User-Agent"]))
            state.answers.get(self.path, answer(b"gone", status=404))(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state = Server(f"http://127.0.0.1:{httpd.server_port}", {})
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        httpd.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("EDGEKIT_WEIGHTS_URL", "EDGEKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    # Never reached: a download from this machine must not go through a proxy.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def refusal(server: Server, cache: Path, kind: type[EdgekitError] = CheckpointError, **options) -> EdgekitError:
    """Download, and return the error, having checked that nothing is left."""
    with pytest.raises(kind) as caught:
        pull_file(ROW, cache_dir=cache, base_url=server.url, **options)
    assert files_in(cache) == []
    return caught.value


# --- it arrives


@pytest.mark.parametrize("announce", ["true length", None])
def test_the_right_file_is_kept_and_not_downloaded_again(server, tmp_path, announce):
    server.answers["/small.pth"] = answer(announce=announce)
    seen = []
    path = pull_file(ROW, cache_dir=tmp_path, base_url=server.url + "/", progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "weights" / "small.pth"
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["small.pth"]
    total = len(CONTENT) if announce else None
    assert seen[-1] == (len(CONTENT), total)
    assert all(earlier[0] < later[0] and later[1] == total for earlier, later in itertools.pairwise(seen))
    server.answers.clear()
    assert pull_file(ROW, cache_dir=tmp_path, base_url=server.url) == path
    assert server.requests == [("/small.pth", "edgekit")]


def test_a_damaged_file_in_the_cache_is_replaced(server, tmp_path):
    server.answers["/small.pth"] = answer()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "small.pth").write_bytes(CONTENT[:-1])
    assert pull_file(ROW, cache_dir=tmp_path, base_url=server.url).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_stays_until_there_is_a_better_one(server, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "small.pth").write_bytes(b"old")
    with pytest.raises(CheckpointError, match="cannot be downloaded"):
        pull_file(ROW, cache_dir=tmp_path, base_url=server.url)
    assert files_in(tmp_path) == ["small.pth"]
    assert (tmp_path / "weights" / "small.pth").read_bytes() == b"old"


def test_a_redirect_on_this_machine_is_followed(server, tmp_path):
    server.answers["/small.pth"] = redirect(server.url + "/elsewhere")
    server.answers["/elsewhere"] = answer()
    assert pull_file(ROW, cache_dir=tmp_path, base_url=server.url).read_bytes() == CONTENT


def test_the_second_place_is_asked_where_the_first_has_no_such_file(server, tmp_path, monkeypatch):
    monkeypatch.setattr(weights_hub, "DEFAULT_BASE_URLS", (server.url + "/first", server.url + "/second"))
    server.answers["/second/small.pth"] = answer()
    assert pull_file(ROW, cache_dir=tmp_path).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/first/small.pth", "/second/small.pth"]


def test_variables_name_the_server_and_the_cache(server, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_WEIGHTS_URL", server.url)
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "mine"))
    monkeypatch.setattr(weights_hub, "OFFICIAL_FILES", (ROW,))
    server.answers["/small.pth"] = answer()
    assert pull_weights("emov2-1m") == tmp_path / "mine" / "weights" / "small.pth"


# --- it does not


def test_another_content_is_refused_with_both_ids(server, tmp_path):
    server.answers["/small.pth"] = answer(b"another")
    error = refusal(server, tmp_path)
    assert error.exit_code == 3
    assert error.what == f"blob id {hashlib.sha1(b'blob 7' + bytes(1) + b'another').hexdigest()}, expected {ROW.blob_id}"
    assert error.where == server.url + "/small.pth"


def test_a_body_that_ends_early(server, tmp_path):
    server.answers["/small.pth"] = answer(CONTENT[:1000], announce=len(CONTENT))
    assert "ended after 1000 of 256000 bytes" in refusal(server, tmp_path).why


def test_a_chunked_body_that_ends_early(server, tmp_path):
    def cut(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"10\r\nabc")
        handler.close_connection = True

    server.answers["/small.pth"] = cut
    assert refusal(server, tmp_path).summary == "the weights cannot be downloaded"


@pytest.mark.parametrize("announce", ["true length", None])
def test_a_body_larger_than_allowed(server, tmp_path, announce):
    server.answers["/small.pth"] = answer(announce=announce)
    assert "more than" in refusal(server, tmp_path, max_bytes=100_000).why


def test_a_body_that_takes_too_long(server, tmp_path):
    server.answers["/small.pth"] = answer()
    assert "took longer than -1 s" in refusal(server, tmp_path, deadline_s=-1).why


def test_a_server_that_is_silent(server, tmp_path):
    done = threading.Event()
    server.answers["/small.pth"] = lambda _: done.wait(5)
    assert "timed out" in refusal(server, tmp_path, timeout_s=0.1).why
    done.set()


def test_a_file_that_is_not_there(server, tmp_path):
    error = refusal(server, tmp_path)
    assert "404" in error.why
    assert error.where == server.url + "/small.pth"
    assert "--weights FILE" in error.hint


@pytest.mark.parametrize("status", [204, 206, 403, 500])
def test_other_answers(server, tmp_path, status):
    server.answers["/small.pth"] = answer(b"", status=status)
    assert str(status) in refusal(server, tmp_path).why


def test_nobody_listens(server, tmp_path):
    gone = evolve(server, url="http://127.0.0.1:9")
    assert "refused" in refusal(gone, tmp_path).why


@pytest.mark.parametrize("to", ["http://198.51.100.1/small.pth", "http://127.0.0.1@198.51.100.1/", "ftp://127.0.0.1/small.pth"])
def test_redirects_elsewhere_without_https_are_refused(server, tmp_path, to):
    server.answers["/small.pth"] = redirect(to)
    error = refusal(server, tmp_path)
    assert error.summary == "the download was redirected to an address that is not https"
    assert error.what == to


def test_a_redirect_to_a_local_file_is_refused(server, tmp_path):
    (tmp_path / "local").write_bytes(CONTENT)
    server.answers["/small.pth"] = redirect((tmp_path / "local").as_uri())
    assert "not allowed" in refusal(server, tmp_path / "cache").why


def test_redirects_without_end(server, tmp_path):
    server.answers["/small.pth"] = redirect("/small.pth")
    assert "302" in refusal(server, tmp_path).why
    assert len(server.requests) < 20


@pytest.mark.parametrize("url", ["http://example.com", "ftp://127.0.0.1", "file:///tmp", "example.com", "http://[", "https://"])
def test_addresses_without_https_are_refused_before_anything_is_sent(server, tmp_path, url):
    assert "is not an https address" in refusal(evolve(server, url=url), tmp_path, UsageError).summary


def test_a_site_outside_may_not_send_to_this_machine():
    allowed = weights_hub._allowed
    assert allowed("https://other.example/x", coming_from="https://example.com/x")
    assert allowed("http://[::1]:80/x", coming_from="http://localhost/x")
    assert not allowed("http://127.0.0.1/x", coming_from="https://example.com/x")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(server, tmp_path, stop):
    server.answers["/small.pth"] = answer()

    def interrupt(*_: object) -> None:
        raise stop

    with pytest.raises(stop):
        pull_file(ROW, cache_dir=tmp_path, base_url=server.url, progress=interrupt)
    assert files_in(tmp_path) == []


def test_a_full_disk(server, tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights_hub.os, "fsync", full)
    server.answers["/small.pth"] = answer()
    error = refusal(server, tmp_path, OutputError)
    assert error.why == "No space left on device"
    assert "EDGEKIT_CACHE" in error.hint


def test_a_cache_that_is_a_file(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"small\.pth cannot be kept in the cache"):
        pull_file(ROW, cache_dir=tmp_path / "file", base_url=server.url)
    assert server.requests == []


# --- the list, the cache, the id


def test_every_published_file_is_found_by_its_properties():
    assert len(OFFICIAL_FILES) == len({row.blob_id for row in OFFICIAL_FILES}) == 7
    for row in OFFICIAL_FILES:
        assert official_file(row.model, resolution=row.resolution, kd=row.kd) == row
        assert len(bytes.fromhex(row.blob_id)) == 20
    assert official_file("emov2-5m").file_name == "EMOv2_5M_224.pth"
    assert official_file("emov2-5m", resolution=512, kd=True).file_name == "EMOv2_5M_512_KD.pth"


def test_what_is_not_published():
    with pytest.raises(UnknownNameError, match="did you mean 'emov2-5m'"):
        pull_weights("emov2-50m")
    with pytest.raises(UsageError, match="published: 224, 224 with --kd, 512 with --kd"):
        pull_weights("emov2-5m", resolution=512)


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "edgekit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "edgekit"
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache_folder() == Path("/shared/edgekit")
    monkeypatch.setenv("EDGEKIT_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"


def test_no_home(monkeypatch):
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    with pytest.raises(OutputError, match="set EDGEKIT_CACHE"):
        cache_folder()


def test_the_id_is_git_s(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert git_blob_id(tmp_path / "empty") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert git_blob_id(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_importing_it_does_not_import_torch():
    code = "import sys, edgekit.models.weights_hub; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(weights_hub.__file__).parents[2]).returncode == 0
