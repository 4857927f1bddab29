"""``python -m sandbox COMMAND``: what the Makefile calls."""

from __future__ import annotations

import errno
import sys

from sandbox import demo
from sandbox.demo import Progress
from sandbox.service import SandboxError

_FULL = "The disk is full: free some space, then run the same command again."
_COMMANDS = {
    "install": demo.make_for_tests,
    "up": lambda: demo.up(Progress()),
    "demo": demo.demo,
    "stop": demo.stop,
    "clean": demo.clean,
    "status": demo.show_status,
}


def main(arguments: list[str]) -> int:
    """Run one command; what goes wrong is said in one sentence, and ends with 1."""
    if len(arguments) != 1 or arguments[0] not in _COMMANDS:
        print(f"usage: python -m sandbox {{{','.join(_COMMANDS)}}}", file=sys.stderr)
        return 2
    try:
        with demo.alone():
            _COMMANDS[arguments[0]]()
    except SandboxError as error:
        print(_FULL if "No space left on device" in str(error) else error, file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(_FULL, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here; `make stop` stops what runs.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
