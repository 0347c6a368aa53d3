"""A tasklet is a function that runs when the scheduler gets to it."""

import stackless


def greet(name):
    print("hello", name)


stackless.tasklet(greet)("Ada")
stackless.tasklet(greet)("Grace")
print("nobody has run yet")
stackless.run()
print("everybody is done")
