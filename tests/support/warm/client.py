"""Have the server at a socket run a command as if it were run here; end as it ends."""

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

place, *command = sys.argv[1:]
request = {"command": command, "folder": str(Path.cwd()), "environment": dict(os.environ)}
text = json.dumps(request).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect(place)
    socket.send_fds(server, [len(text).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(text)
    status = server.recv(16)
if not status:
    sys.exit("the server of warm commands is gone")
if int(status) < 0:
    with contextlib.suppress(OSError):  # nobody handles SIGKILL
        signal.signal(-int(status), signal.SIG_DFL)
    os.kill(os.getpid(), -int(status))
os._exit(int(status))
