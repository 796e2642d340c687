#!/usr/bin/env python3
"""A model server for tests: fake_endpoint.py SAMPLES PROBLEMS LOG prints its port and answers
POST /v1/completions with the samples of the problem whose prompt is sent, in turn, two a call, each
with a zero byte and more text behind it. It writes n and seed of each call that it answers into
LOG. Some calls fail (FAULTS), the model "slow" takes half a minute, and "huge" writes 2 MB."""
import http.server
import json
import sys
import time

FAULTS = {1: "busy", 4: "gone", 6: "torn", 8: "empty", 10: "limited"}

samples = [json.loads(line) for line in open(sys.argv[1])]
problems = {p["prompt"]: p["task_id"] for p in map(json.loads, open(sys.argv[2]))}
given = {}
calls = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value, cut=0, headers={}):
        body = json.dumps(value).encode()
        body = body[:len(body) - cut]
        self.send_response(status)
        for name in headers:
            self.send_header(name, headers[name])
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
        fault = FAULTS.get(calls)
        if fault == "busy":
            self.refuse(503, "busy")
        elif fault == "gone":
            self.close_connection = True
        elif fault == "torn":
            self.answer(200, {"choices": [{"text": "a"}]}, cut=5)
        elif fault == "empty":
            self.answer(200, {"choices": []})
        elif fault == "limited":
            self.answer(429, {}, headers={"Retry-After": "1"})
        elif not self.authorized():
            self.refuse(401, "who are you?")
        elif ask["model"] not in ("tiny", "slow", "huge"):
            self.refuse(404, "no such model")
        else:
            if ask["model"] == "slow":
                time.sleep(30)
            if ask["model"] == "huge":
                self.answer(200, {"choices": [{"text": "    # " + "\u00e9" * 1000000}]})
                return
            name = problems[ask["prompt"]]
            own = [s["completion"] for s in samples if s["task_id"] == name]
            at = given.get(name, 0)
            count = min(2, ask["n"])
            given[name] = at + count
            with open(sys.argv[3], "a") as log:
                print(ask["n"], ask["seed"], file=log)
            self.answer(200, {"choices": [{"text": own[(at + i) % len(own)] + "\0 and more"}
                                          for i in range(count)]})

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
