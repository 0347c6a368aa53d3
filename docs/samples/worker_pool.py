"""Many tasklets may wait on one channel: that is a pool of workers."""

import stackless

WORKERS = ["ann", "bob", "eve"]


def worker(name, jobs, results):
    for number in jobs:
        stackless.schedule()  # it takes a while
        results.send(f"{name}: {number} squared is {number * number}")


def give_out(jobs, numbers):
    jobs.send_sequence(numbers)
    for _ in WORKERS:
        jobs.send_exception(StopIteration)


def collect(results, count):
    for _ in range(count):
        print(results.receive())


jobs, results = stackless.channel(), stackless.channel()
for name in WORKERS:
    stackless.tasklet(worker)(name, jobs, results)
stackless.tasklet(collect)(results, 6)
stackless.tasklet(give_out)(jobs, range(6))
stackless.run()
