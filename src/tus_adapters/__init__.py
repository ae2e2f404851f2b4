"""Implementations of the domain's ports: memory, files, and, with an extra, S3; and in ``testing`` the
contract that any other must keep.
"""
