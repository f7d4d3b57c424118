"""Answers every GET on port 8000 with the host name and what the request asked for, as JSON."""

import json
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Info(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"hostname": socket.gethostname(), "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = ThreadingHTTPServer(("", 8000), Info)
print("listening on 8000")
server.serve_forever()
