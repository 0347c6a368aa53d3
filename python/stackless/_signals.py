"""Handlers installed with signal.signal() can't switch tasklets.

A handler runs between any two instructions of whichever tasklet the signal finds; were it to
switch, that tasklet would stay in the middle of them. So a switch inside one raises RuntimeError.
CPython tells nobody when it calls a handler; the two functions of ``_signal`` that ``signal`` calls
to set and get them are replaced, so that handlers are wrapped on their way in and unwrapped on
their way out.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import threading

from stackless._stackless import _Handler

_set = _signal.signal
_get = _signal.getsignal


def _unwrapped(handler):
    return handler.handler if isinstance(handler, _Handler) else handler


def signal(signalnum, handler, /):
    """Set a signal's handler and return the one before: what signal.signal() calls."""
    if callable(handler) and handler is not _signal.default_int_handler:
        handler = _Handler(handler)
    return _unwrapped(_set(signalnum, handler))


def getsignal(signalnum, /):
    """Return a signal's handler: what signal.getsignal() calls."""
    return _unwrapped(_get(signalnum))


def install() -> None:
    """Have all handlers wrapped, those that are set already included."""
    _signal.signal, _signal.getsignal = signal, getsignal
    if threading.current_thread() is threading.main_thread():
        for number in _signal.valid_signals():
            handler = _get(number)
            if callable(handler) and not isinstance(handler, _Handler):
                signal(number, handler)
