// An intrusive circular list: its elements carry the links, so nothing is ever allocated.
#pragma once

#include <cassert>
#include <cstddef>

namespace stackless::core {

// Ring<T> links objects through their members `next` and `prev` (null while in no ring).
// The head is what runs now; the tail, head->prev, is what runs last.
template <class T>
class Ring {
 public:
  // head() returns the first element, or null if the ring is empty.
  T* head() const noexcept { return head_; }
  // size() returns the number of elements.
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return head_ == nullptr; }

  // push_back() links `element` in as the tail; in an empty ring it becomes the head.
  void push_back(T* element) noexcept {
    assert(element->next == nullptr && element->prev == nullptr);
    ++size_;
    if (head_ == nullptr) {
      head_ = element->next = element->prev = element;
      return;
    }
    T* tail = head_->prev;
    element->prev = tail;
    element->next = head_;
    tail->next = element;
    head_->prev = element;
  }

  // insert_after() links `element` in right behind `place`.
  void insert_after(T* place, T* element) noexcept {
    assert(element->next == nullptr && element->prev == nullptr);
    ++size_;
    element->prev = place;
    element->next = place->next;
    place->next->prev = element;
    place->next = element;
  }

  // remove() unlinks `element`; if it was the head, its successor becomes the head.
  void remove(T* element) noexcept {
    assert(size_ > 0);
    --size_;
    if (element->next == element) {
      head_ = nullptr;
    } else {
      element->prev->next = element->next;
      element->next->prev = element->prev;
      if (head_ == element) {
        head_ = element->next;
      }
    }
    element->next = element->prev = nullptr;
  }

  // rotate_to() makes `element` the head and moves nothing.
  void rotate_to(T* element) noexcept {
    assert(element->next != nullptr);
    head_ = element;
  }

 private:
  T* head_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace stackless::core
