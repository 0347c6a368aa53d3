"""schedule() lets the others run; the order is always the same."""

import stackless


def count(name, to):
    for number in range(1, to + 1):
        say(name, number)
        stackless.schedule()


def say(name, number):
    print(f"{name}{number}", end=" ")
    if number == 2:
        stackless.schedule()  # any function may wait: nothing above it has to know


stackless.tasklet(count)("a", 3)
stackless.tasklet(count)("b", 3)
stackless.run()
print()
