import stackless


def wait(gate):
    gate.receive()


def stacks():
    counts = stackless.statistics()
    print(counts["mounted"], "on a C stack,", counts["frozen"], "frozen")


stackless.set_stack_budget(0)
gate = stackless.channel()
for _ in range(10_000):
    stackless.tasklet(wait)(gate)
stackless.run()
stacks()
for _ in range(9_990):
    gate.send("go on")
stacks()
