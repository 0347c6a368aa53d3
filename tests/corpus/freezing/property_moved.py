# The code of a property was not found again by its name when it was moved (seed 56, cut down in part).
class Probe:
    x = 0
    def __init__(self, key):
        self.key = key
    def __del__(self):
        log(("gone", self.key))
    def twice(self, key):
        return self.key + key
class Base:
    def __init_subclass__(cls, tag=0):
        if moving(): return
        tick()
        d, *c = {(Odd(f2(n - 1, (Probe(b).twice(d) * f0(n - 1) % 7))) < (sum(c, f1(n - 1, *(d, a, a))) in Odd((f0(n - 1, d=d) if f1(n - 1) % 2 else d)))): b}.get(a, d), a, a
class Manager:
    def __init__(self, a):
        self.a = a
    def __enter__(self, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        log(d)
        return d
    def __exit__(self, kind, error, traceback, n=1, a=1, b=2, c=(), d=3, **e):
        log(("exit", kind, describe()))
        tick()
        log(a)
        return a % 3 == 0
@contextmanager
def managed(n, a=1, b=2, *c, d=3, **e):
    tick()
    try:
        log(a)
        yield a
    except LookupError:
        log(d)
    finally:
        log(b)
def deep(n, a):
    return deep(n - 1, a) + 5 if n > 0 else schedule(5)
thing, shared = Probe(0), [0, 1, 2, 3]
class Odd:
    def __init__(self, a):
        self.a = a
    def __add__(self, other, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        log(peek(2))
        return schedule_remove((d and (Odd(d) + len({i: schedule(4) for i in (1, sum(b for i in range(5)))})) or (len(f'{c0.receive()}{schedule(d)!r:>{3}}') and len({i: sum(d for i in range(0)) for i in (1, (Odd(a) + a))}) or (Odd(d)[3] * a % 7))))
    def __radd__(self, other, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        if f2(*[n - 1, a], d=a) % 4 == 0:
            log(describe())
            return len(str(Odd(f0(n - 1))))
        assert d != 6, f3(n - 1)
        return f3(n - 1, f1(n - 1), **{'d': schedule(5), 'y': (d + Odd(b))})
    def __lt__(self, other, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        if (b := min(next(g0(n - 1, deep(9 * 5 * 5, a), **{'d': schedule(0), 'y': (Odd(d) + b)}), f1(n - 1)), c0.receive(), key=lambda q: q + (sum(g0(n - 1, *(d, a, a))) if Odd(sum(g0(n - 1, a, d=d, z=a))) else d))) > 2:
            log(d)
        elif a:
            log(a)
        else:
            log(b)
        return d
    def __eq__(self, other, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        with suppress(LookupError):
            collect()
            raise KeyError(f0(n - 1, d=schedule(5)))
        return shared[max({len(Odd(f3(n - 1, *(Odd(a)(d), schedule(6), sum([b for i in range(2)]))))) for i in range(3)}) % 4]
    def __contains__(self, item, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        a = (tasks[1].switch() or 4)
        return f3(n - 1, shared[len(str(Odd(next(g0(*[n - 1, b], d=a), max({d for i in range(3)}))))) % 4], len(f'{Odd(d)}'), shared[next(c0) % 4])
    def __call__(self, item, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        for a, b in {1: next(g0(n - 1), {hash(Odd(c0.receive())): [(max({a for i in range(3)}) + Odd(d)[6]), (f0(n - 1) if Odd((lambda q, r=d: a)(b)) else d)][3 % 2]}.get(next(c0), next(g0(n - 1), a))), b: 2}.items():
            tick()
            log(b)
            if a > 2: break
        return d
    def __getitem__(self, item, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        for i, a in enumerate(Odd((schedule_remove() and 6))):
            tick()
            for a in map(lambda q: q + len([*g0(n - 1, *(f3(n - 1), sum((a + Odd(a)) for i in range(3)), (c0.send(a) or 1))), next(g0(n - 1, len(f'{a}{d!r:>{3}}'), d=sum(c, b), z=f2(n - 1)), b)]), c0):
                tick()
                log(d)
                if d % 2: break
            log(d)
            log(a)
        return [3, d, a][item]
    def __len__(self, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        w = 0
        while (w := w - 1) > 0:
            tick()
            for a, b in zip(Odd((Odd(d) + a)), [(d + b), (d in Odd(b))]):
                tick()
                log(a)
            if (b * a % 7) % 4 == 0:
                return (d in Odd(a))
            for a in g0(n - 1, b=d, **e):
                tick()
                log(b)
        else:
            log(b)
        return 3
    def __str__(self, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        w = 6
        while (w := w - 1) > 0:
            tick()
            try:
                poke(0, 'go')
                for a in Odd((schedule(a) and f3(n - 1) or f0(n - 1))):
                    tick()
                    a, b = 4, (d == Odd(a))
                for a, b in zip(Odd(f3(n - 1, d=d)), [a, b]):
                    tick()
                    log(a)
                log(d)
            finally:
                log(d)
        else:
            log(d)
        return f'{d}'
    def __hash__(self, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        if (b := sum([f1(n - 1, ({hash(Odd(a)): f1(n - 1)}.get(len(str(Odd(a))), (d in Odd(a))) + Odd(schedule(Probe(a)).key)), d=Odd(c0.receive())(Odd(schedule(1))(schedule(4))), z=sum(g0(n - 1))) for i in range(2) if a for j in (i, b)])) > 2:
            log(b)
        elif b:
            log(d)
        else:
            log(d)
        return 5
    @property
    def own(self, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        d, d = f0(n - 1), f3(n - 1, c0.receive(), (Odd(1) < f3(n - 1)), len({i: Probe(f1(n - 1)).twice(f3(n - 1)) for i in (1, (Odd(b).own in Odd(Odd(a)(d))))}))
        return d
def f0(n, a=1, b=2, *c, d=3, **e):
    tick()
    if n <= 0: return a
    for a in (deep(9 * 5 * 3, b) for i in range(0)):
        tick()
        log(chain())
    for a in Odd(hash(Odd(shared[schedule((Odd(a) < a)) % 4]))):
        tick()
        if sum([{hash(Odd(a)): schedule(4)}.get((a in Odd(d)), hash(Odd(a))) for i in range(1)]) % 3 == 5: raise IndexError(a)
    log(schedule(2))
    log(a)
    return a
def f1(n, a=1, b=2, *c, d=3, **e):
    tick()
    if n <= 0: return a
    it = g0(n - 1, (c0.send(0) or 1), **{'d': ((c1.send(sum(g0(n - 1))) or 6) + Odd((schedule(Probe(d)).key == Odd((schedule(6) in Odd(f2(n - 1))))))), 'y': b})
    log(next(it, 6))
    for a in filter(lambda q: hash(Odd(next(g0(*[n - 1, max({a for i in range(3)})], d=d), b))), [a, a]):
        tick()
        log(a)
    log(it.send(a))
    log(b)
    log(b)
    log(schedule(5))
    log(b)
    return a
def f2(n, a=1, b=2, *c, d=3, **e):
    tick()
    if n <= 0: return a
    w = 2
    while (w := w - 1) > 0:
        tick()
        for a in g0(n - 1, b=sum([Odd(Odd(a)[1]).own for i in range(6)]), **e):
            tick()
            with managed(n - 1, d=deep(9 * 4 * 3, b)) as a:
                del a
                a = b = d = 3
                log(schedule(5))
                for i, a in enumerate(filter(None, zip(c0, [d, b]))):
                    tick()
                    log(d)
                log(b)
            log(d)
            log(d)
    log(schedule(3))
def f3(n, a=1, b=2, *c, d=3, **e):
    try:
        try:
            probe = thing.probe = [Probe((sum(g0(n - 1, Odd(b).own)) == Odd((Odd(next(g0(*[n - 1, b], d=d), hash(Odd(a)))) < sum([Odd(b)[4] for i in range(4)]))))), min(schedule_remove(schedule(3)), d, key=lambda q: q + a)]
        finally:
            pass
    except LookupError as error:
        pass
def start0(d=3):
    for i in range(1):
        try:
            log(f3(3, i, d=d))
        except LookupError as error:
            pass
tasks.append(tasklet(start0)())
def g0(n, a=1, b=2, *c, d=3, **e):
    pass
