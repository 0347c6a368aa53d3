"""A program in which everybody waits says so."""

import stackless


def waiter(requests):
    requests.receive()


requests, answers = stackless.channel(), stackless.channel()
stackless.tasklet(waiter)(requests)
try:
    answers.receive()
except RuntimeError as error:
    print(error)
