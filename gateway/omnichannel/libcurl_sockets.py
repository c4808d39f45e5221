"""The sockets of libcurl, in an epoll of their own that the reactor watches as one descriptor.

libcurl opens, closes and reuses descriptor numbers as it likes, sometimes closing one before it
says so; here that costs nothing, in the reactor it would raise.

libcurl does not look at connections that lie idle, except for a round of its own once a second.
A request within the second after the server closed one (a restart, its idle limit) would go
out on it and have an unknown outcome. So idle sockets stay in the epoll, for their end alone.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll

import pycurl

_EVENTS = {
    pycurl.POLL_IN: EPOLLIN,
    pycurl.POLL_OUT: EPOLLOUT,
    pycurl.POLL_INOUT: EPOLLIN | EPOLLOUT,
}


class Sockets:
    """What libcurl waits for. `watch` is its M_SOCKETFUNCTION."""

    def __init__(self, ended: set[int]) -> None:
        self.ended = ended  # gets the local ports of connections that end while they lie idle
        self._epoll = epoll()
        self._watched: dict[int, bool] = {}  # descriptor: False while its connection lies idle
        self.fileno = self._epoll.fileno
        self.close = self._epoll.close

    def watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        """From now on libcurl waits for these events of this socket."""
        events = _EVENTS.get(what)
        if events is None:  # POLL_REMOVE, sometimes when the socket is closed already
            if fd in self._watched:
                self._watched[fd] = False
                try:
                    self._epoll.modify(fd, EPOLLRDHUP)
                except OSError:  # closing it has removed it
                    del self._watched[fd]
            return
        try:
            if fd in self._watched:
                self._epoll.modify(fd, events)
            else:
                self._epoll.register(fd, events)
        except FileNotFoundError:  # closed without a word and opened again under its number
            self._epoll.register(fd, events)
        except FileExistsError:
            self._epoll.modify(fd, events)
        self._watched[fd] = True

    def ready(self) -> Iterator[tuple[int, int]]:
        """Each descriptor with its CSELECT mask. Serve one before you ask for the next."""
        for fd, events in self._epoll.poll(0):
            wanted = self._watched.get(fd)
            if wanted is None:  # closed by an earlier one of this list
                continue
            if not wanted:
                self._end_of_idle(fd)
                continue
            mask = 0
            if events & EPOLLIN:
                mask |= pycurl.CSELECT_IN
            if events & EPOLLOUT:
                mask |= pycurl.CSELECT_OUT
            if events & (EPOLLERR | EPOLLHUP):
                mask |= pycurl.CSELECT_ERR
            yield fd, mask

    def _end_of_idle(self, fd: int) -> None:
        del self._watched[fd]
        self._epoll.unregister(fd)
        sock = socket.socket(fileno=fd)  # borrowed: it stays libcurl's
        try:
            if sock.family != socket.AF_UNIX:  # the resolver's pair of sockets
                self.ended.add(sock.getsockname()[1])
        finally:
            sock.detach()
