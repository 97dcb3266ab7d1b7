/*
 * Initiators that mean harm, or are broken, one kind at a time.
 *
 *   hostile ADDRESS PORT TARGET KIND [OPTION VALUE]...
 *
 *   idle        connects and says nothing
 *   drip        begins a login, one byte at a time
 *   segment     announces 16 MiB of data in a login request, which is what the field can say; names lengths of 4 GiB in its keys; sends a ping of 16 MiB and commands for 4 GiB
 *   ahs         announces additional header segments that are not there, or whose own lengths lie
 *   login       logs in and out, as fast as it goes
 *   chap        answers the challenge wrongly, as fast as it goes
 *   deaf        logs in, sends reads for the whole window, pings with data, and never receives
 *   dataout     sends data for tasks that there are not
 *   nop         pings
 *   text        asks for its own target
 *
 *   --connections N    how many at a time (1); one that the target closes is opened again
 *   --again yes|no     whether it is opened again (yes)
 *   --every MS         how long drip waits between two bytes of a connection (100)
 *   --seconds N        for how long; 0: until it is told to end (0)
 *
 * It says "ready" when every connection was tried once, and ends with one line of JSON: how many connections were opened and closed by the target, how many logins there were, and bytes. Exit code:
 * 0 all well, 1 it could not do what it was to, 2 a wrong command line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 48, MAX_EVENTS = 512, FIRST_BYTES = 4096, FLOOD_BYTES = 1 << 18, WINDOW = 128, READ_BLOCKS = 512, PING_BYTES = 65536, CONNECTS_AT_A_TIME = 512 };

/* Opcodes: RFC 7143 section 11.2.1.2; with the I bit where they carry it. */
enum { NOP_OUT = 0x40, SCSI_COMMAND = 0x01, LOGIN_REQUEST = 0x43, TEXT_REQUEST = 0x44, DATA_OUT = 0x05, LOGOUT_REQUEST = 0x46, LOGIN_RESPONSE = 0x23 };

enum kind { IDLE, DRIP, SEGMENT, AHS, LOGIN, CHAP, DEAF, DATAOUT, NOP, TEXT, KINDS };

static const char *const names[KINDS] = { "idle", "drip", "segment", "ahs", "login", "chap", "deaf", "dataout", "nop", "text" };

struct connection {
    int socket; /* -1: not open */
    unsigned number, step; /* step: how many login answers have come */
    bool is_connected, is_logged_in, is_fed;
    uint8_t first[FIRST_BYTES]; /* what is to be sent once */
    size_t first_bytes, first_sent, flood_sent;
    uint8_t answer[HEADER];
    size_t answer_bytes, answer_skip;
    uint64_t next_ns;
};

static enum kind kind;
static const char *target;
static unsigned connection_count = 1, every_ms = 100, seconds, variant;
static bool again = true;
static struct sockaddr_in address;
static struct connection *connections;
static int epoll;
static uint8_t *flood;
static size_t flood_bytes;
static uint64_t opened, closed, logins, refused, sent_bytes, received_bytes;
static volatile sig_atomic_t is_over;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("hostile: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void put32(uint8_t *at, uint32_t value) { value = htonl(value); memcpy(at, &value, 4); }
static void put24(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 16); at[1] = (uint8_t)(value >> 8); at[2] = (uint8_t)value; }
static uint32_t get24(const uint8_t *at) { return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2]; }
static size_t padded(size_t bytes) { return (bytes + 3) & ~(size_t)3; }

/* ---- what is sent ---- */

static uint8_t *add(uint8_t *into, size_t *at, uint8_t opcode, uint8_t flags, size_t data)
{
    uint8_t *header = into + *at;
    memset(header, 0, HEADER);
    header[0] = opcode;
    header[1] = flags;
    put24(header + 5, (uint32_t)data);
    put32(header + 16, 7);
    put32(header + 20, 0xffffffff);
    put32(header + 24, 1);
    put32(header + 28, 1);
    *at += HEADER;
    return header;
}

static void add_text(struct connection *connection, uint8_t stages, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (int i = 0; i < bytes; i++)
        if (text[i] == '|') text[i] = 0;
    uint8_t *header = add(connection->first, &connection->first_bytes, LOGIN_REQUEST, stages, (size_t)bytes);
    put32(header + 8, 0x80000000u | connection->number); /* ISID: each connection is an initiator port of its own */
    put32(header + 20, 0);
    memcpy(connection->first + connection->first_bytes, text, (size_t)bytes);
    memset(connection->first + connection->first_bytes + bytes, 0, 4);
    connection->first_bytes += padded((size_t)bytes);
}

static void add_names(struct connection *connection, uint8_t stages, const char *keys)
{
    add_text(connection, stages, "InitiatorName=iqn.2026-11.example.scuse:hostile-%s-%u|TargetName=%s|SessionType=Normal|%s", names[kind], connection->number, target, keys);
}

static void add_logout(struct connection *connection) { add(connection->first, &connection->first_bytes, LOGOUT_REQUEST, 0x80, 0); }

static void add_read(struct connection *connection, uint32_t number, uint32_t expected)
{
    uint8_t *header = add(connection->first, &connection->first_bytes, SCSI_COMMAND, 0xc1, 0);
    put32(header + 16, 0x100 + number);
    put32(header + 20, expected);
    put32(header + 24, 1 + number);
    header[32] = 0x28;
    header[39] = READ_BLOCKS >> 8;
}

static const uint8_t leading = 0x87, security_on = 0x81, security = 0x00; /* T and the stages, from 1 to 3, from 0 to 1, in 0 */

/* What a new connection says first. */
static void begin(struct connection *connection)
{
    connection->first_bytes = connection->first_sent = connection->flood_sent = connection->answer_bytes = connection->answer_skip = 0;
    connection->step = 0;
    connection->is_logged_in = connection->is_fed = false;
    uint8_t *header;
    switch (kind) {
    case IDLE:
        break;
    case DRIP:
        add_names(connection, leading, "");
        break;
    case SEGMENT:
        switch (variant++ % 3) {
        case 0:
            header = add(connection->first, &connection->first_bytes, LOGIN_REQUEST, leading, 0xffffff);
            put32(header + 20, 0);
            connection->is_fed = true; /* and the data comes, as far as it is taken */
            break;
        default:
            add_names(connection, leading, "MaxRecvDataSegmentLength=4294967295|MaxBurstLength=4294967296|FirstBurstLength=0xffffffff|MaxConnections=4294967295|");
        }
        break;
    case AHS:
        if (variant++ % 2 == 0) {
            add_names(connection, leading, "");
            connection->first[4] = 255; /* what is behind the header is no additional header segment, and too little */
        } else {
            add_names(connection, leading, "");
        }
        break;
    case CHAP:
        add_names(connection, security_on, "AuthMethod=CHAP|");
        break;
    default:
        add_names(connection, leading, "InitialR2T=No|ImmediateData=Yes|MaxRecvDataSegmentLength=262144|");
    }
}

/* A login request was answered. */
static void go_on(struct connection *connection, bool is_final)
{
    connection->first_bytes = connection->first_sent = 0;
    connection->step++;
    if (kind == CHAP) {
        if (connection->step == 1) add_text(connection, security, "CHAP_A=7|");
        else add_text(connection, security_on, "CHAP_N=mallory|CHAP_R=0x%064d|", 0);
        return;
    }
    if (!is_final) fail("a login goes another way than expected");
    logins++;
    connection->is_logged_in = true;
    switch (kind) {
    case LOGIN:
        add_logout(connection);
        break;
    case SEGMENT:
        if (variant % 2 == 0) {
            for (unsigned i = 0; i < 4; i++) add_read(connection, i, 0xffffffffu - i);
            add_logout(connection);
        } else {
            add(connection->first, &connection->first_bytes, NOP_OUT, 0x80, 0xffffff);
            connection->is_fed = true;
        }
        break;
    case AHS:
        for (unsigned i = 0; i < 8; i++) {
            add_read(connection, i, 0);
            uint8_t *header = connection->first + connection->first_bytes - HEADER, *segment = connection->first + connection->first_bytes;
            header[4] = 2; /* words */
            segment[0] = i % 2 == 0 ? 0xff : 0; /* the length of the one that begins there */
            segment[1] = i % 2 == 0 ? 0xff : 0;
            segment[2] = (uint8_t)(1 + i % 3);
            memset(segment + 3, 0xa5, 5);
            connection->first_bytes += 8;
        }
        add_logout(connection);
        break;
    case DEAF:
        for (unsigned i = 0; i < 64 && connection->first_bytes + HEADER <= FIRST_BYTES; i++) add_read(connection, i, READ_BLOCKS * 512);
        connection->is_fed = true;
        break;
    default:
        connection->is_fed = true;
    }
}

/* What is sent over and over. */
static void prepare_flood(void)
{
    flood = calloc(1, FLOOD_BYTES + PING_BYTES);
    uint8_t *header;
    while (kind != SEGMENT && flood_bytes < FLOOD_BYTES - HEADER - PING_BYTES) {
        switch (kind) {
        case DEAF:
            add(flood, &flood_bytes, NOP_OUT, 0x80, PING_BYTES);
            flood_bytes += PING_BYTES;
            break;
        case DATAOUT:
            header = add(flood, &flood_bytes, DATA_OUT, 0x80, 0);
            put32(header + 16, 0xdead);
            break;
        case NOP:
            add(flood, &flood_bytes, NOP_OUT, 0x80, 0);
            break;
        case TEXT:
            add(flood, &flood_bytes, TEXT_REQUEST, 0x80, 13);
            memcpy(flood + flood_bytes, "SendTargets=", 13);
            flood_bytes += padded(13);
            break;
        default:
            flood_bytes = FLOOD_BYTES;
        }
    }
    if (kind == SEGMENT) flood_bytes = FLOOD_BYTES;
}

/* ---- connections ---- */

static void watch(struct connection *connection, int operation)
{
    bool wants_out = !connection->is_connected || connection->first_sent < connection->first_bytes || connection->is_fed;
    if (kind == DRIP && connection->is_connected) wants_out = false;
    struct epoll_event event = { .events = EPOLLRDHUP | (wants_out ? EPOLLOUT : 0) | (kind == DEAF && connection->is_logged_in ? 0 : EPOLLIN), .data.ptr = connection };
    if (epoll_ctl(epoll, operation, connection->socket, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
}

static bool open_one(struct connection *connection)
{
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->socket < 0) fail("socket: %s", strerror(errno));
    int on = 1, small = 4096;
    struct linger at_once = { 1, 0 };
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(connection->socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (kind == DEAF) setsockopt(connection->socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    connection->is_connected = false;
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        close(connection->socket);
        connection->socket = -1;
        return false;
    }
    begin(connection);
    watch(connection, EPOLL_CTL_ADD);
    return true;
}

static void close_one(struct connection *connection)
{
    close(connection->socket);
    connection->socket = -1;
    if (connection->is_connected) closed++;
}

static bool send_some(struct connection *connection)
{
    for (int turn = 0; turn < 4; turn++) {
        bool is_first = connection->first_sent < connection->first_bytes;
        if (!is_first && !connection->is_fed) return true;
        const uint8_t *from = is_first ? connection->first + connection->first_sent : flood + connection->flood_sent;
        size_t bytes = is_first ? connection->first_bytes - connection->first_sent : flood_bytes - connection->flood_sent;
        if (kind == DRIP) bytes = 1;
        ssize_t sent = send(connection->socket, from, bytes, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN || errno == EINTR;
        sent_bytes += (uint64_t)sent;
        if (is_first) connection->first_sent += (size_t)sent;
        else connection->flood_sent = (connection->flood_sent + (size_t)sent) % flood_bytes;
        if (kind == DRIP) return true;
    }
    return true;
}

/* Takes what comes: during login the answers' headers count, then nothing does. */
static bool receive_some(struct connection *connection)
{
    static uint8_t bytes[1 << 16];
    ssize_t got = recv(connection->socket, bytes, sizeof bytes, 0);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    received_bytes += (uint64_t)got;
    for (size_t at = 0; at < (size_t)got && !connection->is_logged_in;) {
        if (connection->answer_skip > 0) {
            size_t skip = (size_t)got - at < connection->answer_skip ? (size_t)got - at : connection->answer_skip;
            connection->answer_skip -= skip;
            at += skip;
        } else {
            connection->answer[connection->answer_bytes++] = bytes[at++];
            if (connection->answer_bytes < HEADER) continue;
        }
        if (connection->answer_bytes == HEADER) {
            connection->answer_skip = padded(get24(connection->answer + 5));
            connection->answer_bytes = HEADER + 1; /* and now its text */
        }
        if (connection->answer_bytes == HEADER + 1 && connection->answer_skip == 0) {
            connection->answer_bytes = 0;
            if ((connection->answer[0] & 0x3f) != LOGIN_RESPONSE) return true;
            if (connection->answer[36] != 0) {
                refused++;
                return true; /* it is going to be closed */
            }
            go_on(connection, (connection->answer[1] & 0x83) == 0x83);
        }
    }
    return true;
}

static void tell(void)
{
    uint64_t open = 0;
    for (unsigned i = 0; i < connection_count; i++) open += connections[i].socket >= 0 && connections[i].is_connected;
    printf("{\"open\":%" PRIu64 ",\"opened\":%" PRIu64 ",\"closed\":%" PRIu64 ",\"logins\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"sentBytes\":%" PRIu64 ",\"receivedBytes\":%" PRIu64 "}\n",
        open, opened, closed, logins, refused, sent_bytes, received_bytes);
}

static void end(int signal) { (void)signal; is_over = 1; }

int main(int count, char **words)
{
    if (count < 5 || count % 2 == 0) {
        fprintf(stderr, "usage: hostile ADDRESS PORT TARGET KIND [OPTION VALUE]...\n");
        return 2;
    }
    for (kind = IDLE; kind < KINDS && strcmp(names[kind], words[4]) != 0; kind++) {}
    if (kind == KINDS) {
        fprintf(stderr, "hostile: there is no kind %s\n", words[4]);
        return 2;
    }
    for (int i = 5; i < count; i += 2) {
        const char *option = words[i], *value = words[i + 1];
        if (strcmp(option, "--connections") == 0) connection_count = (unsigned)atoi(value);
        else if (strcmp(option, "--again") == 0) again = strcmp(value, "yes") == 0;
        else if (strcmp(option, "--every") == 0) every_ms = (unsigned)atoi(value);
        else if (strcmp(option, "--seconds") == 0) seconds = (unsigned)atoi(value);
        else {
            fprintf(stderr, "hostile: there is no option %s\n", option);
            return 2;
        }
    }
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(words[2]));
    if (inet_pton(AF_INET, words[1], &address.sin_addr) != 1) fail("%s is no IPv4 address", words[1]);
    target = words[3];
    signal(SIGTERM, end);
    signal(SIGINT, end);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < connection_count + 16u) fail("%u connections need more descriptors than there are", connection_count);

    prepare_flood();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(connection_count, sizeof *connections);
    for (unsigned i = 0; i < connection_count; i++) connections[i].socket = -1, connections[i].number = i;
    unsigned tried = 0, next = 0, connecting = 0;
    bool is_ready = false;
    uint64_t start = now_ns();
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (!is_over && (seconds == 0 || now_ns() - start < seconds * 1000000000ull)) {
        for (unsigned looked = 0; looked < connection_count && connecting < CONNECTS_AT_A_TIME; looked++) {
            struct connection *connection = &connections[next];
            next = (next + 1) % connection_count;
            if (connection->socket >= 0 || (tried >= connection_count && !again)) continue;
            tried += tried < connection_count;
            if (!open_one(connection)) break;
            connecting++;
        }
        if (!is_ready && tried >= connection_count && connecting == 0) {
            is_ready = true;
            puts("ready");
        }

        struct epoll_event events[MAX_EVENTS];
        int ready = epoll_wait(epoll, events, MAX_EVENTS, kind == DRIP ? 10 : 100);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            bool is_alive = true;
            if (!connection->is_connected) {
                connecting--;
                int problem = 0;
                socklen_t length = sizeof problem;
                getsockopt(connection->socket, SOL_SOCKET, SO_ERROR, &problem, &length);
                if (problem != 0) {
                    close_one(connection);
                    continue;
                }
                connection->is_connected = true;
                opened++;
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) is_alive = receive_some(connection);
            if (is_alive && (events[i].events & (EPOLLHUP | EPOLLERR))) is_alive = false;
            if (is_alive && (events[i].events & EPOLLRDHUP) && kind == DEAF) is_alive = false;
            if (is_alive && kind != DRIP) is_alive = send_some(connection);
            if (is_alive) watch(connection, EPOLL_CTL_MOD);
            else close_one(connection);
        }
        uint64_t now = now_ns();
        for (unsigned i = 0; kind == DRIP && i < connection_count; i++) {
            struct connection *connection = &connections[i];
            if (connection->socket < 0 || !connection->is_connected || now < connection->next_ns) continue;
            connection->next_ns = now + every_ms * 1000000ull;
            if (!send_some(connection)) close_one(connection);
        }
    }
    tell();
    return 0;
}
