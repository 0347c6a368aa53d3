// Wrappers: the iterators of C that ask another one for each item, like enumerate(). What they know they keep in
// themselves, and they change nothing before they have been answered. So it doesn't matter to one that the call in
// which it has asked is gone: it is asked anew, and gets the answer from a stand-in for whom it asks.
#pragma once

#include <Python.h>

#include <vector>

struct _PyInterpreterFrame;

namespace stackless::interp {

// Whom a wrapper waits for: itself, whom it asks, whom that asks ...
struct Asked {
  bool known;
  int depth;            // 0: itself (map() for its function), and so on
  PyObject* generator;  // whose frame runs, or null
  PyObject* frameless;  // who has no frame, if none runs
};
constexpr int deepest = 15;

// is_wrapper() tells whether the object is one of a known type.
bool is_wrapper(PyObject* object) noexcept;

// find_asked() is told who has called the wrapper `object`, a frame with a value stack of that height, and what runs: the
// frame that this call has entered, perhaps through other wrappers; null if that waits in C code of ours, and the last
// one that is asked is no wrapper. `again`: the caller is a frame of ours.
Asked find_asked(PyObject* object, _PyInterpreterFrame* caller, int height, bool again,
                 _PyInterpreterFrame* inner) noexcept;

// How the answer has come: as a value, as the end (the value is what a generator has returned), or as an exception.
enum class Answer : char { item, end, exception };

// go_on() returns what the wrapper returns then: null for its end, perhaps without an exception.
PyObject* go_on(PyObject* object, int depth, Answer answer, PyObject* value);

// Wrappers whose calls are about to be left by an exception, which some take for the end: they forget whom they
// ask. They are made to remember, and kept, until let_go().
class Held {
 public:
  Held() = default;
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { let_go(); }
  // False if there is no memory.
  bool hold(PyObject* object) noexcept;
  void let_go() noexcept;

 private:
  struct Link {
    PyObject* wrapper;
    PyObject** place;
    PyObject* asked;
  };
  std::vector<Link> links_;
};

// init_wrappers() is called once, at import; -1 with an exception set.
int init_wrappers();

}  // namespace stackless::interp
