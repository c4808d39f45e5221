"""The limit: the engines post the body of a relayed message, without SMPP.

One run keeps N requests in flight against the upstream for some seconds and prints one
JSON line: posts, posts/s, latency p50 and p99, CPU microseconds per POST of this process.

- `pycurl`: a plain CurlMulti loop, no Twisted in the process. Nothing that posts through
  libcurl from Python can be much cheaper.
- `libcurl`, `requests`: the gateway's own engine classes on the reactor.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import resource
import sys
import time
from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import pycurl

from bench.measure import Latencies

if TYPE_CHECKING:
    from twisted.internet.base import ReactorBase

    from gateway.omnichannel.transport import HttpResult, Transport

AUTHORIZATION = "Basic " + b64encode(b"bench:bench").decode()
BODY = (
    b'{"to":"+37255555555","messages":[{"channel":"sms","sender":"Bench",'
    b'"text":"Your code is 123456. It is valid for ten minutes.","autoconvert":"off"}]}'
)
TIMEOUT = 60.0
START_AND_DRAIN = 15.0  # seconds for the first connections, and for answers still in flight


class Window:
    """What is counted: from the first answer after the warm-up, for `seconds`."""

    def __init__(self, warmup: float, seconds: float) -> None:
        self._seconds = seconds
        self._begins = time.perf_counter() + warmup
        self._ends = math.inf
        self.give_up = self._begins + seconds + START_AND_DRAIN
        self.posted = self.failed = self.all = 0
        self.latencies = Latencies()
        self._cpu = [0.0, 0.0]
        self._at = [0.0, 0.0]
        self._open = self._closed = False

    def done(self, started: float, ok: bool) -> bool:
        """Note an answer; True while another request shall follow."""
        now = time.perf_counter()
        self.all += 1
        if not ok:
            self.failed += 1
        if not self._open:
            if now >= self._begins:
                self._open, self._ends = True, now + self._seconds
                self._mark(0, now)
            return True
        if self._closed:
            return False
        self.posted += 1
        self.latencies.add(now - started)
        if now >= self._ends:
            self._closed = True
            self._mark(1, now)
            return False
        return True

    def _mark(self, which: int, now: float) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu[which], self._at[which] = usage.ru_utime + usage.ru_stime, now

    def report(self) -> dict[str, Any]:
        if not self._closed:
            raise SystemExit("the run ended before its time: no answers from the upstream")
        elapsed = self._at[1] - self._at[0]
        return {
            "posted": self.all,
            "failed": self.failed,
            "per_second": self.posted / elapsed,
            "cpu_us": (self._cpu[1] - self._cpu[0]) / self.posted * 1e6,
            **self.latencies.report(),
        }


def _handle(url: str, ca_file: str) -> pycurl.Curl:
    easy = pycurl.Curl()
    easy.setopt(pycurl.URL, url)
    easy.setopt(pycurl.CAINFO, ca_file)
    easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    easy.setopt(pycurl.PIPEWAIT, 1)
    easy.setopt(pycurl.POST, 1)
    easy.setopt(pycurl.POSTFIELDSIZE, len(BODY))
    easy.setopt(pycurl.NOSIGNAL, 1)
    easy.setopt(pycurl.TIMEOUT_MS, int(TIMEOUT * 1000))
    easy.setopt(
        pycurl.HTTPHEADER,
        [f"Authorization: {AUTHORIZATION}", "Content-Type: application/json", "Expect:"],
    )
    return easy


def run_pycurl(url: str, ca_file: str, in_flight: int, window: Window) -> None:
    """Post through one CurlMulti; READFUNCTION, so that libcurl cannot repeat a request."""
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
    started: dict[pycurl.Curl, float] = {}
    answers: dict[pycurl.Curl, BytesIO] = {}

    def post(easy: pycurl.Curl) -> None:
        easy.setopt(pycurl.READFUNCTION, BytesIO(BODY).read)
        answers[easy] = answer = BytesIO()
        easy.setopt(pycurl.WRITEFUNCTION, answer.write)
        started[easy] = time.perf_counter()
        multi.add_handle(easy)

    for _ in range(in_flight):
        post(_handle(url, ca_file))
    while started and time.perf_counter() < window.give_up:
        multi.perform()
        queued, posted = 1, False
        while queued:
            queued, good, bad = multi.info_read()
            for easy in [*good, *(failure[0] for failure in bad)]:
                ok = easy.getinfo(pycurl.RESPONSE_CODE) == 201 and answers[easy].tell() > 0
                multi.remove_handle(easy)
                if window.done(started.pop(easy), ok):
                    post(easy)
                    posted = True
        if started:  # a new request is not among the sockets waited for: perform starts it
            multi.select(0.001 if posted else 0.1)


def run_engine(engine: str, base_url: str, ca_file: str, in_flight: int, window: Window) -> None:
    """Post through the gateway's engine, handed the same reactor as the gateway's."""
    from twisted.internet import reactor as installed  # noqa: TID251  a program of its own

    from gateway.omnichannel.transport import HttpAnswer, TransportSettings

    reactor = cast("ReactorBase", installed)
    settings = TransportSettings(
        base_url=base_url, user_agent="bench", ca_file=ca_file, max_connections=256
    )
    transport: Transport
    if engine == "libcurl":
        from gateway.omnichannel.libcurl import LibcurlTransport

        transport = LibcurlTransport(reactor, settings)
    else:
        from gateway.omnichannel.requests_engine import RequestsTransport

        transport = RequestsTransport(reactor, settings)

    running = in_flight

    def post() -> None:
        begun = time.perf_counter()
        transport.post(
            "/omnimessage", BODY, authorization=AUTHORIZATION, timeout=TIMEOUT
        ).addCallback(functools.partial(answered, begun))

    def answered(begun: float, result: HttpResult) -> None:
        nonlocal running
        if window.done(begun, isinstance(result, HttpAnswer) and result.status == 201):
            post()
            return
        running -= 1
        if not running:
            stop()

    def stop() -> None:
        transport.close().addBoth(lambda _: reactor.stop())

    def begin() -> None:
        for _ in range(in_flight):
            post()

    reactor.callWhenRunning(begin)
    reactor.callLater(window.give_up - time.perf_counter(), reactor.stop)
    reactor.run()


def main() -> None:
    parser = argparse.ArgumentParser(description="post without SMPP")
    parser.add_argument("--engine", choices=["pycurl", "libcurl", "requests"], required=True)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--in-flight", type=int, default=400)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    window = Window(arguments.warmup, arguments.seconds)
    if arguments.engine == "pycurl":
        url = arguments.base_url + "/omnimessage"
        run_pycurl(url, arguments.ca_file, arguments.in_flight, window)
    else:
        run_engine(
            arguments.engine, arguments.base_url, arguments.ca_file, arguments.in_flight, window
        )
    print(json.dumps(window.report()), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
