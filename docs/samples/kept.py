import pickle
import sys
import traceback

import stackless


def divide(number):
    secret = "a local of a function that has ended"
    return number / len(secret[:0])


def calculate():
    try:
        divide(1)
    except ZeroDivisionError as error:
        stackless.schedule_remove()
        traceback.print_exc(file=sys.stdout)
        print("locals of divide:", error.__traceback__.tb_next.tb_frame.f_locals)


tasklet = stackless.tasklet(calculate)()
tasklet.run()
pickle.loads(pickle.dumps(tasklet)).run()
