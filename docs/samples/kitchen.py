import pickle

import stackless


def cook(kitchen):
    while True:
        print("cooking", kitchen.receive())


def wait_on(kitchen, order):
    kitchen.send(order)
    print(order, "ordered")


kitchen = stackless.channel()
for order in ["soup", "fish"]:
    stackless.tasklet(wait_on)(kitchen, order)
stackless.run()

restored = pickle.loads(pickle.dumps(kitchen))
print(restored.balance, "waiting")
stackless.tasklet(cook)(restored)
stackless.run()
