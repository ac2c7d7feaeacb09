"""A hub of models on the loopback interface that misbehaves on demand.

It serves files the way the Hugging Face hub does: texts with a git digest as their ETag, weights by
a redirect that announces size and SHA-256. `hub.faults[path]` is a list of actions; each request for
the path takes the next one, and when none is left the file is served well. Nothing here sleeps: a
stall lasts until the client has hung up.
"""

import hashlib
import http.server
import threading

WEIGHTS = (".safetensors", ".bin", ".pth")


def git_digest(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        hub = self.server.hub
        path = self.path.removeprefix("/store")
        with hub.lock:
            hub.requests.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
            faults = hub.faults.get(self.path, [])
            fault = faults.pop(0) if faults else None
        data = hub.files.get(path)
        if fault and fault[0] == "status":
            self.answer(fault[1], fault[2] if len(fault) > 2 else (), b"trouble")
        elif fault and fault[0] == "redirect":
            self.answer(302, [("Location", fault[1])])
        elif data is None:
            self.answer(404, (), b"Entry not found")
        elif path.endswith(WEIGHTS) and hub.with_store and not self.path.startswith("/store"):
            announced = fault[1] if fault and fault[0] == "announce" else {}
            self.answer(302, [("Location", f"/store{path}"),
                              ("X-Linked-Size", str(announced.get("size", len(data)))),
                              ("X-Linked-Etag",
                               f'"{announced.get("sha256", hashlib.sha256(data).hexdigest())}"')])
        else:
            self.serve(data, fault)

    def serve(self, data, fault):
        kind = fault[0] if fault else ""
        tag = None if self.server.hub.without_tags else f'"{git_digest(data)}"'
        first, wanted = 0, self.headers.get("Range")
        fresh = self.headers.get("If-Range") in (None, tag)
        if wanted and fresh and kind != "ignore-range":
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if kind == "corrupt":
            data = data[:100] + b"\0\0\0\0" + data[104:]
        body = data[first:]
        if wanted and first >= len(data):
            self.answer(416, [("Content-Range", f"bytes */{len(data)}")])
            return
        if kind == "wrong-range":
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first + 7}-{len(data) - 1}/{len(data)}")
            body = data[first + 7:]
        elif first:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if tag:
            self.send_header("ETag", tag)
        length = len(body) + (fault[1] if kind == "lie" else 0)
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 65536):
                piece = body[at:at + 65536]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if kind in ("drop", "stall"):
            body = body[:fault[1]]
        self.wfile.write(body)
        self.wfile.flush()
        if kind in ("stall", "lie"):
            self.server.hub.stalled.set()
            if kind == "stall":
                self.connection.recv(1)  # returns when the client hangs up
        if kind in ("drop", "stall", "lie"):
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients that hang up are what is tested


class Hub:
    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.hub = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.lock = threading.Lock()
        self.stalled = threading.Event()
        self.files, self.faults, self.requests = {}, {}, []
        self.with_store, self.without_tags = True, False
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def add(self, repository, revision, path, data):
        self.files[f"/{repository}/resolve/{revision}/{path}"] = data

    def close(self):
        self.server.shutdown()
        self.server.server_close()
