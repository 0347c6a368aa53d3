import stackless
from stackless import snapshot


def transfer(accounts, amount):
    accounts["ann"] -= amount
    stackless.schedule_remove()
    accounts["bob"] += amount
    print(accounts)


tasklet = stackless.tasklet(transfer)({"ann": 100, "bob": 0}, 30)
tasklet.run()
data = snapshot.dumps(tasklet, key=b"ours")
print(snapshot.describe(data, key=b"ours"))

snapshot.loads(data, key=b"ours").run()
for wrong in [data[:-1] + b"!", snapshot.dumps(tasklet), b"rubbish"]:
    try:
        snapshot.loads(wrong, key=b"ours")
    except snapshot.SnapshotError as error:
        print("refused:", error)
