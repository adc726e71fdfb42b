"""Download of a corpus from a local HTTP server: correct, broken, malicious, silent and missing archives."""

import fcntl
import hashlib
import io
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora import download
from ser_utils.corpora.corpus import Corpus, Download
from ser_utils.corpora.registry import CORPORA

NAMES = [f"{speaker}/{emotion}-{speaker}-b1.wav" for speaker in ("f1", "m1") for emotion in ("gio", "neu", "tri")]
FILES = {name: os.urandom(30_000) for name in NAMES}
FIRST = NAMES[0]
ROOT = "SER-0123abc/data/EMOVO/"
PACKED = {"audio/1.wav": b"one", "audio/2.wav": b"two", "metadata/samples.csv": b"file_name,actor"}


def checksums(files):
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())


def zip_of(files, root=ROOT, extra=()):
    """Return the bytes of a zip with `files` below `root`, and with the pairs of `extra` (name, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zip_file:
        for name, content in [*((root + name, content) for name, content in files.items()), *extra]:
            zip_file.writestr(name, content)
    return buffer.getvalue()


def link(name):
    """Return a zip member that is a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o644) << 16
    return info


def snapshot(folder):
    """Return the content or link target of each path below `folder`."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.is_dir() or path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


class Server:
    """HTTP server whose answer is bytes, a status, or a function of the handler."""

    def __init__(self):
        self.answer, self.n_requests, self.end = 404, 0, threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.n_requests += 1
                self.close_connection = True
                if isinstance(server.answer, int):
                    self.send_error(server.answer)
                elif callable(server.answer):
                    server.answer(self)
                else:
                    send(self, server.answer)

            def log_message(self, *args):
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def serve(self, answer):
        """Set the answer, and return the URL."""
        self.answer = answer
        return f"http://127.0.0.1:{self.http.server_port}/corpus.zip"


def send(handler, content, length=None):
    """Answer 200 with `content`, whose announced length is `length` (None: its own, -1: not announced)."""
    handler.send_response(200)
    if length != -1:
        handler.send_header("Content-Length", str(len(content) if length is None else length))
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.end.set()
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with an incomplete EMOVO in it; FILES are registered as the corpus "tiny"."""
    monkeypatch.setenv("SER_TINY_URL", "")
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "tiny.sha256").write_text(checksums(FILES))
    register(monkeypatch, "EMOVO", file_checksums=tmp_path / "tiny.sha256")
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    (paths.DATA / "EMOVO" / "f1").mkdir(parents=True)
    (paths.DATA / "EMOVO" / "f1" / "mine.wav").write_bytes(b"a clip of the user")
    return paths.DATA


@pytest.fixture
def packed(data, monkeypatch):
    """Return a function that registers an archive, verified by its MD5, as the corpus "tiny"."""

    def make(content):
        register(monkeypatch, "Emo", md5=hashlib.md5(content).hexdigest())
        return content

    return make


def register(monkeypatch, folder, **verification):
    how_to_get = "Download http://by.hand/emovo.zip and put its folders into {folder}."
    source = Download("http://127.0.0.1:9/", archive_bytes=100_000, **verification)
    tiny = Corpus(name="tiny", title="Tiny", folder=folder, how_to_get=how_to_get, download=source)
    monkeypatch.setitem(CORPORA, "tiny", tiny)


def get(url):
    """Download the corpus "tiny" from a mirror."""
    os.environ["SER_TINY_URL"] = url  # the fixture `data` restores it
    return download.fetch("tiny")


def fails(url, expected):
    """Assert that the download fails with one sentence that contains `expected`, and changes no file."""
    before = snapshot(top := paths.DATA.parent)
    with pytest.raises(StudyError) as caught:
        get(url)
    message = str(caught.value)
    assert snapshot(top) == before
    assert re.search(expected, message), message
    assert "\n" not in message and message.endswith(".") and ". " not in message
    return message


# ---- what is registered


def test_the_checksums_are_of_all_588_clips_of_emovo():
    listed = download.read_checksums(CORPORA["emovo"].download.file_checksums)
    assert list(listed) == [
        f"{who}/{what}-{who}-{which}.wav"
        for who in ["f1", "f2", "f3", "m1", "m2", "m3"]
        for what in ["dis", "gio", "neu", "pau", "rab", "sor", "tri"]
        for which in ["b1", "b2", "b3", "d1", "d2", "l1", "l2", "l3", "l4", "n1", "n2", "n3", "n4", "n5"]
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in listed.values())
    assert len(set(listed.values())) == 588


def test_downloads_are_pinned_by_a_commit_or_a_checksum():
    downloads = {name: corpus.download for name, corpus in CORPORA.items() if corpus.download}
    assert list(downloads) == ["emovo", "emodb", "ravdess", "emozionalmente"]
    for name, source in downloads.items():
        assert source.url.startswith("https://") and "{folder}" in CORPORA[name].how_to_get
        if source.file_checksums is None:
            assert re.fullmatch("[0-9a-f]{32}", source.md5)
        else:
            assert re.search(r"/[0-9a-f]{40}\.zip$", source.url)


# ---- a good archive


@pytest.mark.parametrize("length", [None, -1])  # archives that GitHub generates have no announced length
@pytest.mark.parametrize("root", ["", ROOT, "a/b/c d/è/"])
def test_only_the_listed_files_are_in_place_wherever_they_are_in_the_archive(server, data, root, length, capsys):
    extra = [
        ("SER-0123abc/README.md", b"text"),
        (f"another/{FIRST}", b"an older version"),
        (f"{root}f1/Thumbs.db", b"junk"),
        (f"__MACOSX/{root}f1/._gio-f1-b1.wav", b"junk"),
        (link("SER-0123abc/link"), b"/etc/passwd"),
    ]
    (data / "EMOVO").rename(data / "elsewhere")
    folder = get(server.serve(lambda handler: send(handler, zip_of(FILES, root, extra), length)))
    assert folder == data / "EMOVO" and sorted(path.name for path in data.iterdir()) == ["EMOVO", "elsewhere"]
    assert {name: content for name, content in snapshot(folder).items() if content is not True} == FILES
    assert folder.stat().st_mode & 0o777 == data.stat().st_mode & 0o777
    assert re.search("6 files, all checksums match.$", capsys.readouterr().out)


def test_previous_folders_are_kept_and_a_complete_corpus_is_not_downloaded_again(server, data, capsys):
    url = server.serve(zip_of(FILES))
    folder = get(url)
    assert str(data / "EMOVO.before-1") in capsys.readouterr().out
    before = snapshot(data)
    assert get(url) == folder and server.n_requests == 1 and snapshot(data) == before
    assert re.search("already in .*EMOVO: 6 files", capsys.readouterr().out)
    (folder / FIRST).write_bytes(b"changed")
    get(url)
    assert (data / "EMOVO.before-1" / "f1" / "mine.wav").read_bytes() == b"a clip of the user"
    assert (data / "EMOVO.before-2" / FIRST).read_bytes() == b"changed"
    assert (folder / FIRST).read_bytes() == FILES[FIRST]
    assert sorted(path.name for path in data.iterdir()) == ["EMOVO", "EMOVO.before-1", "EMOVO.before-2"]


def test_a_link_to_another_disk_stays_a_link(server, data, tmp_path):
    (data / "EMOVO").rename(tmp_path / "disk")
    (data / "EMOVO").symlink_to(tmp_path / "disk")
    get(server.serve(zip_of(FILES)))
    assert (data / "EMOVO.before-1").readlink() == tmp_path / "disk"
    assert [path.name for path in (tmp_path / "disk").rglob("*.wav")] == ["mine.wav"]
    assert not (data / "EMOVO").is_symlink()


@pytest.mark.parametrize("root", ["", "emo/"])
def test_an_archive_with_an_md5_is_unpacked_wholly_and_known_again(server, data, packed, root):
    extra = [("__MACOSX/emo/audio/._1.wav", b"junk"), (f"{root}.DS_Store", b"junk"), (f"{root}audio/", b"")]
    url = server.serve(packed(zip_of(PACKED, root, extra)))
    folder = get(url)
    files = {name: content for name, content in snapshot(folder).items() if content is not True}
    assert {name: content for name, content in files.items() if not name.startswith(".")} == PACKED
    assert get(url) == folder and server.n_requests == 1
    (folder / "audio/1.wav").write_bytes(b"changed")
    get(url)
    assert (folder / "audio/1.wav").read_bytes() == b"one"
    assert (data / "Emo.before-1" / "audio/1.wav").read_bytes() == b"changed"


def test_the_url_of_the_registry_is_used(server, data, monkeypatch):
    tiny = CORPORA["tiny"]
    source = replace(tiny.download, url=server.serve(zip_of(FILES)))
    monkeypatch.setitem(CORPORA, "tiny", replace(tiny, download=source))
    assert download.fetch("Tiny") == data / "EMOVO" and server.n_requests == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "'nowhere': choose one of emovo, emodb, ravdess, emozionalmente"),
        ("CREMA_D", "'crema-d': Get it from https://github.com/CheyneyComputerScience/CREMA-D"),
    ],
)
def test_a_corpus_without_a_download(data, name, message):
    with pytest.raises(StudyError, match=f"^There is no download for the corpus {message}"):
        download.fetch(name)


# ---- a bad archive


def flipped(content):
    content = bytearray(content)
    content[len(content) // 2] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (zip_of(FILES | {NAMES[4]: b"else", NAMES[5]: FILES[NAMES[5]][:-1]}), f"2 of 6 files are .* differ.*{NAMES[4]}"),
        (zip_of(dict(list(FILES.items())[:4])), f"2 of 6 files are missing.*{NAMES[4]}"),
        (zip_of({}), f"6 of 6 files are missing.*{FIRST}"),
        (
            zip_of(dict([*FILES.items()][1:]), extra=[(link(ROOT + FIRST), b"/etc/passwd")]),
            f"1 of 6 files are .* differ.*{FIRST}",
        ),
        (zip_of({FIRST: bytes(2_000_000)}), "its files have more than 1 MB"),
        (flipped(zip_of(FILES)), "cannot be used: (Bad CRC|Error -3)"),
        (b"", "not a zip file"),
        (zip_of(FILES)[:100_000], "not a zip file"),
        (zip_of(FILES)[:-1], "not a zip file"),
        (b"<html>Please log in to this Wi-Fi</html>", "not a zip file"),
        *(
            (zip_of(FILES, extra=[(name, b"evil")]), "leads outside the folder")
            for name in ("../evil.wav", "SER/../../../f1/evil.wav", "/tmp/evil.wav", "C:evil.wav", "..\\evil.wav")
        ),
        (zip_of(FILES, root="../../"), "leads outside the folder"),
    ],
)
def test_a_bad_archive_is_refused_and_changes_nothing(server, data, content, expected):
    message = fails(server.serve(content), expected)
    assert f"download http://by.hand/emovo.zip and put its folders into {data / 'EMOVO'}" in message


def test_an_archive_with_another_md5_or_an_unsafe_path_is_refused(server, data, packed):
    packed(zip_of(PACKED, ""))
    fails(server.serve(zip_of({**PACKED, "audio/1.wav": b"other"}, "")), "MD5 hash .* does not match the known hash")
    fails(server.serve(packed(zip_of(PACKED, "", [("a/../../out.wav", b"out")]))), "leads outside the folder")


# ---- a bad server, or none


def cut(handler):
    content = zip_of(FILES)
    send(handler, content[:100_000], len(content))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (404, "the server answered 404 Not Found"),
        (503, "answered 503"),
        (cut, "it broke off .*: (ChunkedEncoding|Connection)Error"),
    ],
)
def test_a_server_that_fails(server, data, answer, expected):
    fails(server.serve(answer), expected)


def test_a_server_that_stops_sending(server, data, monkeypatch):
    """It keeps the connection open, so only the time limit ends the download."""
    monkeypatch.setattr(download, "TIMEOUT_S", 1)

    def stall(handler):
        cut(handler)
        server.end.wait()

    fails(server.serve(stall), "it broke off .*: ConnectionError")


@pytest.mark.parametrize("url", ["corpus.zip", "ftp://127.0.0.1/corpus.zip", "http://", "http://127.0.0.1:9/corpus.zip"])
def test_an_address_without_a_server(data, url):
    assert url in fails(url, "no connection to the server")


def test_a_server_that_accepts_and_never_answers(data, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fails(f"http://127.0.0.1:{silent.getsockname()[1]}/", "no connection to the server.*Timeout")


def test_without_a_network_the_name_of_the_server_is_unknown(data, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    fails("https://corpus.invalid/corpus.zip", r"no connection to the server.*\(are you offline\?\)")


# ---- the disk, the user and another process


def test_a_full_disk(server, data):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        message = fails(server.serve(zip_of(FILES)), "could not be written to .*File too large.*free some space")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "SER_DATA" in message


def test_a_data_folder_that_is_a_file(server, data, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(paths, "DATA", tmp_path / "file")
    fails(server.serve(zip_of(FILES)), "could not be written to .*check that you may write")


def test_the_old_folder_comes_back_when_the_new_cannot_take_its_place(server, data, monkeypatch):
    rename = Path.rename

    def refuse(self, target):
        if self.name == "new":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    fails(server.serve(zip_of(FILES)), "could not be written to .*Permission denied")


def test_one_download_at_a_time(server, data):
    (data / ".EMOVO.partial").mkdir()
    with (data / ".EMOVO.partial" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fails(server.serve(zip_of(FILES)), "Another download .* is running: wait")
    get(server.serve(zip_of(FILES)))
    assert not list(data.glob(".*"))


PROGRAM = """
import sys
from pathlib import Path
from ser_utils.corpora import download
from ser_utils.corpora.corpus import Corpus, Download
from ser_utils.corpora.registry import CORPORA
source = Download(sys.argv[2], 100_000, file_checksums=Path(sys.argv[1]))
CORPORA["tiny"] = Corpus(name="tiny", title="Tiny", folder="EMOVO", download=source)
download.fetch("tiny")
"""


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download(server, data, tmp_path, kill):
    is_half_sent = threading.Event()

    def half(handler):
        cut(handler)
        is_half_sent.set()
        server.end.wait()

    before = snapshot(data)
    arguments = [sys.executable, "-c", PROGRAM, tmp_path / "tiny.sha256", server.serve(half)]
    environment = os.environ | {"SER_DATA": str(data)}
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        assert is_half_sent.wait(60)
        while not any(path.stat().st_size for path in data.glob(".EMOVO.partial/work/*")):
            time.sleep(0.02)
        process.send_signal(kill)
        assert process.wait(120) != 0
    assert {name: value for name, value in snapshot(data).items() if not name.startswith(".EMOVO.partial")} == before
    assert (data / ".EMOVO.partial").exists() == (kill == signal.SIGKILL)
    get(server.serve(zip_of(FILES)))
    assert sorted(path.name for path in data.iterdir()) == ["EMOVO", "EMOVO.before-1"]
    assert snapshot(data / "EMOVO.before-1") == {"f1": True, "f1/mine.wav": b"a clip of the user"}
