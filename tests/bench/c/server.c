/* The target of the benchmarks: a Socket.IO server that does the least a client will accept. One process, one epoll.
 *
 *   upgrade -> 101 + Engine.IO OPEN;  40{auth} -> 40{sid};  420["subscribe",{"collection":"c-<N>"}] -> 430[{"ok":true}]
 *
 * Each client request must arrive in one piece, which on loopback it does; anything else is counted as odd.
 * Commands, one per line on stdin, each answered by one line on stdout:
 *   count                                                        -> count <open> <live> <odd>
 *   broadcast <N> <run> <epoch> <seq> <start_ns> <pace_ns> <k> <vary>  -> done <sent> <stalls>
 * A broadcast goes k times to all subscribers of c-<N>, message i scheduled at start + i * pace. With vary = v, every
 * v-th subscriber gets text of its own (0: all the same). End of stdin ends the server.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "wire.h"

enum { UPGRADE, JOIN, SUBSCRIBE, LIVE };
#define MOST_FDS 65536
#define CHANNELS 64
#define KEYS 64

static unsigned char state[MOST_FDS];
static short channel_of[MOST_FDS];
static int place[MOST_FDS];
static int *members[CHANNELS], member_count[CHANNELS];
static int poller, listener, opened, live, odd;
static long next_sid;

static int put_frame(char *out, const char *text, size_t size) {
    int at = 0;
    out[at++] = (char)0x81;
    if (size < 126) out[at++] = size;
    else out[at++] = 126, out[at++] = size >> 8, out[at++] = size & 255;
    memcpy(out + at, text, size);
    return at + size;
}

static void drop(int fd) {
    if (state[fd] == LIVE) {
        int channel = channel_of[fd], last = members[channel][--member_count[channel]];
        members[channel][place[fd]] = last;
        place[last] = place[fd];
        live--;
    }
    close(fd);
    opened--;
}

static void reply(int fd, const char *data, size_t size) {
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) odd++;
}

static const char *accept_cached(const char *key) {
    static char keys[KEYS][24], answers[KEYS][29];
    unsigned slot = 0;
    for (int i = 0; i < 24; i++) slot = slot * 31 + (unsigned char)key[i];
    slot %= KEYS;
    if (memcmp(keys[slot], key, 24)) memcpy(keys[slot], key, 24), accept_for(key, answers[slot]);
    return answers[slot];
}

static void on_upgrade(int fd, char *data) {
    char *key = strcasestr(data, "sec-websocket-key: "), out[512], text[256];
    if (!key || !strstr(data, "\r\n\r\n")) { odd++; return; }
    int size = sprintf(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: %s\r\n\r\n", accept_cached(key + 19));
    int length = sprintf(text, "0{\"sid\":\"sid-%016lx\",\"upgrades\":[],\"pingInterval\":120000,\"pingTimeout\":60000,"
                         "\"maxPayload\":1000000}", ++next_sid);
    size += put_frame(out + size, text, length);
    reply(fd, out, size);
    state[fd] = JOIN;
}

static void on_data(int fd, char *data, ssize_t size) {
    char out[128], text[64];
    if (state[fd] == UPGRADE) { on_upgrade(fd, data); return; }
    if ((unsigned char)data[0] == 0x88) { drop(fd); return; }
    char *payload = data + 6;
    if (size < 8 || !(data[1] & 0x80)) { odd++; return; }
    if (state[fd] == JOIN && !strncmp(payload, "40", 2)) {
        int length = sprintf(text, "40{\"sid\":\"sio-%016lx\"}", ++next_sid);
        reply(fd, out, put_frame(out, text, length));
        state[fd] = SUBSCRIBE;
    } else if (state[fd] == SUBSCRIBE && !strncmp(payload, "420[", 4)) {
        char *name = strstr(payload, "c-");
        int channel = name ? atoi(name + 2) : -1;
        if (channel < 0 || channel >= CHANNELS) { odd++; return; }
        reply(fd, out, put_frame(out, "430[{\"ok\":true}]", 16));
        if (!members[channel]) members[channel] = calloc(MOST_FDS, sizeof(int));
        channel_of[fd] = channel;
        place[fd] = member_count[channel];
        members[channel][member_count[channel]++] = fd;
        state[fd] = LIVE;
        live++;
    } else if (strncmp(payload, "3", 1)) {
        odd++;
    }
}

static void take_connections(void) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        if (fd >= MOST_FDS) { close(fd); odd++; continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
        state[fd] = UPGRADE;
        opened++;
    }
}

/* Serve for `timeout_ms` or until something happened; return 1 when a command is waiting. */
static int serve(int timeout_ms) {
    static char data[65536];
    struct epoll_event events[256];
    int command = 0, count = epoll_wait(poller, events, 256, timeout_ms);
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == 0) command = 1;
        else if (fd == listener) take_connections();
        else {
            ssize_t size = read(fd, data, sizeof data - 1);
            if (size > 0) data[size] = 0, on_data(fd, data, size);
            else if (size == 0 || errno != EAGAIN) drop(fd);
        }
    }
    return command;
}

static void broadcast(const char *line) {
    int channel, k, vary, sent = 0, stalls = 0;
    char run[9];
    long epoch, seq, start, pace;
    if (sscanf(line, "%d %8s %ld %ld %ld %ld %d %d", &channel, run, &epoch, &seq, &start, &pace, &k, &vary) != 8) return;
    for (int i = 0; i < k; i++) {
        long sched = start + i * pace;
        for (int64_t now; (now = now_ns()) < sched;) serve((sched - now) / 1000000);
        char text[512], own[512], out[1024], own_out[1024];
        int length = sprintf(text, "42[\"revision\",{\"collection\":\"c-%d\",\"text\":\"lt1.%s.0.%ld.%ld.%ld.0\"}]",
                             channel, run, epoch, seq + i, sched);
        int size = put_frame(out, text, length);
        for (int m = 0; m < member_count[channel]; m++) {
            int fd = members[channel][m], bytes = size;
            char *data = out;
            if (vary && m % vary == 0) {
                int more = sprintf(own, "%.*s,%d]", length - 1, text, m);
                data = own_out, bytes = put_frame(own_out, own, more);
            }
            while (send(fd, data, bytes, MSG_NOSIGNAL) < 0 && errno == EAGAIN) {
                struct pollfd wait = {.fd = fd, .events = POLLOUT};
                stalls++;
                poll(&wait, 1, 1000);
            }
            sent++;
        }
    }
    printf("done %d %d\n", sent, stalls);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int on = 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = 0;
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event);
    printf("ready %d\n", ntohs(address.sin_port));
    for (char line[512];;) {
        if (!serve(0)) continue; /* never asleep: to wake a core costs the client 10 us and more on some machines */
        if (!read_line(line, sizeof line)) return 0;
        if (!strncmp(line, "broadcast ", 10)) broadcast(line + 10);
        else printf("count %d %d %d\n", opened, live, odd);
    }
}
