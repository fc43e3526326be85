"""Runs a command at a pseudo-terminal and types LINE when PROMPT has come: terminal.py PROMPT LINE COMMAND [ARG...]"""
import os
import pty
import sys

prompt, line, command = sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
seen = b""
typed = False
while True:
    try:
        text = os.read(terminal, 65536)
    except OSError:
        break
    if not text:
        break
    seen += text
    if not typed and prompt in seen:
        os.write(terminal, line.replace(b"\\n", b"\n").replace(b"\\3", b"\3").replace(b"\\4", b"\4"))
        typed = True
sys.stdout.write(seen.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
