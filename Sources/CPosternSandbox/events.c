#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <errno.h>
#include <sys/epoll.h>

int psb_events_open(void) {
    int descriptor = epoll_create1(EPOLL_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

int psb_events_watch(int events, int descriptor, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.fd = descriptor};
    if (epoll_ctl(events, EPOLL_CTL_MOD, descriptor, &event) == 0) return 0;
    if (errno == ENOENT && epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event) == 0) return 0;
    return -errno;
}

int psb_events_wait(int events, int *ready, int capacity) {
    struct epoll_event found[64];
    int count;
    do count = epoll_wait(events, found, capacity < 64 ? capacity : 64, -1);
    while (count < 0 && errno == EINTR);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) ready[i] = found[i].data.fd;
    return count;
}
