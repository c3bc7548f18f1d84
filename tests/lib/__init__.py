"""Shared parts of the test harnesses: protocol client and server processes."""
