import pickle
import threading

import stackless
from stackless import snapshot


class Account:
    def __init__(self):
        self.lock = threading.Lock()


def serve(account):
    stackless.schedule_remove()


def open_bank(accounts):
    for name in accounts:
        serve(accounts[name])


bank = stackless.tasklet(open_bank)({"ann": Account()})
bank.run()
try:
    snapshot.dumps(["today", bank])
except pickle.PicklingError as error:
    print(error)
