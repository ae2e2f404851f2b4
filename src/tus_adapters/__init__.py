"""Implementations of the domain's ports: memory, files, and, with an extra, S3.

In ``testing`` is the contract that any other must keep. There is nothing in the package itself, so that one
adapter can be used without what another one needs.
"""

__all__: list[str] = []
