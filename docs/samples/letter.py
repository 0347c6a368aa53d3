import subprocess
import sys

import stackless
from stackless import snapshot

KEY = b"known to both"
READER = """
import sys
from stackless import snapshot
snapshot.loads(sys.stdin.buffer.read(), key=b"known to both").run()
"""


def shout(text):
    return text.upper() + "!"


def greet(name):
    greeting = f"hello, {name}"
    stackless.schedule_remove()
    print(shout(greeting))


tasklet = stackless.tasklet(greet)("reader")
tasklet.run()
letter = snapshot.dumps(tasklet, key=KEY, code="value")
subprocess.run([sys.executable, "-c", READER], input=letter, check=True)
