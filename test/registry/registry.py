#!/usr/bin/env python3
"""A registry of images on loopback, for tests of pulls: version 2 of the Registry API, as far as an engine reads it.

    registry.py [options] FILE…        serves the images of files that `docker save` wrote

Its first line says the port. It ends when its standard input does. Faults:

    --rate BYTES             so many bytes a second, of all layers together
    --refuse                 401 to every request
    --break-at BYTES         a layer breaks off there: the connection is closed
    --breaks COUNT           only so many times; then layers are whole, and ranges of them are answered
    --add NAME=IMAGE+BYTES…  also serves, as NAME, the image with layers of so many random bytes laid over it, all of them
                             such as nobody else has
"""

import argparse
import hashlib
import io
import json
import os
import random
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Blob:
    """Bytes with a digest: in memory, or a part of a file."""

    def __init__(self, digest, size, data=None, path=None, offset=0):
        self.digest, self.size, self.data, self.path, self.offset = digest, size, data, path, offset
        self.is_layer = False

    @staticmethod
    def of(data):
        return Blob("sha256:" + hashlib.sha256(data).hexdigest(), len(data), data)

    def open(self):
        if self.data is not None:
            return io.BytesIO(self.data)
        file = open(self.path, "rb")
        file.seek(self.offset)
        return file


class Images:
    """What is served: manifests by repository and tag or digest, blobs by digest."""

    def __init__(self):
        self.manifests, self.blobs, self.parts = {}, {}, {}

    def read(self, path):
        """Takes the images of a file that `docker save` wrote."""
        with tarfile.open(path, "r:") as tar:
            for image in json.load(tar.extractfile("manifest.json")):
                config = tar.extractfile(image["Config"]).read()
                digests = json.loads(config)["rootfs"]["diff_ids"]
                layers = [self.layer(tar, path, *pair) for pair in zip(image["Layers"], digests)]
                for tag in image["RepoTags"]:
                    self.serve(tag, json.loads(config), layers)

    @staticmethod
    def layer(tar, path, name, digest):
        member = tar.getmember(name)
        if member.issym():
            member = tar.getmember(os.path.normpath(os.path.join(os.path.dirname(name), member.linkname)))
        # Some engines save layers as they were sent, by the digest of that.
        if name.startswith("blobs/sha256/"):
            digest = "sha256:" + os.path.basename(name)
        return Blob(digest, member.size, path=path, offset=member.offset_data)

    def add(self, what):
        """NAME=IMAGE+BYTES…: layers of random bytes, which nothing makes smaller on the way."""
        name, _, sources = what.partition("=")
        base, *sizes = sources.split("+")
        config, layers = self.parts[base]
        config = json.loads(json.dumps(config))
        # All of its layers are its own. An engine does not fetch what it has, and one that fetches the same layer for two
        # pulls, of whatever registries, does so once: what breaks here would break there.
        with layers[-1].open() as file:
            last = self.lay(file.read(layers[-1].size), "random", 16)
        layers = [*layers[:-1], last, *(self.lay(b"", f"random-{at}", int(size)) for at, size in enumerate(sizes))]
        config["rootfs"]["diff_ids"] = [layer.digest for layer in layers]
        config.pop("history", None)
        self.serve(name, config, layers)

    @staticmethod
    def lay(layer, name, size):
        """A layer with one more file."""
        out = io.BytesIO(layer)
        with tarfile.open(fileobj=out, mode="a:" if layer else "w:") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, io.BytesIO(random.randbytes(size)))
        return Blob.of(out.getvalue())

    def serve(self, name, config, layers):
        self.parts[name] = config, layers
        repository, _, tag = name.rpartition(":")
        blob = Blob.of(json.dumps(config).encode())
        manifest = Blob.of(json.dumps({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": blob.size, "digest": blob.digest},
            "layers": [{"mediaType": LAYER, "size": layer.size, "digest": layer.digest} for layer in layers],
        }).encode())
        self.manifests[repository, tag] = self.manifests[repository, manifest.digest] = manifest
        self.blobs[blob.digest] = blob
        for layer in layers:
            layer.is_layer = True
            self.blobs[layer.digest] = layer


class Faults:
    """What is to go wrong, shared by all connections."""

    def __init__(self, options):
        self.refuse, self.rate, self.break_at = options.refuse, options.rate, options.break_at
        self.breaks = options.breaks
        self.lock, self.free = threading.Lock(), time.monotonic()

    def wait(self, size):
        """Until so many bytes may go."""
        if self.rate:
            with self.lock:
                self.free = max(self.free, time.monotonic()) + size / self.rate
                until = self.free
            time.sleep(max(0, until - time.monotonic()))

    def end_of(self, blob):
        """Where a blob breaks off, or its size."""
        with self.lock:
            if not blob.is_layer or self.break_at is None or self.break_at >= blob.size or self.breaks == 0:
                return blob.size
            if self.breaks is not None:
                self.breaks -= 1
            return self.break_at


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    images = faults = None

    def do_GET(self):
        path = self.path.partition("?")[0]
        if self.faults.refuse:
            return self.fail(401, "UNAUTHORIZED", "authentication required",
                             {"WWW-Authenticate": 'Basic realm="test"'})
        if path.rstrip("/") == "/v2":
            return self.give(Blob.of(b"{}"), "application/json")
        repository, kind, name = self.parts(path)
        if kind == "manifests":
            blob, code, media = self.images.manifests.get((repository, name)), "MANIFEST_UNKNOWN", MANIFEST
        else:
            blob, code, media = self.images.blobs.get(name), "BLOB_UNKNOWN", "application/octet-stream"
        if blob is None:
            return self.fail(404, code, f"{repository} has no {name}")
        return self.give(blob, media)

    do_HEAD = do_GET

    @staticmethod
    def parts(path):
        for kind in ("manifests", "blobs"):
            repository, found, name = path.removeprefix("/v2/").rpartition(f"/{kind}/")
            if found:
                return repository, kind, name
        return path, "blobs", ""

    def give(self, blob, media):
        start = self.start_of(blob)
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(blob.size - start))
        self.send_header("Docker-Content-Digest", blob.digest)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{blob.size - 1}/{blob.size}")
        self.end_headers()
        if self.command == "GET":
            self.send(blob, start)

    def start_of(self, blob):
        """An engine goes on where it was broken off: `Range: bytes=START-`."""
        unit, _, span = self.headers.get("Range", "").partition("=")
        start = span.partition("-")[0]
        return int(start) if unit == "bytes" and start.isdigit() and int(start) < blob.size else 0

    def send(self, blob, at):
        end = self.faults.end_of(blob)
        piece = max(1, min(1 << 16, (self.faults.rate or 1 << 20) // 20))
        try:
            with blob.open() as file:
                file.seek(at, os.SEEK_CUR)
                while at < end:
                    data = file.read(min(piece, end - at))
                    if blob.is_layer:
                        self.faults.wait(len(data))
                    self.wfile.write(data)
                    at += len(data)
        except ConnectionError:
            self.close_connection = True
        if end < blob.size:
            self.close_connection = True

    def fail(self, status, code, message, heads=None):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.send_response(status)
        for name, value in (heads or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        """Nobody reads along; what a client is told, a test looks at there."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=int)
    parser.add_argument("--refuse", action="store_true")
    parser.add_argument("--break-at", type=int)
    parser.add_argument("--breaks", type=int)
    parser.add_argument("--add", action="append", default=[])
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    images = Images()
    for file in options.files:
        images.read(file)
    for what in options.add:
        images.add(what)
    Door.images, Door.faults = images, Faults(options)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Door)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
