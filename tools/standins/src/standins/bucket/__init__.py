"""A real S3-compatible store for the tests of the archive: versitygw over a directory."""

from standins.bucket.server import BUCKET, Bucket, find_versitygw

__all__ = ["BUCKET", "Bucket", "find_versitygw"]
