import stackless

gate = stackless.channel()


def weight(box):
    return gate.receive() * len(box)


def sort(boxes):
    return sorted(boxes, key=weight)


def add(boxes):
    return weight(boxes[0]) + weight(boxes[1])


for function in [add, sort]:
    tasklet = stackless.tasklet(function)(["large", "small"])
    tasklet.run()
    print(f"{function.__name__}: {stackless.why_pinned(tasklet)}")
