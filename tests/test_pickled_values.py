"""What a pickled tasklet holds: whatever is stored is the same when it is loaded."""

from __future__ import annotations

import copy
import functools
import io
import operator
import pickle
import pickletools
import sys
import traceback
import types
import urllib.error

import pytest
import stackless
from stackless import channel, schedule_remove, snapshot, tasklet
from support import child_lines

KEY = b"a key"


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def stored(value):
    return snapshot.loads(snapshot.dumps(value, KEY), KEY)


def stored_with_code(value):
    return snapshot.loads(snapshot.dumps(value, KEY, code="value"), KEY)


COPIES = pytest.mark.parametrize("copied", [pickled, stored, copy.deepcopy])


def name_of(value):
    return getattr(value, "__name__", str(value))


# ---- in a tasklet's variable ---------------------------------------------------------------------

seen = []


def holds(make):
    value = make()
    schedule_remove()
    seen.append(value)


def through_a_tasklet(copied, make):
    """Return what a copy of a tasklet finds in a variable."""
    seen.clear()
    original = tasklet(holds)(make)
    original.run()
    restored = copied(original)
    original.kill()
    restored.run()
    (value,) = seen
    seen.clear()
    return value


# ---- methods -------------------------------------------------------------------------------------


class Meta(type):
    def of_meta(cls):
        return "Meta", cls.__name__


class Base(metaclass=Meta):
    def plain(self):
        return "Base"

    @classmethod
    def of_class(cls):
        return "Base", cls.__name__

    def __private(self):
        return "Base's own"

    def base_private(self):
        return self.__private


class Derived(Base):
    def plain(self):
        return "Derived"

    @classmethod
    def of_class(cls):
        return "Derived", cls.__name__

    def __private(self):
        return "Derived's own"

    short = lambda self: "short"
    other_name = plain

    def private(self):
        return self.__private

    def supers(self):
        return super().plain

    @classmethod
    def supers_of_class(cls):
        return super().of_class


def function(self):
    return type(self).__name__


def shadowed():
    made = Derived()
    method = made.plain
    made.plain = None
    return method


def held_by_its_object():
    made = Derived()
    made.plain = types.MethodType(function, made)
    return made.plain


class Items(list):
    def append(self, item):
        return "not list's"

    def supers(self):
        return super().append


class Names(dict):
    @classmethod
    def fromkeys(cls, keys):
        return "not dict's"

    @classmethod
    def supers(cls):
        return super().fromkeys


METHODS = {
    "of the class": lambda: Derived().plain,
    "under another name": lambda: Derived().other_name,
    "that super() has found": lambda: Derived().supers(),
    "that super() has found for a class": lambda: Derived.supers_of_class(),
    "of a class": lambda: Derived.of_class,
    "of a metaclass": lambda: Derived.of_meta,
    "that is private": lambda: Derived().private(),
    "that is private to a base class": lambda: Derived().base_private(),
    "without a name": lambda: Derived().short,
    "of a function": lambda: types.MethodType(function, Derived()),
    "of a function and a class": lambda: types.MethodType(Base.plain, Derived),
    "of a callable": lambda: types.MethodType(operator.itemgetter(0), ["called"]),
    "that its object has no more": shadowed,
    "that its object has": held_by_its_object,
}


@COPIES
@pytest.mark.parametrize("in_a", [None, list], ids=["", "in a list"])
@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
def test_a_bound_method_is_the_same_function(make, in_a, copied):
    original = make()
    if in_a is None:
        loaded = through_a_tasklet(copied, make)
    else:
        (loaded,) = through_a_tasklet(copied, lambda: [make()])
    assert type(loaded) is types.MethodType
    assert loaded() == original()
    assert type(loaded.__self__) is type(original.__self__)
    if isinstance(original.__func__, types.FunctionType):
        assert loaded.__func__ is original.__func__


@COPIES
def test_a_bound_method_written_in_c_is_that_which_super_has_found(copied):
    append = through_a_tasklet(copied, lambda: Items().supers())
    assert append(2) is None
    assert append.__self__ == [2]
    assert through_a_tasklet(copied, Names.supers)("ab") == {"a": None, "b": None}
    assert through_a_tasklet(copied, lambda: Items().append)(1) == "not list's"


def test_a_bound_function_of_a_tasklets_own_comes_with_its_variables():
    def make():
        count = 0

        def counts(self):
            nonlocal count
            count += 1
            return self, count

        return types.MethodType(counts, "self")

    for copied in pickled, stored, copy.deepcopy:
        first, second = through_a_tasklet(copied, make), through_a_tasklet(copied, make)
        assert [first(), first(), second()] == [("self", 1), ("self", 2), ("self", 1)]


class Waits(Base):
    def plain(self, value=None, **more):
        return "Waits", super().plain(), value, more


class WaitsBelow(Waits):
    def plain(self, *values, **more):
        return "WaitsBelow", super().plain(*[schedule_remove(1)], k=schedule_remove(2))


@COPIES
def test_an_argument_is_awaited_before_supers_method_is_called(copied):
    original = tasklet(holds)(lambda: WaitsBelow().plain())
    seen.clear()
    while original.alive:
        original.run()
        if original.alive:
            original = copied(original)
    assert seen == [("WaitsBelow", ("Waits", "Base", 1, {"k": 2}))]


# ---- functions -----------------------------------------------------------------------------------


@COPIES
@pytest.mark.parametrize("take", [lambda: Base._Base__private, lambda: Derived.short])
def test_a_function_of_a_class_is_the_class_s(take, copied):
    assert through_a_tasklet(copied, take) is take()


def test_a_function_in_two_places_is_one_function():
    def make():
        inner = lambda: inner
        return inner, [inner], {"inner": inner}

    for first, (second,), third in (
        through_a_tasklet(stored, make),
        stored(make()),
        stored_with_code(make()),
    ):
        assert first is second is third["inner"] is first()


# ---- exceptions ----------------------------------------------------------------------------------


class TwoArguments(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a}-{b}")
        self.a, self.b = a, b


class KeywordOnly(ValueError):
    def __init__(self, *, code):
        super().__init__()
        self.code = code


class NoArguments(Exception):
    def __init__(self):
        super().__init__("always the same")


class Slotted(LookupError):
    __slots__ = ("a", "b", "unset")

    def __init__(self, a, *, b):
        super().__init__(a, b)
        self.a, self.b = a, b


class MadeByNew(Exception):
    def __new__(cls, a, *, b):
        made = super().__new__(cls, a)
        made.b = b
        return made

    def __init__(self, a, *, b):
        super().__init__(a, b)


class Os(OSError):
    def __init__(self, path):
        super().__init__(2, "no such thing", path)
        self.path = path


class OtherOs(OSError):
    def __init__(self, path):
        self.filename = path


class Exits(SystemExit):
    def __init__(self, *, code):
        self.code = code


class Decodes(UnicodeDecodeError):
    def __init__(self, what):
        super().__init__("ascii", what, 1000, 1001, "why")


class NeverDecodes(UnicodeDecodeError):
    def __init__(self, what):
        self.what = what


class Imports(ImportError):
    def __init__(self, *, module):
        super().__init__("not there", name=module, path="/there")


class TwoBases(KeyError, AttributeError):
    def __init__(self, *, key):
        super().__init__(key)


class Group(ExceptionGroup):
    def __new__(cls, message, exceptions, extra):
        made = super().__new__(cls, message, exceptions)
        made.extra = extra
        return made

    def derive(self, exceptions):
        return Group(self.message, exceptions, self.extra)


class RebuildsItself(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b

    def __reduce__(self):
        return RebuildsItself, (*self.args, self.b)


EXCEPTIONS = [
    lambda: TwoArguments(1, 2),
    lambda: KeywordOnly(code=5),
    NoArguments,
    lambda: Slotted(1, b=2),
    lambda: MadeByNew(1, b=2),
    lambda: Os("/path"),
    lambda: OtherOs("/path"),
    lambda: Exits(code=3),
    lambda: Decodes(b"bytes"),
    lambda: NeverDecodes(b"bytes"),
    lambda: Imports(module="m"),
    lambda: TwoBases(key="k"),
    lambda: RebuildsItself(1, 2),
    lambda: Group("group", [TwoArguments(1, 2), KeyError(3)], "extra"),
    lambda: ExceptionGroup("group", [TwoArguments(1, 2)]),
    lambda: ValueError(TwoArguments(1, 2), [NoArguments()]),
    lambda: urllib.error.HTTPError("http://x", 404, "no", {"Retry-After": "1"}, None),
    lambda: OSError(2, "no such thing", "/path", None, "/other"),
    lambda: StopIteration(4),
]
FIELDS = [
    *("a", "b", "code", "path", "errno", "strerror", "filename", "filename2", "name", "what"),
    *("encoding", "start", "reason", "extra", "message", "value", "url", "hdrs"),
]


def told(error):
    """Return all that can be seen of an exception, and close it if it is an open file, too."""
    getattr(error, "close", lambda: None)()
    if isinstance(error, BaseException):
        fields = {name: getattr(error, name, None) for name in FIELDS}
        nested = [told(each) for each in getattr(error, "exceptions", ())]
        chain = [told(error.__cause__), told(error.__context__), error.__suppress_context__]
        return type(error), told(error.args), fields, nested, chain
    return [told(each) for each in error] if isinstance(error, list | tuple) else error


def handles(make):
    try:
        raise make()
    except BaseException as error:
        schedule_remove()
        line = traceback.extract_tb(error.__traceback__)[0].line
        seen.append((told(error), line))


def handles_caused(make):
    def raises():
        raise ValueError("caused") from make()

    handles(raises)


@COPIES
@pytest.mark.parametrize("program", [handles, handles_caused], ids=name_of)
@pytest.mark.parametrize("make", EXCEPTIONS)
def test_an_exception_is_loaded_whatever_its_class_is_called_with(make, program, copied):
    original = tasklet(program)(make)
    original.run()
    restored = copied(original)
    seen.clear()
    for each in original, restored:
        each.run()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("make", EXCEPTIONS)
def test_a_snapshot_takes_such_an_exception_wherever_it_is(make):
    error = make()
    held = {"error": error, "same": [error]}
    restored = stored(held)
    assert told(restored["error"]) == told(error)
    assert restored["same"][0] is restored["error"]


def test_the_class_of_an_exception_is_checked():
    from stackless import _wrap

    with pytest.raises(TypeError, match="the class of an exception is needed"):
        _wrap.exception(int, ())
    with pytest.raises(TypeError, match="a class's function is pickled by the class and a name"):
        _wrap.function_in(Base(), "plain")
    with pytest.raises(ValueError, match="no function gone in class Base any more"):
        _wrap.function_in(Base, "gone")


# ---- deep copies ---------------------------------------------------------------------------------


class Holder:
    pass


def held_in_a_list(inner):
    return [inner], lambda held: held[0]()


def held_in_an_attribute(inner):
    made = Holder()
    made.inner = inner
    return made, lambda held: held.inner()


def held_in_a_partial(inner):
    return functools.partial(inner), lambda held: held()


def held_in_a_method(inner):
    return types.MethodType(lambda _: inner(), Holder()), lambda held: held()


def held_in_a_generator(inner):
    def generator():
        held = [inner]
        while True:
            yield held[0]()

    made = generator()
    return [made], lambda held: next(held[0])


def held_in_a_dictionary_of_tuples(inner):
    return {"k": (1, inner)}, lambda held: held["k"][1]()


def counts(hold):
    number = 0

    def inner():
        nonlocal number
        number += 1
        return number

    held, call = hold(inner)
    del inner
    schedule_remove()
    call(held)
    schedule_remove()
    seen.append((call(held), number))


@pytest.mark.parametrize("copied", [stored, copy.deepcopy])
@pytest.mark.parametrize(
    "hold",
    [
        *(held_in_a_list, held_in_an_attribute, held_in_a_partial, held_in_a_method),
        *(held_in_a_generator, held_in_a_dictionary_of_tuples),
    ],
    ids=name_of,
)
def test_two_copies_of_a_computation_share_no_variables(hold, copied):
    seen.clear()
    original = tasklet(counts)(hold)
    original.run()
    each = [original, copied(original), copied(original)]
    for one in each * 2:
        one.run()
    assert seen == [(2, 2)] * 3


def test_deep_copies_share_no_object_of_a_method_written_in_c():
    seen.clear()

    def appends():
        gathered = []
        methods = [gathered.append]
        schedule_remove()
        methods[0](1)
        seen.append(gathered)

    original = tasklet(appends)()
    original.run()
    for each in copy.deepcopy(original), copy.deepcopy(original), original:
        each.run()
    assert seen == [[1]] * 3


def test_deepcopy_shares_functions_outside_of_tasklets_as_ever():
    functions = [lambda: 1, [].append, len]
    assert list(map(operator.is_, copy.deepcopy(functions), functions)) == [True] * 3
    method = Holder().__init__
    assert copy.deepcopy(types.MethodType(functions[0], 1)).__func__ is functions[0]
    assert copy.deepcopy(method) is not method


def test_deepcopy_takes_functions_of_code_that_is_nowhere_to_be_found():
    seen.clear()
    variables = {}
    exec("def outer():\n    n = 1\n    return lambda: n\n", variables)
    value = through_a_tasklet(copy.deepcopy, variables["outer"])
    assert value() == 1


def test_deepcopy_may_be_profiled():
    def generator():
        held = [lambda: 1]
        yield
        yield held[0]

    original = generator()
    next(original)
    sys.setprofile(lambda *_: None)
    try:
        restored = copy.deepcopy(original)
    finally:
        sys.setprofile(None)
    ours, theirs = next(original), next(restored)
    assert (ours(), theirs()) == (1, 1)
    assert ours is not theirs


async def coroutine():
    pass


async def asynchronous_generator():
    yield


@pytest.mark.parametrize(
    "made", [lambda: (i for i in "ab"), coroutine, asynchronous_generator], ids=name_of
)
def test_copy_of_a_generator_is_a_type_error_as_in_stock_python(made):
    generator = made()
    kind = type(generator).__name__
    with pytest.raises(TypeError, match=f"cannot pickle '{kind}' object"):
        copy.copy(generator)
    getattr(generator, "close", lambda: None)()


# ---- the names -----------------------------------------------------------------------------------

# These are part of the format of stored pickles, which have to be loaded by later versions.
NAMES = {
    "stackless": ["bomb", "channel", "stackless", "tasklet", "timeout"],
    "stackless._stackless": ["_Interruption", "schedule_remove"],
    "stackless._wrap": [
        *("async_generator", "async_generator_asend", "async_generator_athrow", "bound_slot"),
        *("cell", "code", "code_by_value", "coroutine", "coroutine_wrapper", "dict_items"),
        *("dict_keys", "dict_values", "exception", "fill_namespace", "frame", "function"),
        *("function_in", "generator", "itself", "method", "module", "namespace"),
        *("new_namespace", "traceback"),
    ],
}


def everything():
    """Yield something that is pickled by each of those names."""
    local = 1
    try:
        raise TwoArguments(1, 2)
    except TwoArguments as error:
        yield stackless.bomb(error)
    yield types.CellType(local), (lambda: local), Base._Base__private, types.CellType()
    yield (
        [Derived().supers(), Items().supers()],
        {}.keys(),
        {}.values(),
        {}.items(),
        functools,
        schedule_remove,
    )
    yield (i for i in [1]), stackless, channel()
    driven = asynchronous_generator()
    yield driven, driven.asend(1), driven.athrow(KeyError)
    awaited = coroutine()
    yield awaited, awaited.__await__()
    awaited.close()
    yield coroutine.__code__


def times_out():
    with stackless.timeout(0):
        try:
            channel().receive()
        finally:
            schedule_remove()


def names_in(data):
    """Return the names of ours that a pickle (protocol 2 and before) carries."""
    found = [arg.split(" ") for op, arg, _ in pickletools.genops(data) if op.name == "GLOBAL"]
    return {(module, name) for module, name in found if module.startswith("stackless")}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a coroutine is never awaited
def test_pickles_carry_no_other_names_than_these():
    timed = tasklet(times_out)()
    timed.run()
    stackless.run()
    values = [*everything(), timed]
    found = set()
    for value in values:
        for pickler in snapshot.Pickler, snapshot._ValuePickler:
            file = io.BytesIO()
            pickler(file, 2).dump(value)
            found |= names_in(file.getvalue())
    assert timed.alive
    timed.kill()
    expected = {(module, name) for module, names in NAMES.items() for name in names}
    assert found == expected


def test_each_of_those_names_is_there():
    child = """
        import importlib, sys
        for each in sys.argv[1:]:
            module, name = each.rsplit(".", 1)
            assert hasattr(importlib.import_module(module), name), each
        print("all")
    """
    each = [f"{module}.{name}" for module, names in NAMES.items() for name in names]
    assert child_lines(child, *each) == ["all"]
