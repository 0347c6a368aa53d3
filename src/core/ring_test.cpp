#include "core/ring.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <random>
#include <vector>

namespace stackless::core {
namespace {

struct Element {
  Element* next = nullptr;
  Element* prev = nullptr;
};

// contents() walks the ring both ways and returns it from the head on.
std::vector<Element*> contents(const Ring<Element>& ring) {
  std::vector<Element*> forward, backward;
  if (Element* element = ring.head()) {
    do {
      forward.push_back(element);
      element = element->next;
    } while (element != ring.head());
    do {
      element = element->prev;
      backward.push_back(element);
    } while (element != ring.head());
  }
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
  return forward;
}

TEST(Ring, IsEmptyAtFirst) {
  Ring<Element> ring;
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.size(), 0u);
  EXPECT_EQ(ring.head(), nullptr);
}

TEST(Ring, TheFirstElementIsHeadAndItsOwnNeighbour) {
  Ring<Element> ring;
  Element a;
  ring.push_back(&a);
  EXPECT_EQ(ring.head(), &a);
  EXPECT_EQ(a.next, &a);
  EXPECT_EQ(a.prev, &a);
}

TEST(Ring, ARemovedElementHasNoLinksAndCanComeBack) {
  Ring<Element> ring;
  Element a, b;
  ring.push_back(&a);
  ring.push_back(&b);
  ring.remove(&a);
  EXPECT_EQ(a.next, nullptr);
  EXPECT_EQ(a.prev, nullptr);
  EXPECT_EQ(ring.head(), &b);
  ring.push_back(&a);
  EXPECT_EQ(contents(ring), (std::vector{&b, &a}));
}

TEST(Ring, RotatingMovesTheHeadAndNothingElse) {
  Ring<Element> ring;
  Element a, b, c;
  for (Element* element : {&a, &b, &c}) {
    ring.push_back(element);
  }
  ring.rotate_to(&c);
  EXPECT_EQ(contents(ring), (std::vector{&c, &a, &b}));
}

TEST(Ring, BehavesLikeAVectorUnderRandomOperations) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    std::vector<Element> elements(12);
    std::vector<Element*> model, idle;
    for (Element& element : elements) {
      idle.push_back(&element);
    }
    Ring<Element> ring;
    for (int step = 0; step < 2000; ++step) {
      const std::size_t at = model.empty() ? 0 : random() % model.size();
      switch (random() % 4) {
        case 0:
          if (!idle.empty()) {
            ring.push_back(idle.back());
            model.push_back(idle.back());
            idle.pop_back();
          }
          break;
        case 1:
          if (!idle.empty() && !model.empty()) {
            ring.insert_after(model[at], idle.back());
            model.insert(model.begin() + static_cast<std::ptrdiff_t>(at) + 1, idle.back());
            idle.pop_back();
          }
          break;
        case 2:
          if (!model.empty()) {
            ring.remove(model[at]);
            idle.push_back(model[at]);
            model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
          }
          break;
        default:
          if (!model.empty()) {
            ring.rotate_to(model[at]);
            std::rotate(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(at),
                        model.end());
          }
      }
      ASSERT_EQ(ring.size(), model.size());
      ASSERT_EQ(ring.empty(), model.empty());
      ASSERT_EQ(contents(ring), model) << "seed " << seed << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace stackless::core
