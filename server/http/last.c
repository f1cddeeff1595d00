#include "http/last.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { MOST_HOPS = 255 };

bool last_by_filter(int listening) {
    enum { FLAGS = 13, SYN = 2 }; /* of a TCP header: the byte of the flags, and the flag */
    struct sock_filter rules[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
                                  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SYN, 0, 1),
                                  BPF_STMT(BPF_RET | BPF_K, 0), /* drops it */
                                  BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
    return setsockopt(listening, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
}

/* Of both versions: a socket may serve both. */
static bool set_least_hops(int descriptor, int hops) {
    bool v4 = setsockopt(descriptor, IPPROTO_IP, IP_MINTTL, &hops, sizeof hops) == 0;
    bool v6 = setsockopt(descriptor, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &hops, sizeof hops) == 0;
    return v4 || v6;
}

bool last_by_hops(int listening) {
    return set_least_hops(listening, MOST_HOPS);
}

bool last_begin(int listening) {
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    if (getsockname(listening, (struct sockaddr *)&own, &size) != 0) return false;
    if (own.ss_family != AF_INET && own.ss_family != AF_INET6) return false;
    return last_by_filter(listening) || last_by_hops(listening);
}

/* It has what the listening socket had when it was completed. What its client sent until now is sent again. */
void last_accepted(int connection) {
    (void)set_least_hops(connection, 0);
}
