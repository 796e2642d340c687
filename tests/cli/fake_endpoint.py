#!/usr/bin/env python3
"""A model server for tests: fake_endpoint.py SAMPLES PROBLEMS prints its port and answers
POST /v1/completions with the samples of the problem whose prompt is sent, in turn, two a call. The
first call of all is refused as by a server that is busy, and the fourth is cut off."""
import http.server
import json
import sys

samples = [json.loads(line) for line in open(sys.argv[1])]
problems = {p["prompt"]: p["task_id"] for p in map(json.loads, open(sys.argv[2]))}
given = {}
calls = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, why):
        self.answer(status, {"error": {"message": why}})

    def authorized(self):
        return self.headers.get("Authorization") == "Bearer secret"

    def do_GET(self):
        if not self.authorized():
            self.refuse(401, "who are you?")
        else:
            self.answer(200, {"data": [{"id": "tiny"}]})

    def do_POST(self):
        global calls
        ask = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls += 1
        if calls == 1:
            self.refuse(503, "busy")
            return
        if calls == 4:
            self.close_connection = True
            return
        if not self.authorized():
            self.refuse(401, "who are you?")
        elif ask["model"] != "tiny":
            self.refuse(404, "no such model")
        else:
            name = problems[ask["prompt"]]
            own = [s["completion"] for s in samples if s["task_id"] == name]
            at = given.get(name, 0)
            count = min(2, ask["n"])
            given[name] = at + count
            self.answer(200, {"choices": [{"text": own[(at + i) % len(own)]}
                                          for i in range(count)]})

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
