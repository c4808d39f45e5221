"""Measure the gateway on one machine: what a message costs, and what the limit is.

`python -m bench` starts every part as a process of its own: the upstream (a local HTTPS
stub of the API), the gateway as installed, the load generator, and the bare engines that
post the same bodies without SMPP. docs/performance.md says how to read the result.
"""
