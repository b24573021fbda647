/* The lower bound: the same conversation as a herd's client, in C, with no books at all. One process, one epoll.
 *
 *   client <port> <channel> <source address> ...
 *
 * Commands, one per line on stdin, each answered by one line on stdout:
 *   connect <n> <per second> <in flight at most>   -> connected <live> <failures>
 *   quiet <ms>       answers when nothing came for so long -> quiet <messages received since the start>
 *   close            resets every connection               -> closed <n>
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "wire.h"

enum { NONE, CONNECTING, UPGRADING, OPENING, JOINING, SUBSCRIBING, LIVE };
#define MOST_FDS 65536
#define KEY "x3JJHMbDL1EzLkh9GBhXDw=="
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static unsigned char state[MOST_FDS];
static int paced, poller, port, source_count, live, failures, in_flight;
static struct in_addr sources[64];
static char request[512], answer[29], subscribe[128];
static int request_size, subscribe_size;
static long received, started;

static int client_frame(char *out, const char *text) {
    int size = strlen(text);
    out[0] = (char)0x81, out[1] = (char)(0x80 | size);
    memset(out + 2, 0, 4);
    memcpy(out + 6, text, size);
    return size + 6;
}

static void fail(int fd) {
    if (state[fd] == LIVE) live--;
    else in_flight--;
    state[fd] = NONE;
    failures++;
    close(fd);
}

/* Whether the system's congestion control paces: BBR. */
static int is_paced(void) {
    char name[16] = "";
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "r");
    if (file) {
        if (!fgets(name, sizeof name, file)) name[0] = 0;
        fclose(file);
    }
    return !strncmp(name, "bbr", 3);
}

static void begin(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || fd >= MOST_FDS) die("socket");
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = sources[started++ % source_count]};
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (paced) setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); /* as the herd does over loopback */
    if (bind(fd, (struct sockaddr *)&local, sizeof local)) die("bind");
    in_flight++;
    state[fd] = CONNECTING;
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) && errno != EINPROGRESS) { fail(fd); return; }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void say(int fd, const char *data, int size, int next) {
    if (write(fd, data, size) != size) fail(fd);
    else state[fd] = next;
}

/* Advance an opening by one frame. */
static void on_frame(int fd, const char *payload) {
    if (state[fd] == OPENING && payload[0] == '0') {
        char join[64], text[32];
        sprintf(text, "40{\"client\":\"c%d\"}", fd);
        int size = client_frame(join, text);
        say(fd, join, size, JOINING);
    } else if (state[fd] == JOINING && !strncmp(payload, "40", 2)) {
        say(fd, subscribe, subscribe_size, SUBSCRIBING);
    } else if (state[fd] == SUBSCRIBING && !strncmp(payload, "430", 3)) {
        state[fd] = LIVE;
        live++;
        in_flight--;
    } else {
        fail(fd);
    }
}

static void on_ready(int fd) {
    static char data[16385];
    if (state[fd] == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) fail(fd);
        else say(fd, request, request_size, UPGRADING);
        return;
    }
    ssize_t size = read(fd, data, 16384);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) { fail(fd); return; }
    data[size] = 0;
    ssize_t at = 0;
    if (state[fd] == UPGRADING) {
        char *end = strstr(data, "\r\n\r\n");
        if (!end || strncmp(data, "HTTP/1.1 101", 12) || !strstr(data, answer)) { fail(fd); return; }
        at = end + 4 - data;
        state[fd] = OPENING;
    }
    while (at + 2 <= size) {
        int length = data[at + 1] & 0x7F, head = 2;
        if (length == 126) length = (unsigned char)data[at + 2] << 8 | (unsigned char)data[at + 3], head = 4;
        if (state[fd] == LIVE) received++;
        else on_frame(fd, data + at + head);
        at += head + length;
    }
}

int main(int count, char **words) {
    paced = is_paced();
    port = atoi(words[1]);
    for (int i = 3; i < count; i++) inet_aton(words[i], &sources[source_count++]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    accept_for(KEY, answer);
    request_size = sprintf(request, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                           "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
                           "Sec-WebSocket-Version: 13\r\n\r\n", port);
    char text[96];
    sprintf(text, "420[\"subscribe\",{\"collection\":\"c-%s\"}]", words[2]);
    subscribe_size = client_frame(subscribe, text);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event command = {.events = EPOLLIN, .data.fd = 0}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &command);
    printf("ready\n");

    long wanted = 0, begun = 0, per_s = 1, most = 1;
    int64_t from = 0, quiet_ns = 0, last = 0;
    for (;;) {
        int waiting = begun < wanted || quiet_ns;
        int ready = epoll_wait(poller, events, 256, waiting ? 10 : -1), heard = 0;
        int64_t now = now_ns();
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != 0) { heard = 1; on_ready(events[i].data.fd); continue; }
            char line[128];
            long first = 0;
            if (!read_line(line, sizeof line)) return 0;
            if (sscanf(line, "connect %ld %ld %ld", &first, &per_s, &most) == 3) wanted = first, begun = 0, from = now;
            else if (sscanf(line, "quiet %ld", &first) == 1) quiet_ns = first * 1000000, last = now;
            else {
                struct linger reset = {1, 0};
                int closed = 0;
                for (int fd = 1; fd < MOST_FDS; fd++)
                    if (state[fd] != NONE) {
                        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
                        close(fd);
                        state[fd] = NONE, closed++;
                    }
                live = in_flight = 0;
                printf("closed %d\n", closed);
            }
        }
        if (heard) last = now;
        if (wanted) {
            while (begun < wanted && in_flight < most && (now - from) / 1000 * per_s / 1000000 >= begun) begin(), begun++;
            if (begun == wanted && !in_flight) printf("connected %d %d\n", live, failures), wanted = begun = 0;
        }
        if (quiet_ns && now - last > quiet_ns) printf("quiet %ld\n", received), quiet_ns = 0;
    }
}
