"""One small program for each construct through which Python code may come to wait.

A program waits exactly once, in wait(), and returns something that depends on what it has received.
Constructs of one kind whose answers can't differ share a row of the table (docs/what-pins.md).
"""

from __future__ import annotations

import abc
import bisect
import collections
import contextlib
import copy
import dataclasses
import enum
import functools
import gc
import heapq
import io
import itertools
import json
import logging
import math  # noqa: F401 (in generated programs, as is os)
import operator
import os  # noqa: F401
import pickle
import re
import sys
import types
import weakref

import stackless

GATE = stackless.channel()


def wait():
    return GATE.receive()


# By section and title: the programs of a row.
CONSTRUCTS = {}


def construct(title, section=None):
    """Add a program, under a title that may have several; a new section if one is named."""
    if section is not None:
        CONSTRUCTS[section] = {}
    rows = next(reversed(CONSTRUCTS.values()))

    def add(program):
        rows.setdefault(title, []).append(program)
        return program

    return add


def generate(title, name, source):
    """Add a program that is written as an expression or a statement which sets `result`."""
    body = source if "\n" in source or "result" in source else f"result = {source}"
    namespace = {}
    lines = "\n    ".join(body.split("\n"))
    exec(f"def {name}():\n    {lines}\n    return result", globals(), namespace)
    program = globals()[name] = namespace[name]
    program.__module__ = __name__
    construct(title)(program)


# ---- calls ---------------------------------------------------------------------------------------


def takes(*args, **kwargs):
    return args, kwargs, wait()


@construct("functions and methods", section="Calls")
def functions():
    return takes(1)


class Methods:
    def method(self, *args):
        return args, wait()

    @classmethod
    def of_class(cls, *args):
        return cls.__name__, args, wait()

    @staticmethod
    def static(*args):
        return args, wait()

    def __call__(self, *args, **kwargs):
        return args, kwargs, wait()


@construct("functions and methods")
def methods():
    return Methods().method(1)


@construct("functions and methods")
def bound_methods():
    method = Methods().method
    return method(1)


@construct("`classmethod`, `staticmethod`")
def class_methods():
    return Methods.of_class(1)


@construct("`classmethod`, `staticmethod`")
def static_methods():
    return Methods().static(1)


@construct("`f(*args, **kwargs)`")
def argument_lists():
    return takes(*[1, 2], a=3)


@construct("`f(*args, **kwargs)`")
def argument_lists_of_methods():
    return Methods().method(*iter([1, 2]))


@construct("decorators with `functools.wraps`")
def decorated():
    @functools.wraps(takes)
    def wrapper(*args, **kwargs):
        return takes(*args, **kwargs)

    return wrapper(1, a=2)


@construct("instances with `__call__()`")
def callable_instances():
    return Methods()(1)


@construct("instances with `__call__()`")
def callable_instances_with_keywords():
    return Methods()(1, a=2)


@construct("`functools.partial`")
def partial():
    return functools.partial(takes, 1)()


@construct("`functools.partial`")
def partial_with_keywords():
    return functools.partial(takes, a=1)(b=2)


@construct("`functools.partial`, called with positional arguments")
def partial_with_arguments():
    return functools.partial(takes, 1)(2)


class PartialMethods:
    method = functools.partialmethod(takes, 1)


@construct("`functools.partialmethod`")
def partial_methods():
    result = PartialMethods().method()
    return result[0][1:], result[1:]


@construct("`functools.lru_cache`")
def caches():
    return functools.lru_cache(takes)(1)


@functools.singledispatch
def dispatches(_):
    return wait()


@construct("`functools.singledispatch`")
def dispatched():
    return dispatches(1)


@construct("`super().method()`")
def super_methods():
    return Derived().method(1)


class Derived(Methods):
    def method(self, *args):
        return "derived", super().method(*args)


@construct("`operator.methodcaller`, `itemgetter`, `attrgetter`")
def method_caller():
    return operator.methodcaller("method", 1)(Methods())


@construct("`types.MethodType` of a callable instance")
def methods_of_instances():
    return types.MethodType(Methods(), 1)()


@construct("`contextvars.Context.run`")
def context_run():
    import contextvars

    return contextvars.copy_context().run(takes, 1)


# ---- classes -------------------------------------------------------------------------------------


class Waits:
    def __init__(self, *args):
        self.args = args, wait()


@construct("`__init__()`", section="Classes and instances")
def instances():
    return Waits(1).args


@construct("`__init__()`")
def instances_with_argument_lists():
    return Waits(*[1, 2]).args


class Items(list):
    def __init__(self, item):
        super().__init__([item])
        self.append(wait())


class Failure(Exception):
    def __init__(self, *items):
        super().__init__(*items, wait())

    def __reduce__(self):
        return Exception.__new__, (Failure, *self.args)


@construct("`__init__()` of a class with a builtin base")
def instances_of_lists():
    return list(Items(1))


@construct("`__init__()` of a class with a builtin base")
def instances_of_exceptions():
    return Failure(1).args[-2:]


@dataclasses.dataclass
class Data:
    number: int

    def __post_init__(self):
        self.number += wait()


@construct("data classes' `__post_init__()`")
def data_classes():
    return Data(1).number


class Created:
    def __new__(cls, *args):
        self = super().__new__(cls)
        self.created = args, wait()
        return self

    def __reduce__(self):
        return object.__new__, (type(self),), self.__dict__


class CreatedAndInitialised(Created):
    def __init__(self, *args):
        self.initialised = args


class Number(int):
    def __new__(cls, value):
        return super().__new__(cls, value + wait())


@construct("`__new__()`")
def created():
    return Created(1).created


@construct("`__new__()`")
def created_numbers():
    return int(Number(1))


@construct("`__new__()` of a class with `__init__()`")
def created_and_initialised():
    made = CreatedAndInitialised(1)
    return made.created, made.initialised


class Meta(type):
    def __call__(cls, *args):
        return "meta", wait(), super().__call__(*args).args


class MetaAround(type):
    def __call__(cls, *args):
        return super().__call__(*args)


class OfMeta(metaclass=Meta):
    def __init__(self, *args):
        self.args = args


class OfMetaAround(metaclass=MetaAround):
    def __init__(self, *args):
        self.args = args, wait()


class Abstract(abc.ABC):  # noqa: B024
    def __init__(self, *args):
        self.args = args, wait()


@construct("a metaclass's `__call__()`")
def meta_calls():
    return OfMeta(1)


@construct("`__init__()` beneath a metaclass's `super().__call__()`")
def instances_of_meta():
    return OfMetaAround(1).args


@construct("`__init__()` of a class derived from `abc.ABC`")
def instances_of_abstract_classes():
    return Abstract(1).args


@construct("class bodies")
def class_bodies():
    class Body:
        value = wait()

    return Body.value


class PreparedMeta(type):
    @classmethod
    def __prepare__(cls, name, bases):
        return {"prepared": wait()}


class CreatingMeta(type):
    def __new__(cls, name, bases, namespace):
        return super().__new__(cls, name, bases, {**namespace, "value": wait()})


@construct("a metaclass's `__prepare__()`, `__new__()`, `__init__()`")
def prepared_classes():
    class Body(metaclass=PreparedMeta):
        pass

    return Body.prepared


@construct("a metaclass's `__prepare__()`, `__new__()`, `__init__()`")
def classes_created_by_meta():
    class Body(metaclass=CreatingMeta):
        pass

    return Body.value


class InitialisingMeta(type):
    def __init__(cls, name, bases, namespace):
        cls.value = len(bases), sorted(namespace)[-1], wait()


@construct("a metaclass's `__prepare__()`, `__new__()`, `__init__()`")
def classes_initialised_by_meta():
    class Body(Methods, metaclass=InitialisingMeta):
        def method(self):
            return __class__.value, super().method()[0]

    return Body.value


class Base:
    def __init_subclass__(cls):
        cls.value = wait()


class Named:
    def __set_name__(self, owner, name):
        self.name = name, wait()


@construct("`__init_subclass__()`")
def derived_classes():
    class Body(Base):
        pass

    return Body.value


@construct("`__init_subclass__()`")
def derived_classes_whose_methods_know_them():
    class Body(Base):
        @classmethod
        def method(cls):
            return __class__.value

    return Body.method()


@construct("`__init_subclass__()`")
def derived_classes_by_call():
    return type("Body", (Base,), {}).value


@construct("`__init_subclass__()`")
def derived_classes_of_abstract_ones():
    class Body(Base, abc.ABC):
        pass

    return Body.value


@construct("`__set_name__()`")
def named_descriptors():
    class Body:
        named = Named()

    return Body.named.name


class ClassItems:
    def __class_getitem__(cls, item):
        return cls.__name__, item, wait()


@construct("`__class_getitem__()`")
def class_items():
    return ClassItems[1]


class Checks(type):
    def __instancecheck__(cls, instance):
        return wait() > instance

    def __subclasscheck__(cls, subclass):
        return wait() > 1


class Checked(metaclass=Checks):
    pass


@construct("`__instancecheck__()`, `__subclasscheck__()`")
def instance_checks():
    return isinstance(1, Checked)


@construct("`__instancecheck__()`, `__subclasscheck__()`")
def subclass_checks():
    return issubclass(int, Checked)


@construct("`__mro_entries__()`")
def classes_with_other_bases():
    class Body(EntersMro()):
        pass

    return Body.entered


class EntersMro:
    def __mro_entries__(self, bases):
        return (type("Entered", (), {"entered": wait()}),)


class Colour(enum.Enum):
    @classmethod
    def _missing_(cls, value):
        return {7: cls.RED}.get(wait())

    RED = 1


@construct("an enumeration's `_missing_()`")
def enumerations():
    return Colour(5).value


NOTED = []


def leave_note(*args):
    got = wait()
    NOTED[:] = [*args, got]


class Notes:
    def __del__(self):
        leave_note()


@construct("`__del__()`, weak references' callbacks")
def finalizers():
    notes = Notes()
    del notes
    return list(NOTED)


@construct("`__del__()`, weak references' callbacks")
def weak_references():
    waits = Methods()
    reference = weakref.ref(waits, lambda _: leave_note())
    del waits
    return reference(), list(NOTED)


@construct("`__del__()`, weak references' callbacks")
def collected():
    notes = Notes()
    notes.itself = notes
    del notes
    gc.collect()
    return list(NOTED)


# ---- attributes ----------------------------------------------------------------------------------


class Descriptor:
    def __get__(self, instance, owner):
        return wait()

    def __set__(self, instance, value):
        instance.__dict__["set"] = value, wait()

    def __delete__(self, instance):
        instance.__dict__["deleted"] = wait()


class Attributes:
    descriptor = Descriptor()

    @property
    def plain(self):
        return wait()

    @plain.setter
    def plain(self, value):
        self.set = value, wait()

    @plain.deleter
    def plain(self):
        self.deleted = wait()

    @functools.cached_property
    def cached(self):
        return wait()

    @property
    def function(self):
        got = wait()
        return lambda x: (x, got)


@construct("properties: getters", section="Attributes")
def properties():
    return Attributes().plain


@construct("properties: getters")
def properties_that_are_called():
    return Attributes().function(1)


@construct("properties: setters")
def properties_set():
    it = Attributes()
    it.plain = 1
    return it.set


@construct("properties: deleters")
def properties_deleted():
    it = Attributes()
    del it.plain
    return it.deleted


@construct("`functools.cached_property`")
def cached_properties():
    return Attributes().cached


@construct("descriptors: `__get__()`")
def descriptors():
    return Attributes().descriptor


@construct("descriptors: `__set__()`")
def descriptors_set():
    it = Attributes()
    it.descriptor = 1
    return it.__dict__["set"]


@construct("descriptors: `__delete__()`")
def descriptors_deleted():
    it = Attributes()
    del it.descriptor
    return it.__dict__["deleted"]


class Anything:
    def __getattr__(self, name):
        return name, wait()


class Everything:
    def __getattribute__(self, name):
        return (name, wait()) if name == "one" else super().__getattribute__(name)


class Keeps:
    def __setattr__(self, name, value):
        self.__dict__[name] = value, wait()

    def __delattr__(self, name):
        self.__dict__[name] = wait()


@construct("`__getattr__()`")
def attributes_made_up():
    return Anything().one


@construct("`__getattribute__()`")
def attributes_all_made_up():
    return Everything().one


@construct("`__setattr__()`")
def attributes_set():
    it = Keeps()
    it.one = 1
    return it.__dict__["one"]


@construct("`__delattr__()`")
def attributes_deleted():
    it = Keeps()
    del it.one
    return it.__dict__["one"]


@construct("`getattr()`")
def get_attribute():
    return getattr(Attributes(), "plain")  # noqa: B009


@construct("`getattr()` with a default")
def get_attribute_or_default():
    return getattr(Attributes(), "plain", None)


@construct("`hasattr()`")
def has_attribute():
    return hasattr(Attributes(), "plain")


@construct("`setattr()`, `delattr()`")
def set_attribute():
    it = Attributes()
    setattr(it, "plain", 1)  # noqa: B010
    return it.set


@construct("`setattr()`, `delattr()`")
def delete_attribute():
    it = Attributes()
    delattr(it, "plain")
    return it.deleted


class DerivedAttributes(Attributes):
    @property
    def plain(self):
        return "derived", super().plain

    @property
    def explicit(self):
        return [super(DerivedAttributes, self).plain]  # noqa: UP008

    @property
    def got(self):
        return getattr(super(), "plain")  # noqa: B009


@construct("`super().attribute`")
def super_attributes():
    return DerivedAttributes().plain


@construct("`super().attribute`")
def got_super_attributes():
    return DerivedAttributes().got


@construct("`super(class, self).attribute`")
def explicit_super_attributes():
    return DerivedAttributes().explicit


class AttributesOfClasses(type):
    @property
    def plain(cls):
        return wait()


class HasAttributes(metaclass=AttributesOfClasses):
    descriptor = Descriptor()


@construct("a class's attribute: its metaclass's property, a descriptor")
def attributes_of_classes():
    return HasAttributes.plain


@construct("a class's attribute: its metaclass's property, a descriptor")
def descriptors_of_classes():
    return HasAttributes.descriptor


MODULE = types.ModuleType("MODULE")
MODULE.__getattr__ = lambda name: (name, wait())


@construct("a module's `__getattr__()`")
def attributes_of_modules():
    return MODULE.something


class Directory:
    def __dir__(self):
        return [str(wait())]


@construct("`dir()`")
def directories():
    return dir(Directory())


@construct("`match`: attributes of class patterns")
def class_patterns():
    match Attributes():
        case Attributes(plain=7):
            return "matched"
    return "not matched"


# ---- operators -----------------------------------------------------------------------------------

BINARY = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "matmul": "@",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "lshift": "<<",
    "rshift": ">>",
    "and": "&",
    "xor": "^",
    "or": "|",
}
COMPARISONS = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "gt": ">", "ge": ">="}


def method_of_two(name):
    def method(self, other):
        return name, other if isinstance(other, int) else type(other).__name__, wait()

    return method


def refuse(self, other):
    return NotImplemented


def class_with(class_name, method, *names):
    methods = {f"__{name}__": method(name) for name in names}
    made = type(class_name, (), methods)
    made.__module__ = __name__
    return made


Left = class_with("Left", method_of_two, *BINARY, *COMPARISONS)
Right = class_with("Right", method_of_two, *(f"r{name}" for name in BINARY), *COMPARISONS)
InPlace = class_with("InPlace", method_of_two, *(f"i{name}" for name in BINARY))
Refuses = class_with("Refuses", lambda _: refuse, *BINARY, *COMPARISONS)
LeftTwin = type("LeftTwin", (Left,), {"__module__": __name__})


class RightFirst(Refuses):
    """CPython asks the operand of the derived class first."""


for _name in BINARY:
    setattr(RightFirst, f"__r{_name}__", method_of_two(f"r{_name}"))
for _name in COMPARISONS:
    setattr(RightFirst, f"__{_name}__", method_of_two(_name))

CONSTRUCTS["Operators"] = {}
for _name, _symbol in BINARY.items():
    generate(
        "binary operators: the left operand's method", f"left_{_name}", f"Left() {_symbol} Right()"
    )
    generate(
        "binary operators: the right operand's method", f"right_{_name}", f"1 {_symbol} Right()"
    )
    generate(
        "the right operand's, after the left one's has returned `NotImplemented`",
        f"asked_{_name}",
        f"Refuses() {_symbol} Right()",
    )
    generate(
        "the right operand's, as its class is derived from the left one's",
        f"first_{_name}",
        f"Refuses() {_symbol} RightFirst()",
    )
    generate(
        "augmented assignments: `__iadd__()`, ...",
        f"in_place_{_name}",
        f"result = InPlace()\nresult {_symbol}= 1",
    )
    generate(
        "augmented assignments: `__add__()`, ...",
        f"not_in_place_{_name}",
        f"result = Left()\nresult {_symbol}= 1",
    )
for _name, _symbol in COMPARISONS.items():
    generate("comparisons: the left operand's method", f"left_{_name}", f"Left() {_symbol} Right()")
    generate("comparisons: the right operand's method", f"right_{_name}", f"1 {_symbol} Right()")
    generate(
        "the right operand's, after the left one's has returned `NotImplemented`",
        f"asked_{_name}",
        f"Refuses() {_symbol} Right()",
    )
    generate(
        "the right operand's, as its class is derived from the left one's",
        f"first_{_name}",
        f"Refuses() {_symbol} RightFirst()",
    )


class Unary:
    def __neg__(self):
        return wait()

    __pos__ = __invert__ = __abs__ = __neg__


@construct("`-x`")
def negated():
    return -Unary()


@construct("`~x`")
def inverted():
    return ~Unary()


@construct("`+x`")
def positive():
    return +Unary()


class Truth:
    def __bool__(self):
        return wait() > 3


class Length:
    def __len__(self):
        return wait()


@construct("truth: `if`, `not`, `while`")
def conditions():
    truth = Truth()
    return "yes" if truth else "no"


@construct("truth: `if`, `not`, `while`")
def negations():
    return not Truth()


@construct("truth: `and`, `or`")
def conjunctions():
    return Truth() and 1


@construct("truth: `and`, `or`")
def disjunctions():
    return type(Truth() or 1).__name__


@construct("truth: `__len__()`")
def lengths_negated():
    return not Length()


@construct("truth: `__len__()`")
def lengths_as_loop_conditions():
    items, rounds = Length(), 0
    while items:
        rounds += 1
        items = ()
    return rounds


@construct("truth: `__len__()`")
def lengths_as_conditions():
    length = Length()
    return "yes" if length else "no"


class EqualsByEq:
    def __eq__(self, other):
        return wait() == other

    __hash__ = None


@construct("`x != y` by `__eq__()`")
def unequal():
    return EqualsByEq() != 7


# ---- containers ----------------------------------------------------------------------------------


class Container:
    def __getitem__(self, key):
        return key, wait()

    def __setitem__(self, key, value):
        self.set = key, value, wait()

    def __delitem__(self, key):
        self.deleted = key, wait()

    def __contains__(self, key):
        return wait() == key

    def __len__(self):
        return wait()

    def __reversed__(self):
        return wait()


@construct("`x[key]`, `x[i:j]`", section="Containers")
def items():
    return Container()[1]


@construct("`x[key]`, `x[i:j]`")
def slices():
    return Container()[1:2][1]


@construct("`x[key] = value`, `x[i:j] = value`")
def items_set():
    it = Container()
    it[1] = 2
    return it.set


@construct("`x[key] = value`, `x[i:j] = value`")
def slices_set():
    it = Container()
    it[1:2] = 3
    return it.set[2]


@construct("`del x[key]`")
def items_deleted():
    it = Container()
    del it[1]
    return it.deleted


@construct("`y in x`: `__contains__()`")
def contained():
    return 7 in Container()


@construct("`y in x`: a generator")
def contained_in_a_generator():
    return 7 in (wait() for _ in "a")


@construct("`len()`")
def lengths():
    return len(Container())


@construct("`reversed()`")
def reversed_containers():
    return reversed(Container())


class Missing(dict):
    def __missing__(self, key):
        return key, wait()


class Key:
    def __hash__(self):
        return wait()

    def __eq__(self, other):
        return True


class EqualKey:
    def __hash__(self):
        return 1

    def __eq__(self, other):
        return wait() == 7


@construct("a dictionary's `__missing__()`")
def missing_items():
    return Missing()[1]


@construct("`collections.defaultdict`")
def default_items():
    return collections.defaultdict(wait)[1]


@construct("keys' `__hash__()`, `__eq__()`")
def hashed_keys():
    return {7: "found"}[Key()]


@construct("keys' `__hash__()`, `__eq__()`")
def equal_keys():
    return {EqualKey(): "found"}.get(EqualKey())


@construct("keys' `__hash__()`, `__eq__()`")
def default_keys():
    return {}.setdefault(Key(), 1)


@construct("`list.index()`, `list.count()`, `y in list`")
def found_in_lists():
    return [1, EqualKey()].index(2)


@construct("`list.index()`, `list.count()`, `y in list`")
def contained_in_lists():
    return 2 in [EqualKey()]


@construct("`collections.abc` mix-ins")
def mixed_in():
    return Mapping().get(1)


class Mapping(collections.abc.Mapping):
    def __getitem__(self, key):
        return key, wait()

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


@construct("`collections.UserDict`")
def user_dictionaries():
    class Own(collections.UserDict):
        def __missing__(self, key):
            return key, wait()

    return Own()[1]


# ---- iteration -----------------------------------------------------------------------------------


class Iterable:
    def __iter__(self):
        return iter([wait()])


class Iterator:
    def __init__(self):
        self.left = 1

    def __iter__(self):
        return self

    def __next__(self):
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return wait()


class Indexed:
    def __getitem__(self, i):
        if i > 0:
            raise IndexError
        return wait()

    def __len__(self):
        return 1


def once():
    yield wait()


def collect(iterable):
    result = []
    for item in iterable:
        result.append(item)
    return result


@construct("`for` over an object with `__iter__()`", section="Iteration")
def iterables():
    return collect(Iterable())


@construct("`for` over an iterator: `__next__()`")
def iterators():
    return collect(Iterator())


@construct("`for` over a sequence: `__getitem__()`")
def indexed():
    return collect(Indexed())


@construct("`for x in channel`")
def channels():
    for item in GATE:
        return item


@construct("comprehensions over an iterator")
def comprehensions():
    return [item for item in Iterator()]  # noqa: C416


@construct("`iter()`")
def iter_of_iterables():
    return next(iter(Iterable()))


@construct("`next()` of an object with `__next__()`")
def next_of_iterators():
    return next(Iterator())


@construct("`for x in iter(callable, sentinel)`")
def callable_iterators():
    for item in iter(wait, None):
        return item


@construct("`map`: its function")
def mapped():
    return collect(map(weighs, [1]))


@construct("`map`: its function")
def next_of_mapped():
    return next(map(weighs, [1]), None)


@construct("`filter`, `itertools.takewhile`, ...: their function")
def filtered():
    return collect(filter(lambda x: wait() > x, [1]))


def is_odd(x):
    return x % 2


WRAPPERS = {
    "`enumerate`": ["enumerate({})"],
    "`zip`, while it asks the first": ["zip({}, [1], strict=False)", "zip({}, 'a', strict=True)"],
    "`zip`, while it asks another one": ["zip('a', {}, strict=False)"],
    "`map`, `filter`": ["map(is_odd, {})", "filter(is_odd, {})", "filter(None, {})"],
    "`itertools`: `chain`, `islice`, `takewhile`, `dropwhile`, `filterfalse`": [
        "itertools.chain({}, [1])",
        "itertools.islice({}, 9)",
        "itertools.takewhile(is_odd, {})",
        "itertools.dropwhile(is_odd, {})",
        "itertools.filterfalse(None, {})",
        "enumerate(itertools.islice(filter(None, itertools.chain([], {})), 2))",
    ],
    "`itertools`: `accumulate`, `starmap`, `cycle`": [
        "itertools.accumulate({})",
        "itertools.starmap(is_odd, zip({}))",
        "[next(itertools.cycle({}))]",
    ],
    "`itertools`: `batched`, `groupby`, `pairwise`, `tee`, `zip_longest`, ...": [
        "(key for key, _ in itertools.groupby({}))",
        "itertools.pairwise({})",
        "itertools.tee({})[0]",
        "itertools.zip_longest({}, [1])",
    ],
    "one of these around another": ["zip(enumerate(filter(is_odd, {})), [1], strict=False)"],
}


def add_wrapped(asked):
    """Add the programs that ask one of these iterators for the next item."""
    for title, wrappers in WRAPPERS.items():
        for number, wrapper in enumerate(wrappers):
            name = "wrapped_" + re.sub("[^a-z]+", "_", f"{title} {asked}".lower()) + str(number)
            generate(title + WRAPPED[asked], name, f"collect({wrapper.format(asked)})")


WRAPPED = {"Iterator()": " over an object with `__next__()`", "once()": " over a generator"}
add_wrapped("Iterator()")


@construct("the same over a sequence: `__getitem__()`")
def enumerated_sequences():
    return collect(enumerate(Indexed()))


@construct("`reversed` of a sequence: `__getitem__()`")
def reversed_sequences():
    return collect(reversed(Indexed()))


@construct("`next()` of one of these, with and without a default")
def next_of_wrapped():
    return next(enumerate(Iterator()))


@construct("`next()` of one of these, with and without a default")
def next_of_wrapped_or_default():
    wrapped = itertools.islice(Iterator(), 1)
    return next(wrapped, None), next(wrapped, None)


def is_even(x):
    return not x % 2


def first(iterable):
    for item in iterable:
        return item


for _title, _wrappers in {
    "`enumerate`, `zip`, `map`, `filter` over a channel": [
        "enumerate({})",
        "zip({}, [1], strict=False)",
        "map(is_odd, {})",
        "filter(is_odd, {})",
        "filter(None, enumerate({}))",
    ],
    "`itertools`: `chain`, `islice`, `takewhile`, `accumulate`, ... over a channel": [
        "itertools.chain([], {})",
        "itertools.islice({}, 9)",
        "itertools.takewhile(is_odd, {})",
        "itertools.dropwhile(is_even, {})",
        "itertools.filterfalse(is_even, {})",
        "itertools.accumulate({})",
        "itertools.starmap(is_odd, zip({}))",
        "itertools.cycle({})",
    ],
    "`zip`, while it asks another one over a channel": ["zip('a', {}, strict=False)"],
}.items():
    for _number, _wrapper in enumerate(_wrappers):
        _name = re.sub("[^a-z]+", "_", _title) + str(_number)
        generate(_title, "first_of_" + _name, f"first({_wrapper.format('GATE')})")


@construct("`next()` of a channel, with and without a default")
def next_of_channels():
    return next(GATE)


@construct("`next()` of a channel, with and without a default")
def next_of_channels_or_default():
    return next(GATE, None)


@construct("`next()` of a channel, with and without a default")
def next_of_enumerated_channels():
    return next(enumerate(GATE))


@construct("unpacking: `a, b = iterator`, `f(*iterator)`, `[*iterator]`")
def unpacked():
    (item,) = Iterator()
    return item


@construct("unpacking: `a, b = iterator`, `f(*iterator)`, `[*iterator]`")
def unpacked_arguments():
    return (lambda *args: args)(*Iterator())


@construct("unpacking: `a, b = iterator`, `f(*iterator)`, `[*iterator]`")
def unpacked_lists():
    return [*Iterator()]


# ---- generators ----------------------------------------------------------------------------------


class Throws(Exception):
    pass


def catches():
    try:
        yield 1
    except Throws:
        yield wait()


def closes():
    try:
        yield 1
    finally:
        leave_note()


def delegates():
    result = yield from once()
    yield result


@construct("`for` over a generator", section="Generators")
def generators():
    return collect(once())


@construct("generator expressions, comprehensions over a generator")
def generator_expressions():
    return collect(wait() for _ in "a")


@construct("generator expressions, comprehensions over a generator")
def comprehensions_over_generators():
    return [x for x in (y for y in once())]  # noqa: C416


add_wrapped("once()")


@construct("`yield from`")
def delegated():
    return collect(delegates())


def delegates_to_iterators():
    yield from Iterator()


@construct("`yield from` an object with `__next__()`")
def delegated_to_iterators():
    return collect(delegates_to_iterators())


@construct("`next()`, with and without a default")
def next_of_generators():
    return next(once())


@construct("`next()`, with and without a default")
def next_of_generators_or_default():
    return next(once(), 1)


@construct("`send()`, `throw()`, `__next__()`")
def sent():
    return once().send(None)


@construct("`send()`, `throw()`, `__next__()`")
def resumed():
    return once().__next__()


@construct("`send()`, `throw()`, `__next__()`")
def thrown():
    generator = catches()
    next(generator)
    return generator.throw(Throws())


@construct("`close()`")
def closed():
    generator = closes()
    next(generator)
    generator.close()
    return list(NOTED)


@construct("a generator that is dropped")
def dropped():
    generator = closes()
    next(generator)
    del generator
    return list(NOTED)


@construct("`list()`, `tuple()`, `set()`, `dict()` of a generator")
def lists():
    return list(once())


@construct("`list()`, `tuple()`, `set()`, `dict()` of a generator")
def tuples():
    return tuple(once())


@construct("`list()`, `tuple()`, `set()`, `dict()` of a generator")
def sets():
    return set(once())


@construct("`list()`, `tuple()`, `set()`, `dict()` of a generator")
def dicts():
    return dict((1, wait()) for _ in "a")  # noqa: C402


@construct("`sum()`, `any()`, `all()`, `min()`, `max()` of a generator")
def sums():
    return sum(once())


@construct("`sum()`, `any()`, `all()`, `min()`, `max()` of a generator")
def any_of():
    return any(once())


@construct("`sum()`, `any()`, `all()`, `min()`, `max()` of a generator")
def all_of():
    return all(once())


@construct("`sum()`, `any()`, `all()`, `min()`, `max()` of a generator")
def least():
    return min(once())


@construct("`str.join()` of a generator")
def joined():
    return "".join(str(x) for x in once())


# ---- with ----------------------------------------------------------------------------------------


class Enters:
    def __enter__(self):
        return wait()

    def __exit__(self, *_):
        return None


class Exits:
    def __enter__(self):
        return []

    def __exit__(self, kind, *_):
        leave_note(kind and kind.__name__)
        return True


@construct("`__enter__()`", section="`with`")
def entered():
    with Enters() as value:
        return value


@construct("`__exit__()`")
def exited():
    with Exits():
        pass
    return list(NOTED)


@construct("`__exit__()`")
def exited_by_return():
    def leaves():
        with Exits():
            return 1

    return leaves(), list(NOTED)


@construct("`__exit__()` that is told of an exception")
def exited_by_exception():
    with Exits():
        raise KeyError
    return list(NOTED)


@contextlib.contextmanager
def manages():
    value = wait()
    yield value


@contextlib.contextmanager
def manages_later():
    try:
        yield 1
    except Throws:
        return leave_note("thrown")
    return leave_note()


@construct("`contextlib.contextmanager`")
def managed():
    with manages() as value:
        return value


@construct("`contextlib.contextmanager`")
def managed_later():
    with manages_later():
        pass
    return list(NOTED)


@construct("`contextlib.contextmanager`")
def managed_exceptions():
    with manages_later():
        raise Throws
    return list(NOTED)


@construct("`contextlib.contextmanager` as a decorator")
def managed_functions():
    @manages()
    def function():
        return 1

    return function()


@construct("`contextlib.ExitStack`")
def exit_stacks():
    with contextlib.ExitStack() as stack:
        return stack.enter_context(Enters())


@construct("`contextlib.ExitStack`")
def exit_stacks_left():
    with contextlib.ExitStack() as stack:
        stack.enter_context(Exits())
    return list(NOTED)


@construct("`contextlib.ExitStack`")
def exit_stacks_with_callbacks():
    results = []
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: results.append(wait()))
    return results


@construct("`contextlib.closing`, `suppress`, `redirect_stdout` around the wait")
def other_managers():
    with contextlib.suppress(KeyError):
        return wait()


# ---- coroutines ----------------------------------------------------------------------------------


def drive(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it has yielded")


async def waits():
    return wait()


class Awaitable:
    def __await__(self):
        return wait()
        yield


@construct("coroutines: `send()`", section="Coroutines")
def coroutines():
    return drive(waits())


async def awaits():
    return await waits()


@construct("`await` of a coroutine")
def awaited():
    return drive(awaits())


async def awaits_objects():
    return await Awaitable()


@construct("`await` of an object: `__await__()`")
def awaited_objects():
    return drive(awaits_objects())


class AsyncEnters:
    async def __aenter__(self):
        return wait()

    async def __aexit__(self, *_):
        return None


class AsyncExits:
    async def __aenter__(self):
        return 1

    async def __aexit__(self, kind, *_):
        leave_note(kind and kind.__name__)
        return True


async def enters_async():
    async with AsyncEnters() as value:
        return value


async def exits_async():
    async with AsyncExits():
        pass
    return list(NOTED)


async def exits_async_by_exception():
    async with AsyncExits():
        raise KeyError
    return list(NOTED)


@construct("`async with`")
def entered_async():
    return drive(enters_async())


@construct("`async with`")
def exited_async():
    return drive(exits_async())


@construct("`async with`")
def exited_async_by_exception():
    return drive(exits_async_by_exception())


class AsyncIterator:
    left = 1

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        self.left = 0
        return wait()


async def loops_async():
    result = []
    async for item in AsyncIterator():
        result.append(item)
    return result


async def comprehends_async():
    return [item async for item in AsyncIterator()]


@construct("`async for` over an object with `__anext__()`")
def looped_async():
    return drive(loops_async())


@construct("`async for` over an object with `__anext__()`")
def comprehended_async():
    return drive(comprehends_async())


async def once_async():
    yield wait()


async def catches_async():
    try:
        yield 1
    except Throws:
        yield wait()


async def closes_async():
    try:
        yield 1
    finally:
        leave_note()


async def loops_over_async_generators():
    result = []
    async for item in once_async():
        result.append(item)
    return result


async def comprehends_async_generators():
    return [item async for item in once_async()]


async def sends_async():
    return await once_async().asend(None)


async def throws_async():
    generator = catches_async()
    await anext(generator)
    return await generator.athrow(Throws())


async def closes_async_generators():
    generator = closes_async()
    await anext(generator)
    await generator.aclose()
    return list(NOTED)


async def asks_async():
    return await anext(once_async())


@contextlib.asynccontextmanager
async def manages_async():
    yield wait()


async def enters_async_managers():
    async with manages_async() as value:
        return value


@construct("`async for` over an asynchronous generator")
def looped_over_async_generators():
    return drive(loops_over_async_generators())


@construct("asynchronous comprehensions over an asynchronous generator")
def comprehended_async_generators():
    return drive(comprehends_async_generators())


@construct("`asend()`")
def sent_async():
    return drive(sends_async())


@construct("`athrow()`")
def thrown_async():
    return drive(throws_async())


@construct("`aclose()`")
def closed_async():
    return drive(closes_async_generators())


@construct("`anext()`")
def asked_async():
    return drive(asks_async())


@construct("`contextlib.asynccontextmanager`")
def entered_async_managers():
    return drive(enters_async_managers())


# ---- functions that call back --------------------------------------------------------------------


def weighs(x):
    return x * wait()


@construct("`sorted(key=...)`, `list.sort(key=...)`, `min(key=...)`, `max(key=...)`", "Callbacks")
def sorted_by():
    return sorted([2], key=weighs)


@construct("`sorted(key=...)`, `list.sort(key=...)`, `min(key=...)`, `max(key=...)`")
def sorted_in_place():
    result = [2]
    result.sort(key=weighs)
    return result


@construct("`sorted(key=...)`, `list.sort(key=...)`, `min(key=...)`, `max(key=...)`")
def least_by():
    return min([2], key=weighs)


class Sortable:
    def __lt__(self, other):
        return wait() > 3


@construct("`sorted()` by `__lt__()`, `functools.cmp_to_key`, `heapq`, `bisect`")
def sorted_by_comparison():
    return len(sorted([Sortable(), Sortable()]))


@construct("`sorted()` by `__lt__()`, `functools.cmp_to_key`, `heapq`, `bisect`")
def sorted_by_function():
    return sorted([2, 1], key=functools.cmp_to_key(lambda a, b: wait() * (a - b)))


@construct("`sorted()` by `__lt__()`, `functools.cmp_to_key`, `heapq`, `bisect`")
def pushed():
    heap = [Sortable()]
    heapq.heappush(heap, Sortable())
    return len(heap)


@construct("`sorted()` by `__lt__()`, `functools.cmp_to_key`, `heapq`, `bisect`")
def bisected():
    return bisect.bisect([Sortable()], Sortable())


@construct("`list(map(...))`, `list(filter(...))`")
def lists_of_mapped():
    return list(map(weighs, [1]))


@construct("`functools.reduce`")
def reduced():
    return functools.reduce(lambda a, b: a + b + wait(), [1, 2])


@construct("`re.sub(callable)`")
def substituted():
    return re.sub("a", lambda _: str(wait()), "a")


@construct("`json.dumps(default=...)`")
def dumped():
    return json.dumps(Methods(), default=lambda _: wait())


@construct("`pickle.dumps()`, `copy.copy()`: `__reduce__()`")
def pickled():
    return pickle.loads(pickle.dumps(Reduces()))


class Reduces:
    def __reduce__(self):
        return int, (wait(),)


@construct("`copy.deepcopy()`: `__deepcopy__()`")
def copied():
    return copy.deepcopy(Copies())


class Copies:
    def __deepcopy__(self, memo):
        return wait()


class Handler(logging.Handler):
    def emit(self, record):
        leave_note(record.getMessage())

    def handle(self, record):
        self.emit(record)  # without the lock, which pickle refuses


LOGGER = logging.Logger("constructs")
LOGGER.addHandler(Handler())


@construct("`logging` handlers")
def logged():
    LOGGER.error("message")
    return list(NOTED)


class File(io.TextIOBase):
    def write(self, text):
        if text:
            leave_note(text)
        return len(text)


@construct("`print()` to an object with `write()`")
def printed():
    print("text", end="", file=File())
    return list(NOTED)


# ---- conversions ---------------------------------------------------------------------------------


class Converts:
    def __str__(self):
        return f"str {wait()}"

    def __repr__(self):
        return f"repr {wait()}"

    def __format__(self, spec):
        return f"{spec} {wait()}"

    def __bytes__(self):
        return bytes([wait()])

    def __fspath__(self):
        return f"path {wait()}"

    def __int__(self):
        return wait()

    def __float__(self):
        return float(wait())

    def __complex__(self):
        return complex(wait())

    def __index__(self):
        return wait()

    def __hash__(self):
        return wait()

    def __bool__(self):
        return wait() > 3

    def __abs__(self):
        return wait()

    def __round__(self, *_):
        return wait()

    def __divmod__(self, other):
        return other, wait()

    __rdivmod__ = __divmod__

    def __pow__(self, other, modulus=None):
        return other, modulus, wait()

    def __trunc__(self):
        return wait()

    __floor__ = __ceil__ = __trunc__


class HasStr:
    def __str__(self):
        return f"str {wait()}"


class HasRepr:
    def __repr__(self):
        return f"repr {wait()}"


CONSTRUCTS["Conversions"] = {}
for _title, _programs in {
    "`str()`": ["str(Converts())", "str(HasRepr())"],
    "`repr()`, `ascii()`": ["repr(Converts())", "ascii(Converts())"],
    "`format()`": ["format(Converts(), 'spec')", "format(Converts())", "format(HasStr())"],
    "f-strings": [
        "f'{Converts()}'",
        "f'{Converts():spec}'",
        "f'{Converts()!r}'",
        "f'{Converts()!s:>20}'",
        "f'{Converts()!a}'",
        "f'{HasStr()}'",
    ],
    "`%`, `str.format()`": ["'%s' % Converts()", "'{}'.format(Converts())"],
    "`int()`, `float()`, `complex()`": [
        "int(Converts())",
        "float(Converts())",
        "complex(Converts())",
    ],
    "`bool()`": ["bool(Converts())"],
    "`bytes()`": ["bytes(Converts())"],
    "`hash()`": ["hash(Converts())"],
    "`abs()`, `round()`, `divmod()`, `pow(x, y)`": [
        "abs(Converts())",
        "round(Converts())",
        "round(Converts(), 1)",
        "divmod(Converts(), 1)",
        "divmod(1, Converts())",
        "pow(Converts(), 1)",
    ],
    "`pow(x, y, z)`": ["pow(Converts(), 1, 2)"],
    "`math.floor()`, `ceil()`, `trunc()`": [
        "math.floor(Converts())",
        "math.ceil(Converts())",
        "math.trunc(Converts())",
    ],
    "`operator.index()`": ["operator.index(Converts())"],
    "`__index__()`: `list[x]`, `range()`, slices": [
        "'abcdefgh'[Converts()]",
        "len(range(Converts()))",
        "'abcdefgh'[Converts():]",
    ],
    "`os.fspath()`": ["os.fspath(Converts())"],
}.items():
    for _number, _source in enumerate(_programs):
        _name = re.sub("[^a-z]+", "_", _title) + str(_number)
        generate(_title, "converts_" + _name, _source)


# ---- code and modules ----------------------------------------------------------------------------


@construct("`exec()`, `eval()`", section="Code and modules")
def executed():
    namespace = {"wait": wait}
    exec("value = wait()", namespace)
    return namespace["value"]


@construct("`exec()`, `eval()`")
def evaluated():
    return eval("wait() + 1")


@construct("`import` of a module whose body waits")
def imported():
    sys.modules.pop("waits_at_import", None)
    import waits_at_import

    return waits_at_import.VALUE


# ---- where it waits ------------------------------------------------------------------------------


@construct("`channel.receive()`", section="Waiting")
def receives():
    return GATE.receive()


@construct("`channel.receive(*tuple)`")
def receives_with_a_tuple():
    return GATE.receive(*())


@construct("`channel.receive(*list)`, or another iterable")
def receives_with_a_list():
    return GATE.receive(*[])


@construct("`channel.receive(*list)`, or another iterable")
def receives_with_an_iterator():
    return GATE.receive(*iter(()))


SENT = stackless.channel()


@construct("`channel.send()`")
def sends():
    return SENT.send(1)


@construct("`channel.send_exception()`, `send_throw()`")
def sends_exceptions():
    return SENT.send_exception(KeyError)


@construct("`channel.send_exception()`, `send_throw()`")
def sends_instances_of_exceptions():
    return SENT.send_throw(exc=KeyError(1))


@construct("`channel.send_sequence()`")
def sends_sequences():
    return SENT.send_sequence([1])


@construct("`stackless.schedule()`")
def schedules():
    return type(stackless.schedule()).__name__


@construct("`stackless.sleep()`")
def sleeps():
    return stackless.sleep(0)


@construct("`stackless.schedule_remove()`")
def removes():
    return type(stackless.schedule_remove()).__name__


@construct("`tasklet.switch()` to another one")
def switches():
    return stackless.tasklet(stackless.schedule)().switch()


PAIR = []


@construct("`stackless.socket`: `recv()`, `send()`, `accept()`, ...")
def receives_bytes():
    import stackless.socket

    PAIR[:] = stackless.socket.socketpair()
    with PAIR[0], PAIR[1]:
        return PAIR[0].recv(1)


@construct("`stackless.timeout()` around the wait")
def times_out():
    with stackless.timeout(3600):
        return wait()
