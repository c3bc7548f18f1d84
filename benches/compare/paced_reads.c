/* Requests at a steady pace over many connections, and how long each answer took.
 *
 *   paced_reads PORT CONNECTIONS PERIOD_US SECONDS [writes]
 *
 * Each connection asks for one key every PERIOD_US, or as soon as the last answer has come if that is
 * later; with `writes` it sets the key every second time. Prints a line for each answer: microseconds
 * from the request to the answer. It is a program of its own so that it takes little of the processor
 * that the servers need. Built by aof.py and backup.py. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const char ASK[] = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n";
static const char SET[] = "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$16\r\n0123456789abcdef\r\n";

struct reader {
    int socket, asked;
    int64_t due, sent; /* sent is 0 while nothing is asked */
};

static int64_t now_us(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    int writes = argc == 6 && !strcmp(argv[5], "writes");
    if (argc != 5 && !writes) {
        fprintf(stderr, "usage: paced_reads PORT CONNECTIONS PERIOD_US SECONDS [writes]\n");
        return 2;
    }
    int count = atoi(argv[2]);
    int64_t period = atoll(argv[3]);
    struct reader *readers = calloc(count > 0 ? count : 1, sizeof *readers);
    int events = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0), one = 1;
    if (!readers || events < 0 || timer < 0) fail("start");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(events, EPOLL_CTL_ADD, timer, &event)) fail("epoll_ctl");
    int64_t began = now_us(), end = began + (int64_t)(atof(argv[4]) * 1e6);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    for (int i = 0; i < count; i++) {
        struct reader *reader = &readers[i];
        reader->socket = socket(AF_INET, SOCK_STREAM, 0);
        if (reader->socket < 0 || connect(reader->socket, (struct sockaddr *)&to, sizeof to)) fail("connect");
        setsockopt(reader->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        reader->due = began + period * i / count;
        event.data.ptr = reader;
        if (epoll_ctl(events, EPOLL_CTL_ADD, reader->socket, &event)) fail("epoll_ctl");
    }
    while (now_us() < end) {
        int64_t now = now_us(), next = end;
        for (int i = 0; i < count; i++) {
            struct reader *reader = &readers[i];
            if (reader->sent) continue;
            if (reader->due <= now) {
                int set = writes && reader->asked++ % 2;
                const char *words = set ? SET : ASK;
                size_t length = set ? sizeof SET - 1 : sizeof ASK - 1;
                reader->sent = now_us();
                if (send(reader->socket, words, length, 0) != (ssize_t)length) fail("send");
            } else if (reader->due < next) {
                next = reader->due;
            }
        }
        now = now_us();
        int64_t wait = next > now ? next - now : 1;
        struct itimerspec at = {.it_value = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000}};
        timerfd_settime(timer, 0, &at, NULL);
        struct epoll_event ready[64];
        int found = epoll_wait(events, ready, 64, -1);
        now = now_us();
        for (int i = 0; i < found; i++) {
            struct reader *reader = ready[i].data.ptr;
            char bytes[4096];
            if (!reader || read(reader->socket, bytes, sizeof bytes) <= 0) continue;
            printf("%lld\n", (long long)(now - reader->sent));
            reader->due = reader->due + period > now ? reader->due + period : now;
            reader->sent = 0;
        }
    }
    return 0;
}
