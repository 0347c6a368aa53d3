# A traceback kept the variables of a function that has ended, and so its generator; a pickled one doesn't.
def g0(n):
    try:
        yield schedule(n)
        yield schedule(n)
    finally:
        log(("finally", n))
def f0(n):
    it = g0(n)
    log(next(it))
    raise LookupError(schedule(n))
def start0():
    for i in range(3):
        try:
            f0(i)
        except LookupError as error:
            log(describe(error))
            log(schedule(i))
            log(describe())
        collect()
tasks.append(tasklet(start0)())
tasks.append(tasklet(start0)())
