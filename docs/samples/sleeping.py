"""sleep() and timeout() block one tasklet, not the program."""

import stackless


def cook(dish, seconds):
    stackless.sleep(seconds)
    print(dish, "is done")


def impatient(channel):
    try:
        with stackless.timeout(0.15):
            channel.receive()
    except TimeoutError:
        print("nobody called")


stackless.tasklet(cook)("rice", 0.3)
stackless.tasklet(cook)("egg", 0.1)
stackless.tasklet(impatient)(stackless.channel())
stackless.run()
