# What has been made, but got no state: looked at, run, thrown at.
for made in (
    stepped(1, yields(2)),
    stepped(1, awaits()),
    stepped(1, gives()),
    stepped(1, Noted(handles, ())),
):
    make, args, state = reduced(made)
    for nothing in (None, (), (None,) * len(state), state[:-1]):
        tried(make, args, nothing)
