# A generator in whose place another kind stands: a loop asks what can't be asked.
kinds = (yields(2), awaits(), gives(), stepped(1, yields(2)), stepped(1, awaits()))
for own in kinds:
    make, args, state = reduced(own)
    for other in kinds:
        other_make, other_args, other_state = reduced(other)
        tried(make, args, other_state)
        tried(make, other_args, state)
        tried(other_make, args, other_state)
