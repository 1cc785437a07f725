#define _GNU_SOURCE
#include "CPosternSandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int raise_loopback(void) {
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};
    strcpy(request.ifr_name, "lo");
    int error = ioctl(descriptor, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
    // One address that is not 127.0.0.1: with no other, the C library takes the machine for unconnected and looks no name up for callers
    // who ask for addresses that can be used (AI_ADDRCONFIG). All of 127.0.0.0/8 is this namespace's own anyhow.
    strcpy(request.ifr_name, "lo:1");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010001)};
    memcpy(&request.ifr_addr, &address, sizeof address);
    if (error == 0 && ioctl(descriptor, SIOCSIFADDR, &request) < 0) error = -errno;
    close(descriptor);
    return error;
}

// The setting is the namespace's own: /proc shows that of whoever looks.
static int free_low_ports(void) {
    int descriptor = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    int error = write(descriptor, "0", 1) == 1 ? 0 : -errno;
    close(descriptor);
    return error;
}

int psb_own_network(void) {
    if (unshare(CLONE_NEWNET) < 0) return -errno;
    int error = raise_loopback();
    return error < 0 ? error : free_low_ports();
}

int psb_bind_port(int is_datagram, int on_all_addresses, uint16_t port) {
    int descriptor = socket(AF_INET, (is_datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -errno;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(on_all_addresses ? INADDR_ANY : INADDR_LOOPBACK);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0 || (!is_datagram && listen(descriptor, 128) < 0)) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}
