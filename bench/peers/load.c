// The client of the HTTP figures: PORT CONNECTIONS. Opens the connections and sends one request over
// each, prints "ready", then obeys lines on its standard input: "go N" sends N requests, as many
// at once as there are connections, and prints "done". Ends with its input, or after five minutes.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { time_limit = 300, patience = 30000 /* ms */, at_once = 256 };

static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char answer_end[] = "hello";

static void fail(const char* what) {
  printf("failed: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void send_request(int connection) {
  if (write(connection, request, sizeof request - 1) != sizeof request - 1) {
    fail("write");
  }
}

static int connect_to(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int connection = socket(AF_INET, SOCK_STREAM, 0);
  if (connection < 0 || connect(connection, (struct sockaddr*)&address, sizeof address) != 0) {
    fail("connect");
  }
  int one = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  // Reset at the end: ten thousand ports in TIME_WAIT would be missing in the next round.
  struct linger reset = {1, 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  return connection;
}

// Receives answers, and sends another request for each while some of `more` are left, until
// `awaited` answers have come.
static void converse(int poller, long awaited, long more) {
  struct epoll_event events[at_once];
  char buffer[4096];
  while (awaited > 0) {
    int ready = epoll_wait(poller, events, at_once, patience);
    if (ready <= 0) {
      fail(ready == 0 ? "no answer" : "epoll_wait");
    }
    for (int i = 0; i < ready; ++i) {
      int connection = events[i].data.fd;
      ssize_t got = read(connection, buffer, sizeof buffer);
      if (got <= 0) {
        fail("read");
      }
      size_t end = sizeof answer_end - 1;
      if ((size_t)got < end || memcmp(buffer + got - end, answer_end, end) != 0) {
        continue;  // the rest is yet to come
      }
      --awaited;
      if (more > 0) {
        --more;
        send_request(connection);
      }
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  int port = atoi(argv[1]);
  long connections = atol(argv[2]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(time_limit);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  int poller = epoll_create1(0);
  int* all = calloc((size_t)connections, sizeof *all);
  for (long i = 0; i < connections; ++i) {
    all[i] = connect_to(port);
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = all[i]}};
    epoll_ctl(poller, EPOLL_CTL_ADD, all[i], &event);
    send_request(all[i]);
    if (i % 100 == 99 || i + 1 == connections) {
      converse(poller, i % 100 + 1, 0);
    }
  }
  puts("ready");

  long requests;
  while (scanf(" go %ld", &requests) == 1) {
    long first = requests < connections ? requests : connections;
    for (long i = 0; i < first; ++i) {
      send_request(all[i]);
    }
    converse(poller, requests, requests - first);
    puts("done");
  }
  return 0;
}
