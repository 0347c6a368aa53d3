# core_tests and core_bench, beside the sources they test.
enable_testing()

if(CMAKE_CROSSCOMPILING)
  # Debian's GoogleTest library is the build machine's; its sources are for every machine.
  enable_language(C)
  set(INSTALL_GTEST OFF)
  set(BUILD_GMOCK OFF)
  add_subdirectory(/usr/src/googletest ${CMAKE_CURRENT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
else()
  find_package(GTest REQUIRED)
endif()

add_executable(core_tests
  context_test.cpp
  poller_reuse_test.cpp
  poller_test.cpp
  ring_test.cpp
  stack_pool_test.cpp
  timer_queue_test.cpp
)
target_compile_options(core_tests PRIVATE -Wall -Wextra)
target_link_libraries(core_tests PRIVATE stackless_core GTest::gtest_main)
add_test(NAME core_tests COMMAND core_tests)

find_package(benchmark QUIET)
if(benchmark_FOUND AND NOT CMAKE_CROSSCOMPILING)
  add_executable(core_bench
    context_bench.cpp
    ring_bench.cpp
    stack_pool_bench.cpp
    timer_queue_bench.cpp
  )
  target_compile_options(core_bench PRIVATE -Wall -Wextra)
  target_link_libraries(core_bench PRIVATE stackless_core benchmark::benchmark_main)
  # Boost's context switch, to measure ours beside it.
  find_library(BOOST_CONTEXT boost_context)
  if(BOOST_CONTEXT)
    target_link_libraries(core_bench PRIVATE ${BOOST_CONTEXT})
    target_compile_definitions(core_bench PRIVATE STACKLESS_BENCH_BOOST)
  endif()
endif()
