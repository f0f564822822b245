"""PUTs on one kept TLS connection by blocking ``SSL_write`` calls, and nothing else.

The same OpenSSL library as ours (the one in ``cryptography``'s wheel), on a socket, the
whole body in one call: what the library and the kernel cost by themselves.

    plain_writes.py CPU PORT ROOT_PEM COUNT SIZE
"""

import json
import os
import socket
import sys
import time

from OpenSSL import SSL

SUITE = b"ECDHE-RSA-AES128-GCM-SHA256"


def main() -> None:
    """Send, wait for the answer, again."""
    cpu, port, root, count, size = sys.argv[1:6]
    os.sched_setaffinity(0, {int(cpu)})
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(SUITE)
    context.load_verify_locations(root)
    context.set_verify(SSL.VERIFY_PEER)
    plain = socket.create_connection(("127.0.0.1", int(port)))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = SSL.Connection(context, plain)
    connection.set_tlsext_host_name(b"localhost")
    connection.set_connect_state()
    connection.do_handshake()
    body = os.urandom(int(size))
    head = (
        f"PUT /fleet/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    ).encode()
    began_s = time.process_time()
    for _ in range(int(count)):
        connection.sendall(head)
        connection.sendall(body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(answer.decode("latin-1"))
    spent_s = time.process_time() - began_s
    json.dump({"count": int(count), "cpu_s": spent_s}, sys.stdout)


main()
