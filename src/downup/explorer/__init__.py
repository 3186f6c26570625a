"""The page that shows what each operator does, and the server on this machine that shows it.

The page is built from `explorer/` of the repository; its arithmetic is the kernels of `native/`, compiled to WebAssembly.
"""

from downup.explorer.files import FILES, write_page
from downup.explorer.server import Server

__all__ = ["FILES", "Server", "write_page"]
