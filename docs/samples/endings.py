"""How tasklets end: by themselves, by an exception, or killed."""

import stackless


def careful():
    try:
        stackless.channel().receive()  # nobody will ever send
    finally:
        print("cleaned up")


def careless():
    return 1 / 0


sleeper = stackless.tasklet(careful)()
stackless.tasklet(careless)()
try:
    stackless.run()
except ZeroDivisionError as error:
    print("run() raised:", error)

print("blocked:", sleeper.blocked)
sleeper.kill()
print("alive:", sleeper.alive)
