# A tasklet's frame left out: its caller came to stand on a frame that it had not called.
for steps in (1, 2, 3):
    make, args, state = reduced(stepped(steps, Noted(closes_over, (1, 2, 3), {"z": 4})))
    frames = state[3]
    for number in range(len(frames)):
        left = [*frames[:number], *frames[number + 1 :]]
        tried(make, args, (*state[:3], left, *state[4:]))
