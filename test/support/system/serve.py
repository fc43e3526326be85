"""Serves /srv/www over HTTPS, with the key and certificate beside this file; tells systemd when it does."""
import functools
import http.server
import os
import socket
import ssl

handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/srv/www")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
here = os.path.dirname(__file__)
context.load_cert_chain(f"{here}/server.pem", f"{here}/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server.serve_forever()
