"""A channel hands objects from one tasklet to another; whoever comes first waits."""

import stackless


def producer(channel):
    for item in ["nectar", "pollen", "honey"]:
        print("sending", item)
        channel.send(item)
    channel.send_exception(StopIteration)  # ends the for loop at the other end


def consumer(channel):
    for item in channel:
        print("received", item)
    print("that was all")


channel = stackless.channel()
stackless.tasklet(consumer)(channel)
stackless.tasklet(producer)(channel)
stackless.run()
