"""What the gRPC tests share: messages from the descriptor set of the build, a client, a server.

No code is generated: messages and methods come from the same FileDescriptorSet that the server's
reflection is made of.
"""

import os
import queue
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("AURICLE_SOURCE", "."), "tests", "cli"))
import cli  # noqa: E402

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError:
    print("python3-grpcio or python3-protobuf is absent")
    sys.exit(cli.MESON_SKIP)

WAIT = 20  # seconds; a bound on what should take none
MODULE = os.environ["GRPC_MODULE"]
FAKE = os.environ["GRPC_FAKE"]

POOL = descriptor_pool.DescriptorPool()
with open(os.environ["GRPC_PROTOSET"], "rb") as _file:
    FILES = descriptor_pb2.FileDescriptorSet.FromString(_file.read())
for _file in FILES.file:
    POOL.Add(_file)
_factory = message_factory.MessageFactory(POOL)


def message(name):
    """The class of a message by its full name."""
    return _factory.GetPrototype(POOL.FindMessageTypeByName(name))


def v1(_name, **fields):
    return message("auricle.v1." + _name)(**fields)


class Client:
    """Calls methods by name: client.call("Transcribe", request)."""

    def __init__(self, port, credentials=None, options=()):
        address = f"127.0.0.1:{port}"
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                   ("grpc.use_local_subchannel_pool", 1), *options]
        self.channel = grpc.secure_channel(address, credentials, options) if credentials else \
            grpc.insecure_channel(address, options)

    def close(self):
        self.channel.close()

    def method(self, name, service="auricle.v1.Auricle"):
        found = POOL.FindServiceByName(service).FindMethodByName(name)
        proto = descriptor_pb2.MethodDescriptorProto()
        found.CopyToProto(proto)
        kind = ("stream" if proto.client_streaming else "unary") + "_" + \
            ("stream" if proto.server_streaming else "unary")
        answer = _factory.GetPrototype(found.output_type)
        return getattr(self.channel, kind)(f"/{service}/{name}",
                                           request_serializer=lambda m: m.SerializeToString(),
                                           response_deserializer=answer.FromString)

    def call(self, name, request, service="auricle.v1.Auricle", timeout=WAIT, **more):
        return self.method(name, service)(request, timeout=timeout, **more)

    def raw(self, path, data, timeout=WAIT, **more):
        """A unary call of bytes to bytes."""
        return self.channel.unary_unary(path)(data, timeout=timeout, **more)


class Fake:
    """The program grpc_fake: a real gRPC server over a made-up service."""

    def __init__(self, *args):
        self.process = subprocess.Popen([FAKE, MODULE, *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=cli.environment())
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self.expect("port").split()[1])

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip())
        self.lines.put("end")

    def expect(self, word):
        """The next line that begins with a word, skipping others."""
        while True:
            line = self.lines.get(timeout=WAIT)
            if line.startswith(word):
                return line
            if line == "end":
                raise AssertionError(f"the server ended before it said {word!r}")

    def do(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def stop(self):
        """Ask it to end; returns its exit status."""
        if self.process.poll() is None:
            self.do("stop")
        status = self.process.wait(timeout=WAIT)
        self.process.stdin.close()
        self.process.stdout.close()
        return status


class Feeder:
    """The sending side of a stream: an iterator that other code puts messages into."""

    def __init__(self, *messages):
        self.queue = queue.Queue()
        for given in messages:
            self.queue.put(given)

    def __iter__(self):
        return iter(self.queue.get, None)

    def put(self, given):
        self.queue.put(given)

    def end(self):
        self.queue.put(None)
