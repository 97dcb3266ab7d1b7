/*
 * The initiator's ceiling: a target that does as little for a command as a target can. It takes any login, says that it has one disk, and answers every read and write with a
 * status alone: a read brings no data, what is written is thrown away. No target that moves data can be faster with the same initiator.
 *
 *   ceiling ADDRESS SIZE_MB [data]
 *
 * With "data", reads bring what stands in memory of the disk's size, sent from where it lies, with the status behind it: what is left is what the initiator and the network need
 * for the data, and no target that sends the blocks that were asked for can be faster with the same initiator.
 *
 * It prints the port that it has picked, and serves until it is killed. RFC 7143; no digests, no error recovery, one connection a session.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HEADER = 48, RECEIVE_BYTES = 1 << 20, SEND_BYTES = 1 << 20, SEGMENT = 262144, WINDOW = 256, MAX_EVENTS = 64, BLOCK = 512, PARTS = 512 };

/* Opcodes: RFC 7143 section 11.2.1.2. */
enum {
    NOP_OUT = 0x00, SCSI_COMMAND = 0x01, TASK_REQUEST = 0x02, LOGIN_REQUEST = 0x03, TEXT_REQUEST = 0x04, DATA_OUT = 0x05, LOGOUT_REQUEST = 0x06,
    NOP_IN = 0x20, SCSI_RESPONSE = 0x21, TASK_RESPONSE = 0x22, LOGIN_RESPONSE = 0x23, DATA_IN = 0x25, LOGOUT_RESPONSE = 0x26, R2T = 0x31,
};

/* A write whose data has not come whole. */
struct write {
    uint32_t tag, expected, have, burst;
    uint8_t lun[8];
    bool is_used;
};

struct connection {
    int socket;
    uint8_t *in, *out;
    size_t have, ready, skip;
    uint32_t stat_sn, exp_cmd_sn, first_burst, max_burst, segment, next_r2t;
    struct iovec parts[PARTS]; /* what is to be sent: pieces of "out", and of the disk */
    int part_count;
    struct write writes[WINDOW];
};

static uint64_t blocks;
static uint8_t *disk; /* NULL: reads bring no data */

static void put16(uint8_t *at, uint16_t value) { at[0] = (uint8_t)(value >> 8); at[1] = (uint8_t)value; }
static void put32(uint8_t *at, uint32_t value) { value = htonl(value); memcpy(at, &value, 4); }
static void put64(uint8_t *at, uint64_t value) { put32(at, (uint32_t)(value >> 32)); put32(at + 4, (uint32_t)value); }
static uint32_t get32(const uint8_t *at) { uint32_t value; memcpy(&value, at, 4); return ntohl(value); }
static uint32_t get24(const uint8_t *at) { return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2]; }
static size_t padded(size_t bytes) { return (bytes + 3) & ~(size_t)3; }

static void fail(const char *what)
{
    fprintf(stderr, "ceiling: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool flush(struct connection *connection)
{
    struct iovec *part = connection->parts, *end = part + connection->part_count;
    while (part < end) {
        struct msghdr message = { .msg_iov = part, .msg_iovlen = (size_t)(end - part) };
        ssize_t sent = sendmsg(connection->socket, &message, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        for (; part < end && (size_t)sent >= part->iov_len; part++) sent -= (ssize_t)part->iov_len;
        if (part < end) part->iov_base = (uint8_t *)part->iov_base + sent, part->iov_len -= (size_t)sent;
    }
    connection->part_count = 0;
    connection->ready = 0;
    return true;
}

static void send_later(struct connection *connection, uint8_t *start, size_t bytes)
{
    struct iovec *last = connection->parts + connection->part_count - 1;
    if (connection->part_count > 0 && (uint8_t *)last->iov_base + last->iov_len == start) last->iov_len += bytes;
    else connection->parts[connection->part_count++] = (struct iovec){ .iov_base = start, .iov_len = bytes };
}

/* A PDU to fill in, with room for its data behind it. */
static uint8_t *add(struct connection *connection, uint8_t opcode, const uint8_t *request, size_t bytes)
{
    if (connection->ready + HEADER + padded(bytes) > SEND_BYTES || connection->part_count > PARTS - 2) flush(connection);
    uint8_t *pdu = connection->out + connection->ready;
    send_later(connection, pdu, HEADER + padded(bytes));
    connection->ready += HEADER + padded(bytes);
    memset(pdu, 0, HEADER + padded(bytes));
    pdu[0] = opcode;
    pdu[1] = 0x80;
    pdu[5] = (uint8_t)(bytes >> 16), pdu[6] = (uint8_t)(bytes >> 8), pdu[7] = (uint8_t)bytes;
    memcpy(pdu + 16, request + 16, 4);
    put32(pdu + 24, connection->stat_sn);
    put32(pdu + 28, connection->exp_cmd_sn);
    put32(pdu + 32, connection->exp_cmd_sn + WINDOW - 1);
    return pdu;
}

/* ---- commands ---- */

static void answer(struct connection *connection, const uint8_t *request, uint32_t missing)
{
    uint8_t *pdu = add(connection, SCSI_RESPONSE, request, 0);
    connection->stat_sn++;
    if (missing > 0) {
        pdu[1] |= 0x02; /* residual underflow */
        put32(pdu + 44, missing);
    }
}

static void refuse(struct connection *connection, const uint8_t *request)
{
    uint8_t *pdu = add(connection, SCSI_RESPONSE, request, 2 + 18);
    connection->stat_sn++;
    pdu[3] = 0x02;
    put16(pdu + HEADER, 18);
    pdu[HEADER + 2] = 0x70, pdu[HEADER + 4] = 0x05, pdu[HEADER + 9] = 10, pdu[HEADER + 14] = 0x20;
}

static void answer_data(struct connection *connection, const uint8_t *request, const uint8_t *data, size_t bytes)
{
    uint32_t wanted = get32(request + 20);
    size_t sent = bytes < wanted ? bytes : wanted;
    uint8_t *pdu = add(connection, DATA_IN, request, sent);
    connection->stat_sn++;
    pdu[1] = 0x81; /* final, with status */
    if (wanted > sent) {
        pdu[1] |= 0x02;
        put32(pdu + 44, wanted - (uint32_t)sent);
    }
    put32(pdu + 20, 0xffffffff);
    memcpy(pdu + HEADER, data, sent);
}

/* A whole read from the disk, in as many PDUs as it takes. */
static void answer_read(struct connection *connection, const uint8_t *request)
{
    const uint8_t *cdb = request + 32;
    uint64_t lba = cdb[0] == 0x08 ? get32(cdb) & 0x1fffff : cdb[0] == 0x88 ? (uint64_t)get32(cdb + 2) << 32 | get32(cdb + 6) : get32(cdb + 2);
    uint32_t wanted = get32(request + 20), number = 0;
    if (lba > blocks || wanted > (blocks - lba) * BLOCK || wanted % 4 != 0) {
        refuse(connection, request);
        return;
    }
    for (uint32_t at = 0; at < wanted;) {
        uint32_t bytes = wanted - at < connection->segment ? wanted - at : connection->segment;
        uint32_t burst_left = connection->max_burst - at % connection->max_burst;
        if (bytes > burst_left) bytes = burst_left;
        uint8_t *pdu = add(connection, DATA_IN, request, 0);
        bool is_last = at + bytes == wanted;
        pdu[1] = is_last ? 0x81 : bytes == burst_left ? 0x80 : 0; /* final, with status; final of a sequence */
        pdu[5] = (uint8_t)(bytes >> 16), pdu[6] = (uint8_t)(bytes >> 8), pdu[7] = (uint8_t)bytes;
        put32(pdu + 20, 0xffffffff);
        if (is_last) connection->stat_sn++;
        else put32(pdu + 24, 0);
        put32(pdu + 36, number++);
        put32(pdu + 40, at);
        send_later(connection, disk + lba * BLOCK + at, bytes);
        at += bytes;
    }
}

static void ask_for_rest(struct connection *connection, struct write *write, const uint8_t *request)
{
    uint32_t part = write->expected - write->have < connection->max_burst ? write->expected - write->have : connection->max_burst;
    uint8_t *pdu = add(connection, R2T, request, 0);
    memcpy(pdu + 8, write->lun, 8);
    put32(pdu + 20, ++connection->next_r2t & 0x7fffffff);
    put32(pdu + 40, write->have);
    put32(pdu + 44, part);
    write->burst = write->have + part;
}

static void begin_write(struct connection *connection, const uint8_t *request)
{
    uint32_t expected = get32(request + 20), have = get24(request + 5);
    if (have >= expected) {
        answer(connection, request, 0);
        return;
    }
    struct write *write = NULL;
    for (int i = 0; i < WINDOW && write == NULL; i++)
        if (!connection->writes[i].is_used) write = &connection->writes[i];
    if (write == NULL) fail("too many writes");
    *write = (struct write){ .tag = get32(request + 16), .expected = expected, .have = have, .is_used = true };
    memcpy(write->lun, request + 8, 8);
    write->burst = (request[1] & 0x80) ? have : expected < connection->first_burst ? expected : connection->first_burst;
    if (write->burst == have) ask_for_rest(connection, write, request);
}

static void take_data(struct connection *connection, const uint8_t *request)
{
    for (int i = 0; i < WINDOW; i++) {
        struct write *write = &connection->writes[i];
        if (!write->is_used || write->tag != get32(request + 16)) continue;
        write->have += get24(request + 5);
        if (write->have >= write->expected) {
            write->is_used = false;
            answer(connection, request, 0);
        } else if (write->have >= write->burst || ((request[1] & 0x80) && get32(request + 20) == 0xffffffff)) {
            ask_for_rest(connection, write, request);
        }
        return;
    }
}

static void execute(struct connection *connection, const uint8_t *request)
{
    const uint8_t *cdb = request + 32;
    uint8_t data[96] = { 0 };
    switch (cdb[0]) {
    case 0x00: case 0x35: case 0x91: /* TEST UNIT READY, SYNCHRONIZE CACHE */
        answer(connection, request, 0);
        break;
    case 0x28: case 0x88: case 0x08: case 0xa8: /* READ */
        if (disk != NULL && get32(request + 20) > 0) answer_read(connection, request);
        else answer(connection, request, get32(request + 20));
        break;
    case 0x2a: case 0x8a: case 0x0a: case 0xaa: /* WRITE */
        begin_write(connection, request);
        break;
    case 0x12: /* INQUIRY */
        if (cdb[1] & 1) {
            if (cdb[2] != 0) {
                refuse(connection, request);
                break;
            }
            data[3] = 1;
            answer_data(connection, request, data, 5);
            break;
        }
        data[2] = 5, data[3] = 2, data[4] = 31;
        memcpy(data + 8, "SCUSE   ceiling         0001", 28);
        answer_data(connection, request, data, 36);
        break;
    case 0x25: /* READ CAPACITY(10) */
        put32(data, blocks > 0xffffffff ? 0xffffffff : (uint32_t)(blocks - 1));
        put32(data + 4, BLOCK);
        answer_data(connection, request, data, 8);
        break;
    case 0x9e: /* READ CAPACITY(16) */
        put64(data, blocks - 1);
        put32(data + 8, BLOCK);
        answer_data(connection, request, data, 32);
        break;
    case 0x1a: /* MODE SENSE(6) */
        data[0] = 3;
        answer_data(connection, request, data, 4);
        break;
    case 0xa0: /* REPORT LUNS */
        data[3] = 8;
        answer_data(connection, request, data, 16);
        break;
    default:
        refuse(connection, request);
    }
}

/* ---- login ---- */

static void log_in(struct connection *connection, const uint8_t *request, const char *text, size_t bytes)
{
    char keys[2048];
    size_t length = 0;
    bool is_first = (request[1] >> 2 & 3) == 0;
    for (const char *at = text; at < text + bytes && *at; at += strlen(at) + 1) {
        const char *is = strchr(at, '=');
        if (is == NULL) continue;
        size_t key = (size_t)(is - at);
        const char *value = NULL;
        if (strncmp(at, "HeaderDigest", key) == 0 || strncmp(at, "DataDigest", key) == 0 || strncmp(at, "AuthMethod", key) == 0) value = "None";
        else if (strncmp(at, "InitialR2T", key) == 0 || strncmp(at, "ImmediateData", key) == 0 || strncmp(at, "DefaultTime2Wait", key) == 0 || strncmp(at, "DefaultTime2Retain", key) == 0) value = is + 1;
        else if (strncmp(at, "MaxOutstandingR2T", key) == 0 || strncmp(at, "MaxConnections", key) == 0) value = "1";
        else if (strncmp(at, "ErrorRecoveryLevel", key) == 0) value = "0";
        else if (strncmp(at, "DataPDUInOrder", key) == 0 || strncmp(at, "DataSequenceInOrder", key) == 0) value = "Yes";
        else if (strncmp(at, "IFMarker", key) == 0 || strncmp(at, "OFMarker", key) == 0) value = "No";
        else if (strncmp(at, "MaxRecvDataSegmentLength", key) == 0) {
            connection->segment = (uint32_t)atoi(is + 1);
            value = "262144";
        }
        else if (strncmp(at, "MaxBurstLength", key) == 0) connection->max_burst = (uint32_t)atoi(value = is + 1);
        else if (strncmp(at, "FirstBurstLength", key) == 0) connection->first_burst = (uint32_t)atoi(value = is + 1);
        if (value != NULL) length += (size_t)snprintf(keys + length, sizeof keys - length, "%.*s=%s", (int)key, at, value) + 1;
    }
    if (is_first) length += (size_t)snprintf(keys + length, sizeof keys - length, "TargetPortalGroupTag=1") + 1;
    connection->exp_cmd_sn = get32(request + 24);
    uint8_t *pdu = add(connection, LOGIN_RESPONSE, request, length);
    connection->stat_sn++;
    pdu[1] = request[1];
    memcpy(pdu + 8, request + 8, 6);
    put16(pdu + 14, 1);
    memcpy(pdu + HEADER, keys, length);
}

/* ---- bytes ---- */

static void take(struct connection *connection, const uint8_t *pdu)
{
    uint8_t opcode = pdu[0] & 0x3f;
    if (!(pdu[0] & 0x40) && opcode != DATA_OUT && opcode != LOGIN_REQUEST) connection->exp_cmd_sn++;
    switch (opcode) {
    case SCSI_COMMAND: execute(connection, pdu); break;
    case DATA_OUT: take_data(connection, pdu); break;
    case LOGIN_REQUEST: log_in(connection, pdu, (const char *)pdu + HEADER, get24(pdu + 5)); break;
    case NOP_OUT:
        if (get32(pdu + 16) != 0xffffffff) {
            put32(add(connection, NOP_IN, pdu, 0) + 20, 0xffffffff);
            connection->stat_sn++;
        }
        break;
    case TASK_REQUEST: add(connection, TASK_RESPONSE, pdu, 0), connection->stat_sn++; break;
    case LOGOUT_REQUEST: add(connection, LOGOUT_RESPONSE, pdu, 0), connection->stat_sn++; break;
    }
}

/* Receives once and acts on every PDU whose header is there; data that nobody looks at is thrown away by the kernel. */
static bool receive(struct connection *connection)
{
    if (connection->skip > 0 && connection->have == 0) {
        ssize_t got = recv(connection->socket, NULL, connection->skip, MSG_TRUNC);
        if (got <= 0) return false;
        connection->skip -= (size_t)got;
        return true;
    }
    ssize_t got = recv(connection->socket, connection->in + connection->have, RECEIVE_BYTES - connection->have, 0);
    if (got <= 0) return false;
    connection->have += (size_t)got;
    size_t at = 0;
    while (connection->have - at >= HEADER) {
        const uint8_t *pdu = connection->in + at;
        size_t whole = HEADER + 4u * pdu[4] + padded(get24(pdu + 5));
        if (connection->have - at < whole) {
            uint8_t opcode = pdu[0] & 0x3f;
            if (opcode != DATA_OUT && opcode != SCSI_COMMAND) break;
            take(connection, pdu); /* as if its data were there: nothing depends on it */
            connection->skip = whole - (connection->have - at);
            at = connection->have;
            break;
        }
        take(connection, pdu);
        at += whole;
    }
    connection->have -= at;
    if (at > 0 && connection->have > 0) memmove(connection->in, connection->in + at, connection->have);
    return flush(connection);
}

int main(int count, char **words)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    bool brings_data = count == 4 && strcmp(words[3], "data") == 0;
    if (count != 3 + brings_data || inet_pton(AF_INET, words[1], &address.sin_addr) != 1 || atoll(words[2]) <= 0) {
        fprintf(stderr, "usage: ceiling ADDRESS SIZE_MB [data]\n");
        return 2;
    }
    blocks = (uint64_t)atoll(words[2]) * (1048576 / BLOCK);
    if (brings_data) {
        disk = malloc(blocks * BLOCK);
        if (disk == NULL) fail("memory for the disk");
        memset(disk, 0x5a, blocks * BLOCK); /* each page is there before the first read */
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll = epoll_create1(EPOLL_CLOEXEC), on = 1;
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 16) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0) fail("listening");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL }, events[MAX_EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    while (true) {
        int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL) {
                connection = calloc(1, sizeof *connection);
                connection->socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                connection->in = malloc(RECEIVE_BYTES), connection->out = malloc(SEND_BYTES);
                connection->first_burst = 65536, connection->max_burst = SEGMENT, connection->segment = 8192;
                setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event = (struct epoll_event){ .events = EPOLLIN, .data.ptr = connection };
                epoll_ctl(epoll, EPOLL_CTL_ADD, connection->socket, &event);
            } else if (!receive(connection)) {
                close(connection->socket);
                free(connection->in), free(connection->out), free(connection);
            }
        }
    }
}
