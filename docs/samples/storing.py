import pickle

import stackless


def travel(name):
    luggage = []
    for place in ["Paris", "Rome", "Oslo"]:
        luggage.append(place)
        stackless.schedule_remove()  # stop here until somebody says run()
        print(f"{name} went on from {place}, with {luggage}")


ann = stackless.tasklet(travel)("Ann")
ann.run()
ann.run()
data = pickle.dumps(ann)

for _ in range(2):
    again = pickle.loads(data)
    print("loaded:", "paused" if again.paused else "not paused")
    again.run()
