# One that is thrown at, and has not run since, could not be pickled: there is a bomb in its mailbox.
def start0():
    for i in range(4):
        try:
            log(schedule(i))
        except KeyError as error:
            log(describe(error))
def start1():
    for i in range(6):
        poke(0, 'pending')
        log(schedule(i))
tasks.append(tasklet(start0)())
tasks.append(tasklet(start1)())
