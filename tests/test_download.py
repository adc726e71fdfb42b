"""Download of a corpus from a local HTTP server: correct, broken, malicious, silent and missing archives."""

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
from unittest import mock

import pytest
import requests

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora import archive, download
from ser_utils.corpora.corpus import Corpus, Download
from ser_utils.corpora.registry import CORPORA

NAMES = [f"{speaker}/{emotion}-{speaker}-b1.wav" for speaker in ("f1", "m1") for emotion in ("gio", "neu", "tri")]
FILES = {name: os.urandom(30_000) for name in NAMES}
FIRST = "f1/gio-f1-b1.wav"
ROOT = "SER-0123abc/data/EMOVO/"
TIMEOUT_S = 0.6


def checksums(files):
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())


def zip_of(files, root=ROOT, extra=()):
    """Return the bytes of a zip with `files` below `root`, and with the pairs of `extra` (name, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zip_file:
        for name, content in [*((root + name, content) for name, content in files.items()), *extra]:
            zip_file.writestr(name, content)
    return buffer.getvalue()


def member(name, kind):
    """Return a zip member that is not a regular file."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (kind | 0o644) << 16
    return info


def snapshot(folder):
    """Return the content or link target of each path below `folder`."""
    return {
        str(path.relative_to(folder)): path.readlink() if path.is_symlink() else path.is_dir() or path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


class Server:
    """HTTP server with an answer per path: bytes, a status, or a function of the handler."""

    def __init__(self):
        self.routes, self.requests, self.end = {}, [], threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.requests.append(self.path)
                self.close_connection = True
                answer = server.routes.get(self.path, 404)
                if isinstance(answer, int):
                    self.send_error(answer)
                elif callable(answer):
                    answer(self)
                else:
                    send(self, answer)

            def log_message(self, *args):
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def serve(self, answer, path="/corpus.zip"):
        """Set the answer for `path`, and return its URL."""
        self.routes[path] = answer
        return self.address + path

    def close(self):
        self.end.set()
        self.http.shutdown()
        self.http.server_close()


def send(handler, content, length=None, headers=()):
    """Answer 200 with `content`, whose announced length is `length` (None: its own, -1: not announced)."""
    handler.send_response(200)
    if length != -1:
        handler.send_header("Content-Length", str(len(content) if length is None else length))
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with an incomplete EMOVO in it; FILES are registered as the corpus "tiny"."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ser_tiny_url"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "tiny.sha256").write_text(checksums(FILES))
    monkeypatch.setitem(CORPORA, "tiny", tiny_corpus("EMOVO", file_checksums=tmp_path / "tiny.sha256"))
    data = tmp_path / "data"
    monkeypatch.setattr(paths, "DATA", data)
    monkeypatch.setattr(download, "TIMEOUT_S", TIMEOUT_S)
    (data / "EMOVO" / "f1").mkdir(parents=True)
    (data / "EMOVO" / "f1" / "mine.wav").write_bytes(b"a clip of the user")
    return data


def tiny_corpus(folder, **verification):
    how_to_get = "Download http://by.hand/emovo.zip and put its folders into {folder}."
    source = Download("http://127.0.0.1:9/", archive_bytes=100_000, max_bytes=1_000_000, **verification)
    return Corpus(name="tiny", title="Tiny", folder=folder, how_to_get=how_to_get, download=source)


def get(url, data):
    """Download the corpus "tiny" from `url` into the folder `data`."""
    with mock.patch.dict(os.environ, SER_TINY_URL=url), mock.patch.object(paths, "DATA", data):
        return download.fetch("tiny")


def fails(url, data, expected):
    """Assert that the download soon fails with one sentence that contains `expected`, and changes no file."""
    before, start_s = snapshot(data.parent), time.monotonic()
    with pytest.raises(StudyError) as caught:
        get(url, data)
    took_s, sentence = time.monotonic() - start_s, str(caught.value)
    assert snapshot(data.parent) == before
    assert took_s < TIMEOUT_S + 3
    assert re.search(expected, sentence), sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert ". " not in sentence, "more than one sentence"
    return sentence


# ---- what is committed


def test_the_checksums_are_of_all_588_clips_of_emovo():
    names = [
        f"{who}/{what}-{who}-{which}.wav"
        for who in ["f1", "f2", "f3", "m1", "m2", "m3"]
        for what in ["dis", "gio", "neu", "pau", "rab", "sor", "tri"]
        for which in ["b1", "b2", "b3", "d1", "d2", "l1", "l2", "l3", "l4", "n1", "n2", "n3", "n4", "n5"]
    ]
    listed = archive.read_checksums(CORPORA["emovo"].download.file_checksums)
    assert list(listed) == names
    assert len(names) == 588
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in listed.values())
    assert len(set(listed.values())) == 588


def test_the_address_is_pinned_and_the_time_without_an_answer_leaves_room_below_15_s():
    emovo = CORPORA["emovo"]
    commit = "c13834136874dbf9404f077fd977890605ac90bd"
    assert emovo.download.url == f"https://github.com/fp1acm8/SER/archive/{commit}.zip"
    assert download.TIMEOUT_S <= 12
    for word in (emovo.download.url, "its folder data/EMOVO", "drive.google.com", "kaggle.com", "{folder}"):
        assert word in emovo.how_to_get


# ---- a good archive


def test_a_good_archive_is_in_place_and_nothing_else(server, data, capsys):
    extra = [
        ("SER-0123abc/README.md", b"text"),
        (ROOT, b""),
        (ROOT + "f1/Thumbs.db", b"junk"),
        (f"__MACOSX/{ROOT}f1/._gio-f1-b1.wav", b"junk"),
        (member("SER-0123abc/link", stat.S_IFLNK), b"/etc/passwd"),
    ]
    (data / "EMOVO" / "f1" / "mine.wav").unlink()
    (data / "EMOVO" / "f1").rmdir()
    (data / "EMOVO").rmdir()
    folder = get(server.serve(zip_of(FILES, extra=extra)), data)
    assert folder == data / "EMOVO"
    assert {name: content for name, content in snapshot(data).items() if content is not True} == {
        f"EMOVO/{name}": content for name, content in FILES.items()
    }
    assert folder.stat().st_mode & 0o777 == data.stat().st_mode & 0o777
    assert re.search("6 files, all checksums match.$", capsys.readouterr().out)


@pytest.mark.parametrize("root", ["", "EMOVO/", "a/b/c d/è/"])
def test_the_folder_may_lie_anywhere_in_the_archive(server, data, root):
    few = dict(list(FILES.items())[:3])
    other = [(f"another/{name}", b"an older version") for name in few]
    folder = get(server.serve(zip_of(FILES, root, extra=other)), data)
    assert not archive.differing(folder, archive.read_checksums(CORPORA["tiny"].download.file_checksums))


def test_an_archive_of_unknown_length_like_those_of_github(server, data):
    folder = get(server.serve(lambda handler: send(handler, zip_of(FILES), length=-1)), data)
    assert (folder / FIRST).read_bytes() == FILES[FIRST]


def test_588_files(server, data, tmp_path):
    names = archive.read_checksums(CORPORA["emovo"].download.file_checksums)
    files = {name: name.encode() for name in names}
    (tmp_path / "tiny.sha256").write_text(checksums(files))
    folder = get(server.serve(zip_of(files)), data)
    assert sum(path.is_file() for path in folder.rglob("*")) == 588
    bad = {**files, "m3/tri-m3-n5.wav": b"other", "f2/neu-f2-l1.wav": b"other"}
    (folder / FIRST.replace("b1", "b2")).unlink()
    fails(server.serve(zip_of(bad)), data, "2 of 588 files differ from the published ones, the first is f2/neu-f2-l1.wav")


def test_what_was_there_before_is_kept_beside_each_time(server, data, capsys):
    url = server.serve(zip_of(FILES))
    folder = get(url, data)
    assert str(data / "EMOVO.before-1") in capsys.readouterr().out
    (folder / FIRST).write_bytes(b"changed")
    get(url, data)
    assert (data / "EMOVO.before-1" / "f1" / "mine.wav").read_bytes() == b"a clip of the user"
    assert (data / "EMOVO.before-2" / FIRST).read_bytes() == b"changed"
    assert (folder / FIRST).read_bytes() == FILES[FIRST]
    assert sorted(path.name for path in data.iterdir()) == ["EMOVO", "EMOVO.before-1", "EMOVO.before-2"]


def test_a_link_to_another_disk_stays_a_link(server, data, tmp_path):
    (data / "EMOVO").rename(tmp_path / "disk")
    (data / "EMOVO").symlink_to(tmp_path / "disk")
    get(server.serve(zip_of(FILES)), data)
    assert (data / "EMOVO.before-1").readlink() == tmp_path / "disk"
    assert [path.name for path in (tmp_path / "disk").rglob("*.wav")] == ["mine.wav"]
    assert not (data / "EMOVO").is_symlink()


def test_a_complete_corpus_is_not_downloaded_again(server, data, capsys):
    url = server.serve(zip_of(FILES))
    get(url, data)
    before = snapshot(data)
    capsys.readouterr()
    assert get(url, data) == data / "EMOVO"
    assert server.requests == ["/corpus.zip"]
    assert snapshot(data) == before
    assert re.search("already in .*EMOVO: 6 files", capsys.readouterr().out)


def test_the_progress_bar_ends_full(server, data, capsys):
    get(server.serve(zip_of(FILES)), data)
    assert re.search(r"EMOVO: 100%.*18\dk/18\dk", capsys.readouterr().err)


def test_the_url_of_the_registry_is_used(server, data, monkeypatch):
    content = server.serve(zip_of(FILES))
    tiny = CORPORA["tiny"]
    monkeypatch.setitem(CORPORA, "tiny", replace(tiny, download=replace(tiny.download, url=content)))
    assert download.fetch("tiny") == data / "EMOVO"
    assert server.requests == ["/corpus.zip"]


def test_an_unknown_name_lists_what_there_is(data):
    with pytest.raises(StudyError, match=r"'nowhere': choose one of emovo, emodb, ravdess, emozionalmente"):
        download.fetch("nowhere")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("CREMA_D", "Get it from https://github.com/CheyneyComputerScience/CREMA-D"),
        ("savee", "Ask for it at http://kahlan.eps.surrey.ac.uk/savee"),
        ("TESS", "Download it from https://doi.org/10.5683/SP2/E8H2MF"),
    ],
)
def test_a_corpus_that_is_not_downloaded_says_where_to_ask(data, name, where):
    with pytest.raises(StudyError) as caught:
        download.fetch(name)
    assert str(caught.value).startswith("There is no download for the corpus") and where in str(caught.value)
    assert str(data) in str(caught.value) and str(caught.value).endswith(".")


# ---- an archive with a checksum of its own

PACKED = {"audio/1.wav": b"one", "audio/2.wav": b"two", "metadata/samples.csv": b"file_name,actor"}


@pytest.fixture
def packed(data, monkeypatch):
    """Return a function that registers an archive, verified by its MD5, as the corpus "tiny"."""

    def make(content):
        monkeypatch.setitem(CORPORA, "tiny", tiny_corpus("Emo", md5=hashlib.md5(content).hexdigest()))
        return content

    return make


@pytest.mark.parametrize("root", ["", "emo/"])
def test_an_archive_with_an_md5_is_unpacked_wholly_and_known_again(server, data, packed, capsys, root):
    extra = [("__MACOSX/emo/audio/._1.wav", b"junk"), (f"{root}.DS_Store", b"junk"), (f"{root}audio/", b"")]
    url = server.serve(packed(zip_of(PACKED, root, extra)))
    folder = get(url, data)
    there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {name: content for name, content in there.items() if not name.startswith(".")} == PACKED
    assert get(url, data) == folder and server.requests == ["/corpus.zip"]
    assert "already in" in capsys.readouterr().out
    (folder / "audio/1.wav").write_bytes(b"changed")
    get(url, data)
    assert (folder / "audio/1.wav").read_bytes() == b"one"
    assert (data / "Emo.before-1" / "audio/1.wav").read_bytes() == b"changed"


def test_another_archive_than_the_published_one_is_refused(server, data, packed):
    packed(zip_of(PACKED, ""))
    url = server.serve(zip_of({**PACKED, "audio/1.wav": b"other"}, ""))
    fails(url, data, "is not the published archive, its MD5 is [0-9a-f]{32}, not [0-9a-f]{32}; .* download http://by.hand")


@pytest.mark.parametrize("name", ["../out.wav", "/etc/out.wav", "a/../../out.wav", "C:/out.wav", "a\\..\\out.wav"])
def test_no_file_of_an_archive_leaves_its_folder(server, data, packed, name):
    fails(server.serve(packed(zip_of(PACKED, "", [(name, b"out")]))), data, "leads outside the folder")


def test_links_in_an_archive_are_refused(server, data, packed):
    content = packed(zip_of(PACKED, "", [(member("audio/3.wav", stat.S_IFLNK), b"/etc/passwd")]))
    fails(server.serve(content), data, "its member audio/3.wav is not a regular file")


@pytest.mark.parametrize("name", ["emodb", "ravdess", "emozionalmente"])
def test_open_corpora_are_pinned_by_the_checksum_that_zenodo_states(name):
    source, how_to_get = CORPORA[name].download, CORPORA[name].how_to_get
    assert re.fullmatch(r"https://zenodo\.org/records/\d+/files/[\w.-]+\.zip", source.url)
    assert re.fullmatch("[0-9a-f]{32}", source.md5) and source.file_checksums is None
    assert source.archive_bytes < source.max_bytes
    assert "zenodo" in how_to_get and "{folder}" in how_to_get


def test_a_mirror_is_named_by_the_environment(server, data, packed, monkeypatch):
    content = packed(zip_of(PACKED, ""))
    monkeypatch.setitem(CORPORA, "emozionalmente", replace(CORPORA["tiny"], name="emozionalmente"))
    monkeypatch.setenv("SER_EMOZIONALMENTE_URL", server.serve(content))
    assert download.fetch("Emozionalmente") == data / "Emo"


# ---- a bad archive


def test_a_tampered_archive_says_how_many_files_and_which(server, data):
    files = {
        **FILES,
        "m1/neu-m1-b1.wav": b"something else",
        "m1/tri-m1-b1.wav": FILES["m1/tri-m1-b1.wav"][:-1],
    }
    sentence = fails(server.serve(zip_of(files)), data, "2 of 6 files differ from the published ones, .* m1/neu-m1-b1.wav")
    assert f"put its folders into {data / 'EMOVO'}" in sentence


def test_a_flipped_bit_in_the_zip(server, data):
    content = bytearray(zip_of(FILES))
    content[len(content) // 2] ^= 1
    fails(server.serve(bytes(content)), data, "1 of 6 files differ from the published ones")


def test_missing_files(server, data):
    few = {name: content for name, content in FILES.items() if "neu" not in name}
    fails(server.serve(zip_of(few)), data, "2 of 6 files are missing in it, the first is f1/neu-f1-b1.wav")
    fails(server.serve(zip_of({})), data, f"6 of 6 files are missing in it, the first is {FIRST}")


def test_less_than_was_announced(server, data):
    content = zip_of(FILES)
    fails(
        server.serve(lambda handler: send(handler, content[:100_000], len(content))),
        data,
        "the connection broke after 0.1 MB",
    )
    fails(
        server.serve(lambda handler: send(handler, content, len(content) + 9)),
        data,
        "the connection broke after 0.[12] MB",
    )


@pytest.mark.parametrize("part", [0, 0.5, 0.999])
def test_a_cut_zip(server, data, part):
    content = zip_of(FILES)
    fails(server.serve(content[: int(part * len(content))]), data, "not a complete zip archive")


def test_a_page_instead_of_an_archive(server, data):
    fails(server.serve(b"<html>Please log in to this Wi-Fi</html>"), data, "not a complete zip archive")


@pytest.mark.parametrize(
    "name",
    ["../evil.wav", "SER/../../../f1/evil.wav", "/tmp/evil.wav", "C:/evil.wav", "C:evil.wav", "..\\evil.wav"],
)
def test_a_member_that_leads_outside(server, data, name):
    fails(server.serve(zip_of(FILES, extra=[(name, b"evil")])), data, "leads outside the folder")


def test_a_clip_that_leads_outside(server, data):
    fails(server.serve(zip_of(FILES, root="../../")), data, "leads outside the folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_instead_of_a_clip(server, data, kind):
    rest = {name: content for name, content in FILES.items() if name != FIRST}
    content = zip_of(rest, extra=[(member(ROOT + FIRST, kind), b"/etc/passwd")])
    fails(server.serve(content), data, f"its member {FIRST} is not a regular file but a link")


def test_a_link_in_place_of_a_folder_is_not_followed(server, data, tmp_path):
    (tmp_path / "outside").mkdir()
    link = (member(ROOT + "f1", stat.S_IFLNK), str(tmp_path / "outside").encode())
    folder = get(server.serve(zip_of(FILES, extra=[link])), data)
    assert not list((tmp_path / "outside").iterdir())
    assert not (folder / "f1").is_symlink()
    assert (folder / FIRST).read_bytes() == FILES[FIRST]


def test_a_bomb(server, data):
    content = zip_of({**FILES, FIRST: bytes(2_000_000)})
    assert len(content) < 1_000_000
    fails(server.serve(content), data, "its files have more than 1 MB, which cannot be the corpus")


def test_a_server_that_sends_too_much(server, data):
    def flood(handler):
        send(handler, b"", length=-1)
        for _ in range(50):  # finite, so that a missing limit fails the test instead of blocking it
            handler.wfile.write(bytes(100_000))

    fails(server.serve(flood), data, "the archive has more than 1 MB, which cannot be the corpus")


# ---- a bad server, or none


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_a_refusing_server(server, data, status):
    fails(server.serve(status), data, f"the server answered {status} [A-Z]")


def test_nothing_at_the_address_says_what_to_do_by_hand(data):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/corpus.zip"
    sentence = fails(url, data, "no connection to the server")
    assert url in sentence
    assert f"download http://by.hand/emovo.zip and put its folders into {data / 'EMOVO'}" in sentence


def test_a_server_that_accepts_and_never_answers(data):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fails(f"http://127.0.0.1:{silent.getsockname()[1]}/", data, "sent nothing or almost nothing for 0.6 seconds")


def test_a_server_that_stalls_in_the_middle(server, data):
    content = zip_of(FILES)

    def stall(handler):
        send(handler, content[:70_000], len(content))
        server.end.wait()

    fails(server.serve(stall), data, "sent nothing or almost nothing for 0.6 seconds")


def test_a_server_that_drips(server, data):
    def drip(handler):
        send(handler, b"", headers=[("Transfer-Encoding", "chunked")], length=-1)
        for _ in range(100):
            handler.wfile.write(b"1\r\nx\r\n")
            server.end.wait(0.05)

    fails(server.serve(drip), data, "sent nothing or almost nothing for 0.6 seconds")


def test_a_slow_server_is_waited_for_as_long_as_something_comes(server, data, monkeypatch):
    content = zip_of(FILES)

    def slow(handler):
        send(handler, b"", len(content))
        for start in range(0, len(content), 70_000):
            handler.wfile.write(content[start : start + 70_000])
            server.end.wait(0.5)

    start_s = time.monotonic()
    monkeypatch.setattr(download, "TIMEOUT_S", 0.9)
    get(server.serve(slow), data)
    assert time.monotonic() - start_s > 0.9


def test_a_name_that_is_not_there(data, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    fails("http://corpus.invalid/corpus.zip", data, "no connection to the server")


def test_a_name_server_that_never_answers(data, monkeypatch):
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: end.wait(20) and [])
    fails("http://corpus.invalid/corpus.zip", data, "sent nothing or almost nothing for 0.6 seconds")
    end.set()


def test_a_dead_proxy_is_named(data, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    fails("http://corpus.invalid/corpus.zip", data, "the proxy in the environment variables")


@pytest.mark.parametrize("url", ["corpus.zip", "ftp://127.0.0.1/corpus.zip", "http://", f"http://{'a' * 64}.it/"])
def test_an_address_that_is_none(data, url):
    fails(url, data, "this is not the address of a web server")


def test_the_certificate_is_verified(server, data, monkeypatch):
    asked = {}

    def refused(url, **settings):
        asked.update(settings)
        raise requests.exceptions.SSLError("certificate verify failed")

    monkeypatch.setattr(requests, "get", refused)
    fails("https://127.0.0.1/corpus.zip", data, "certificate could not be verified")
    assert asked.get("verify", True) is True


# ---- the disk, the user and another process


def test_a_full_disk(server, data):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        sentence = fails(server.serve(zip_of(FILES)), data, "could not be written to .*File too large.*free some space")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "SER_DATA" in sentence


def test_a_data_folder_that_is_a_file(server, data, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    fails(server.serve(zip_of(FILES)), tmp_path / "file", "could not be written to .*check that you may write")
    fails(server.serve(zip_of(FILES)), tmp_path / "file" / "data", "could not be written to")


def test_the_old_folder_comes_back_when_the_new_cannot_take_its_place(server, data, monkeypatch):
    rename = Path.rename

    def refuse(self, target):
        if ".partial-" in str(self):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    fails(server.serve(zip_of(FILES)), data, "could not be written to .*Permission denied")


def test_one_download_at_a_time(server, data):
    fcntl = pytest.importorskip("fcntl")
    handle = os.open(data, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    (data / ".EMOVO.partial-other").mkdir()
    fails(server.serve(zip_of(FILES)), data, "Another download .* is running: wait")
    os.close(handle)
    get(server.serve(zip_of(FILES)), data)
    assert not list(data.glob(".*"))


@pytest.mark.parametrize("system", ["no fcntl", "no lock"])
def test_without_locks_the_work_of_others_is_left_alone(server, data, monkeypatch, system):
    def unsupported(*args):
        raise OSError(9, "Bad file descriptor")

    if system == "no lock":
        monkeypatch.setattr(download.fcntl, "flock", unsupported)
    else:
        monkeypatch.setattr(download, "fcntl", None)
    (data / ".EMOVO.partial-other").mkdir()
    get(server.serve(zip_of(FILES)), data)
    assert [path.name for path in data.glob(".*")] == [".EMOVO.partial-other"]


PROGRAM = """
import sys
from pathlib import Path
from ser_utils.corpora import download
from ser_utils.corpora.corpus import Corpus, Download
from ser_utils.corpora.registry import CORPORA
source = Download(sys.argv[2], 1, 1_000_000, file_checksums=Path(sys.argv[1]))
CORPORA["tiny"] = Corpus(name="tiny", title="Tiny", folder="EMOVO", download=source)
download.TIMEOUT_S = 30
download.fetch("tiny")
"""


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download(server, data, tmp_path, kill):
    content = zip_of(FILES)
    is_half_sent = threading.Event()

    def stall(handler):
        send(handler, content[:100_000], len(content))
        is_half_sent.set()
        server.end.wait()

    before = snapshot(tmp_path)
    arguments = [sys.executable, "-c", PROGRAM, tmp_path / "tiny.sha256", server.serve(stall, "/stall")]
    environment = os.environ | {"SER_DATA": str(data)}
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        assert is_half_sent.wait(20)
        while not any(path.stat().st_size for path in data.glob(".EMOVO.partial-*/archive.zip")):
            time.sleep(0.02)
        process.send_signal(kill)
        assert process.wait(5) != 0
    assert (snapshot(tmp_path) == before) == (kill == signal.SIGINT)
    get(server.serve(content), data)
    assert sorted(path.name for path in data.iterdir()) == ["EMOVO", "EMOVO.before-1"]
    assert snapshot(data / "EMOVO.before-1") == {"f1": True, "f1/mine.wav": b"a clip of the user"}
