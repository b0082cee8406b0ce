"""Have the server at a socket run a command as if it were run here; end as it ends.

A test may have a hundred commands run, so this imports little: half of the time that it took went
into `json`, `pathlib`, `signal` and `socket`.
"""

import _socket
import marshal
import os
import sys

place, *command = sys.argv[1:]
text = marshal.dumps((command, os.getcwd(), dict(os.environ)))  # noqa: PTH109 - without pathlib
server = _socket.socket(_socket.AF_UNIX)
server.connect(place)
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))  # as C's int
server.sendmsg([len(text).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
server.sendall(text)
status = server.recv(16)
if not status:
    sys.exit("the server of warm commands is gone")
if int(status) < 0:
    import signal

    if -int(status) != signal.SIGKILL:  # which nobody handles
        signal.signal(-int(status), signal.SIG_DFL)
    os.kill(os.getpid(), -int(status))
os._exit(int(status))
