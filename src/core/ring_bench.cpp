#include "core/ring.hpp"

#include <benchmark/benchmark.h>
#include <vector>

namespace stackless::core {
namespace {

struct Element {
  Element* next = nullptr;
  Element* prev = nullptr;
};

// schedule() in miniature: the next one becomes the head.
void BM_Rotate(benchmark::State& state) {
  std::vector<Element> elements(100);
  Ring<Element> ring;
  for (Element& element : elements) {
    ring.push_back(&element);
  }
  for (auto _ : state) {
    ring.rotate_to(ring.head()->next);
    benchmark::DoNotOptimize(ring.head());
  }
}
BENCHMARK(BM_Rotate);

// Blocking and being woken in miniature.
void BM_RemoveAndPushBack(benchmark::State& state) {
  std::vector<Element> elements(100);
  Ring<Element> ring;
  for (Element& element : elements) {
    ring.push_back(&element);
  }
  for (auto _ : state) {
    Element* element = ring.head();
    ring.remove(element);
    ring.push_back(element);
    benchmark::DoNotOptimize(ring.head());
  }
}
BENCHMARK(BM_RemoveAndPushBack);

}  // namespace
}  // namespace stackless::core
