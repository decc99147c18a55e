"""Where does a command that serves listen?"""

import socket
from errno import EADDRINUSE

from touchline.commands.output import failed
from touchline.serve import listen


def listening(host: str, port: int) -> socket.socket:
    """A listening TCP socket. If there cannot be one, prints one line and exits 1."""
    try:
        return listen(host, port)
    except OSError as error:
        another = "; `--port` names another port" if error.errno == EADDRINUSE else ""
        raise failed(f"cannot listen on {host}:{port}: {error.strerror}{another}") from error
