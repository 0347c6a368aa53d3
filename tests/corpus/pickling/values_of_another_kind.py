# What a loop, a comprehension or an except* has on the value stack was taken for what it has to be.
others = (None, 1, [1], [KeyError(1), 2], {1: 2}.items(), yields, iter([1]), stepped(0, awaits()))
for made in (
    stepped(1, Noted(loops, (stepped(1, yields(2)),))),
    stepped(14, Noted(loops, (stepped(1, yields(2)),))),
    stepped(4, Noted(handles, ())),
    stepped(5, Noted(handles, ())),
):
    make, args, state = reduced(made)
    for number, entry in enumerate(state[3]):
        for place in range(6, len(entry)):
            for other in others:
                frames = [*state[3]]
                frames[number] = (*entry[:place], other, *entry[place + 1 :])
                tried(make, args, (*state[:3], frames, *state[4:]))
