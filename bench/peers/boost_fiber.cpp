// Boost.Fiber: FIGURE COUNT, as measure.py's main(). Frames are C++ frames, values are longs.
#include <malloc.h>
#include <time.h>
#include <unistd.h>
#include <boost/fiber/all.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using boost::fibers::fiber;
using Channel = boost::fibers::unbuffered_channel<long>;

constexpr long batch = 1000;
constexpr std::size_t stack_bytes = 16 * 1024;

double clock_ns() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

template <class Function>
fiber spawn(Function function) {
  return fiber(boost::fibers::launch::post, std::allocator_arg,
               boost::fibers::fixedsize_stack(stack_bytes), std::move(function));
}

double join_all(std::vector<fiber>& fibers) {
  double begin = clock_ns();
  for (fiber& each : fibers) {
    each.join();
  }
  return clock_ns() - begin;
}

[[gnu::noinline]] long spin_at_depth(int depth, long times) {
  volatile long frame = depth;  // keeps the call from becoming a jump
  if (depth > 1) {
    return spin_at_depth(depth - 1, times) + frame;
  }
  for (long i = 0; i < times; ++i) {
    boost::this_fiber::yield();
  }
  return frame;
}

double switch_among(long fibers, int depth, long count) {
  std::vector<fiber> ring;
  for (long i = 0; i < fibers; ++i) {
    ring.push_back(spawn([=] { spin_at_depth(depth, 1 + count / fibers); }));
  }
  boost::this_fiber::yield();  // each has begun before the clock runs
  return join_all(ring);
}

double message(long count) {
  Channel channel;
  std::vector<fiber> both;
  both.push_back(spawn([&] {
    long value;
    for (long i = 0; i < count; ++i) {
      channel.pop(value);
    }
  }));
  boost::this_fiber::yield();
  both.push_back(spawn([&] {
    for (long i = 0; i < count; ++i) {
      channel.push(i);
    }
  }));
  return join_all(both);
}

double pingpong(long count) {
  Channel there;
  Channel back;
  std::vector<fiber> both;
  both.push_back(spawn([&] {
    long value;
    for (long i = 0; i < count / 2; ++i) {
      there.push(i);
      back.pop(value);
    }
  }));
  both.push_back(spawn([&] {
    long value;
    for (long i = 0; i < count / 2; ++i) {
      there.pop(value);
      back.push(value);
    }
  }));
  return join_all(both);
}

double create(long count) {
  double begin = clock_ns();
  for (long done = 0; done < count; done += batch) {
    std::vector<fiber> fibers;
    for (long i = 0; i < batch; ++i) {
      fibers.push_back(spawn([i] {
        volatile long argument = i;
        static_cast<void>(argument);
      }));
    }
    join_all(fibers);
  }
  return clock_ns() - begin;
}

double resident_bytes() {
  std::unique_ptr<FILE, int (*)(FILE*)> file(fopen("/proc/self/smaps_rollup", "r"), fclose);
  char line[256];
  long kib;
  while (file && fgets(line, sizeof line, file.get()) != nullptr) {
    if (sscanf(line, "Rss: %ld kB", &kib) == 1) {
      return static_cast<double>(kib) * 1024;
    }
  }
  abort();
}

double memory(long count) {
  Channel channel;
  std::vector<fiber> fibers;
  auto start = [&](long number) {
    for (long i = 0; i < number; ++i) {
      fibers.push_back(spawn([&channel] {
        long value;
        channel.pop(value);
      }));
    }
    boost::this_fiber::yield();
  };
  fibers.reserve(static_cast<std::size_t>(100 + count));
  start(100);
  double before = resident_bytes();
  start(count);
  double used = resident_bytes() - before;
  channel.close();
  join_all(fibers);
  return used;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<double(long)>> figures = {
      {"switch_2", [](long count) { return switch_among(2, 1, count); }},
      {"switch_10000", [](long count) { return switch_among(10000, 1, count); }},
      {"deep50", [](long count) { return switch_among(2, 50, count); }},
      {"message", message},
      {"pingpong", pingpong},
      {"create", create},
      {"memory_tasklet", memory},
  };
  if (argc != 3 || figures.count(argv[1]) == 0) {
    return 2;
  }
  // Else malloc() gives each stack back to the kernel when the heap's end is free.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  long count = atol(argv[2]);
  double total = figures.at(argv[1])(count);
  printf("{\"figure\": \"%s\", \"count\": %ld, \"value\": %f}\n", argv[1], count,
         total / static_cast<double>(count));
  fflush(stdout);
  _exit(0);
}
