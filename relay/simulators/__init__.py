"""Strict fakes of the providers, for development, tests and benchmarks.

They import nothing of the relay, and speak HTTP/2 through `h2`, so that they can disagree with it. Google's speak
HTTP/1.1 too, through `httptools`.
"""
