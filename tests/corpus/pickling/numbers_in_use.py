# Where a `finally` goes on after an exception is a number on the value stack, which was believed.
for steps in (1, 2, 3, 4, 5):
    make, args, state = reduced(stepped(steps, Noted(handles, ())))
    for number, entry in enumerate(state[3]):
        for place in range(6, len(entry)):
            if type(entry[place]) is int:
                for other in (0, 1, 7, 255, entry[place] + 2, -1, 1 << 62):
                    frames = [*state[3]]
                    frames[number] = (*entry[:place], other, *entry[place + 1 :])
                    tried(make, args, (*state[:3], frames, *state[4:]))
