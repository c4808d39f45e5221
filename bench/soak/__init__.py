"""A gateway under mixed load for as long as one likes: does anything grow?

`python -m bench.soak --minutes 30` or `make soak MINUTES=30`; docs/performance.md says what is
judged.
"""
