# A tasklet's frame that is there twice stands on itself.
for steps in (1, 2):
    make, args, state = reduced(stepped(steps, Noted(handles, ())))
    frames = state[3]
    for number in range(len(frames)):
        tried(make, args, (*state[:3], [*frames[: number + 1], *frames[number:]], *state[4:]))
