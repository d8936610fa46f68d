/* Drains WebSocket subscribers on one core: counts frames and takes the time from tick to arrival.

   drain PORT CONNECTIONS SECONDS MARK REQUEST SUBSCRIBE

   Each connection sends REQUEST (a whole upgrade), then SUBSCRIBE (a text message; "" sends none).
   In every text message each MARK (such as "bid":) is followed by a number: the moment of the tick
   in microseconds of CLOCK_MONOTONIC modulo 10^10, with the decimal point before its last five
   digits. The program prints "ready" once every upgrade is answered, waits for a line on standard
   input, then counts for SECONDS and prints one line of JSON. Two more lines may follow ("hold",
   "end"): it stays connected and reads on until standard input ends. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MODULUS 10000000000LL
#define BUCKETS 4000000 /* of one microsecond each: latencies up to 4 s */
#define BUFFER (256 * 1024)

typedef struct {
    int fd;
    int upgraded;
    size_t kept; /* bytes of a frame that has not come whole */
    char *rest;
    uint64_t ticks;
} Reader;

static uint32_t histogram[BUCKETS];
static char scratch[BUFFER * 2];
static const char *mark;
static size_t mark_length;
static int counting;
static uint64_t ticks, frames, bytes;

static int64_t now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void fail(const char *what) {
    fprintf(stderr, "drain: %s: %s\n", what, errno ? strerror(errno) : "protocol");
    exit(1);
}

/* 12345.6789 -> 1234567890: the digits before the point and five after it. */
static int64_t moment_of(const char *text, const char *end) {
    int64_t value = 0;
    while (text < end && (*text == ' ' || *text == '"')) text++;
    for (; text < end && *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    int decimals = 0;
    if (text < end && *text == '.')
        for (text++; text < end && *text >= '0' && *text <= '9' && decimals < 5; text++, decimals++)
            value = value * 10 + (*text - '0');
    for (; decimals < 5; decimals++) value *= 10;
    return value;
}

static void message(Reader *reader, const char *text, size_t length, int64_t arrived_us) {
    const char *end = text + length, *at = text;
    while ((at = memmem(at, end - at, mark, mark_length)) != NULL) {
        at += mark_length;
        reader->ticks++;
        if (!counting) continue;
        ticks++;
        int64_t latency = (arrived_us % MODULUS - moment_of(at, end) + MODULUS) % MODULUS;
        histogram[latency < BUCKETS ? latency : BUCKETS - 1]++;
    }
}

/* Take the whole frames of a buffer; returns how many bytes they had. */
static size_t take(Reader *reader, const char *data, size_t size, int64_t arrived_us) {
    size_t at = 0;
    while (size - at >= 2) {
        const uint8_t *head = (const uint8_t *)data + at;
        size_t header = 2, length = head[1] & 127;
        if (length == 126) {
            if (size - at < 4) break;
            header = 4;
            length = (size_t)head[2] << 8 | head[3];
        } else if (length == 127) {
            if (size - at < 10) break;
            header = 10;
            length = 0;
            for (int i = 2; i < 10; i++) length = length << 8 | head[i];
        }
        if (size - at < header + length) break;
        if ((head[0] & 15) == 8) fail("the server closed a connection");
        if ((head[0] & 15) == 1) message(reader, data + at + header, length, arrived_us);
        if (counting) frames++;
        at += header + length;
    }
    return at;
}

static void receive(Reader *reader) {
    memcpy(scratch, reader->rest, reader->kept);
    ssize_t got = recv(reader->fd, scratch + reader->kept, BUFFER, 0);
    if (got == 0) fail("the server ended a connection");
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        fail("recv");
    }
    if (counting) bytes += got;
    size_t size = reader->kept + got, at = 0;
    if (!reader->upgraded) {
        const char *end = memmem(scratch, size, "\r\n\r\n", 4);
        if (end != NULL) {
            if (memcmp(scratch, "HTTP/1.1 101", 12) != 0) fail("the upgrade was refused");
            reader->upgraded = 1;
            at = end + 4 - scratch;
        }
    }
    if (reader->upgraded) at += take(reader, scratch + at, size - at, now_us());
    reader->kept = size - at;
    if (reader->kept > BUFFER) fail("a frame is too large");
    if (reader->kept) {
        reader->rest = realloc(reader->rest, reader->kept);
        memcpy(reader->rest, scratch + at, reader->kept);
    }
}

static void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, 0);
        if (sent < 0) fail("send");
        data += sent;
        size -= sent;
    }
}

static void send_text(int fd, const char *text) {
    size_t length = strlen(text), header = length < 126 ? 2 : 4;
    char frame[8 + 65536];
    if (length > 65535) fail("the subscription is too long");
    frame[0] = (char)0x81;
    frame[1] = (char)(0x80 | (length < 126 ? length : 126));
    if (header == 4) {
        frame[2] = (char)(length >> 8);
        frame[3] = (char)length;
    }
    memset(frame + header, 0, 4); /* masked with zeros */
    memcpy(frame + header + 4, text, length);
    send_all(fd, frame, header + 4 + length);
}

static int dial(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int poll_once(int epoll, int wait_ms) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, wait_ms);
    for (int i = 0; i < count; i++) receive(events[i].data.ptr);
    return count;
}

static int64_t percentile(double share) {
    uint64_t wanted = (uint64_t)(ticks * share), seen = 0;
    for (int64_t i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) > wanted) return i;
    return BUCKETS - 1;
}

static double cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Read on until a line comes, or standard input ends; says which. */
static int wait_for_line(int epoll) {
    for (;;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        if (poll(&input, 1, 0) > 0) {
            char line[64];
            return read(0, line, sizeof line) > 0;
        }
        poll_once(epoll, 20);
    }
}

int main(int count, char **arguments) {
    if (count != 7) fail("usage: drain PORT CONNECTIONS SECONDS MARK REQUEST SUBSCRIBE");
    int port = atoi(arguments[1]), connections = atoi(arguments[2]);
    double seconds = atof(arguments[3]);
    mark = arguments[4];
    mark_length = strlen(mark);
    Reader *readers = calloc(connections, sizeof *readers);
    int epoll = epoll_create1(0), upgraded = 0;
    for (int i = 0; i < connections; i++) {
        Reader *reader = readers + i;
        reader->fd = dial(port);
        send_all(reader->fd, arguments[5], strlen(arguments[5]));
        fcntl(reader->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = reader};
        epoll_ctl(epoll, EPOLL_CTL_ADD, reader->fd, &event);
        while (!reader->upgraded) poll_once(epoll, 1000);
        upgraded++;
    }
    if (*arguments[6])
        for (int i = 0; i < connections; i++) send_text(readers[i].fd, arguments[6]);
    printf("ready\n");
    fflush(stdout);
    if (!wait_for_line(epoll)) return 0;
    for (int i = 0; i < connections; i++) readers[i].ticks = 0;
    counting = 1;
    double cpu_before = cpu_s();
    int64_t begun = now_us(), end = begun + (int64_t)(seconds * 1e6);
    while (now_us() < end) poll_once(epoll, 1);
    double wall_s = (now_us() - begun) / 1e6;
    counting = 0;
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < connections; i++) {
        if (readers[i].ticks < least) least = readers[i].ticks;
        if (readers[i].ticks > most) most = readers[i].ticks;
    }
    printf("{\"ticks\":%llu,\"frames\":%llu,\"bytes\":%llu,\"wall_s\":%.6f,\"cpu_s\":%.6f,"
           "\"least\":%llu,\"most\":%llu,\"p50_us\":%lld,\"p99_us\":%lld}\n",
           (unsigned long long)ticks, (unsigned long long)frames, (unsigned long long)bytes, wall_s,
           cpu_s() - cpu_before, (unsigned long long)least, (unsigned long long)most,
           (long long)percentile(0.5), (long long)percentile(0.99));
    fflush(stdout);
    while (wait_for_line(epoll));
    return 0;
}
