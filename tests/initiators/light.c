/*
 * A light iSCSI load: as little work for a command as an initiator can do, so that it is the target that is measured.
 *
 *   light ADDRESS PORT TARGET LUN [OPTION VALUE]...
 *
 * It speaks just enough of RFC 7143 for one connection a session without digests: login, SCSI Command, Data-In, R2T, Data-Out, SCSI Response, NOP. What it reads it does not look
 * at, but for one check before the clock starts: a pattern is written to the last blocks, read back and compared (with --check no: only read). With --verify it looks at every byte.
 *
 *   --op read|write|unmap  what to do (read)
 *   --order random|sequential  where (random)
 *   --block BYTES      how much a command moves (4096)
 *   --depth N          how many commands of a session are under way (32)
 *   --sessions N       how many sessions, each with an initiator name of its own (1)
 *   --luns N           sessions take LUN, LUN+1, ... in turn, so many different ones (1)
 *   --seconds N        for how long it is measured (5)
 *   --warm MS          how long it runs before (200)
 *   --rate N           commands a second at most, over all sessions; 0: as many as there can be (0)
 *   --check yes|no     whether the disk may be written to for the check (yes)
 *   --verify yes|no    whether the first session fills the disk, of 64 MiB at most, and every read is compared with what was written there (no)
 *   --tell yes|no      whether it says "started" when all sessions are logged in and the load begins (no)
 *
 * SIGTERM ends it before its time, when what is under way has been answered. It ends with one line of JSON: commands, seconds, the latency's percentiles in microseconds, how many took longer than 1, 2, 4, 8 and 16 ms, and how many commands the slowest session had and the mean. Exit code: 0 all well, 1 not, 2 a
 * wrong command line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER = 48, MAX_DEPTH = 256, MAX_SESSIONS = 10000, RECEIVE_BYTES = 1 << 20, SEGMENT = 262144, MAX_BLOCK = 4 << 20, MAX_VERIFIED = 64 << 20, TEXT_BYTES = 8192, MAX_EVENTS = 256,
    HISTOGRAM_US = 1000000, /* latencies up to a second, a bucket for each microsecond */
};

/* Opcodes: RFC 7143 section 11.2.1.2. */
enum { NOP_OUT = 0x00, SCSI_COMMAND = 0x01, LOGIN_REQUEST = 0x03, DATA_OUT = 0x05, NOP_IN = 0x20, SCSI_RESPONSE = 0x21, LOGIN_RESPONSE = 0x23, DATA_IN = 0x25, R2T = 0x31 };

enum { READ_16 = 0x88, WRITE_16 = 0x8a, UNMAP = 0x42, UNMAP_BYTES = 24, SERVICE_ACTION_IN_16 = 0x9e, TEST_UNIT_READY = 0x00 };

struct session {
    int socket, lun, number;
    uint32_t cmd_sn, max_cmd_sn, exp_stat_sn;
    unsigned under_way, first_burst, segment;
    bool initial_r2t, immediate;
    uint64_t next_block, operations;
    uint64_t started[MAX_DEPTH];
    uint64_t at[MAX_DEPTH];
    uint8_t ranges[MAX_DEPTH][UNMAP_BYTES];
    uint16_t idle[MAX_DEPTH];
    unsigned idle_count;
    uint8_t *buffer; /* what was received and not yet understood */
    size_t have, skip; /* skip: bytes of data still to come that nobody looks at */
    int last_status; /* of the command that the start waits for; -1: none yet */
    uint8_t *keep; /* where Data-In is to be kept, or null */
    size_t keep_bytes;
    struct iovec out[3 * MAX_DEPTH];
    unsigned out_count;
    uint8_t headers[MAX_DEPTH * 2][HEADER];
    unsigned header_count;
};

static unsigned depth = 32, block = 4096, session_count = 1, lun_count = 1, seconds = 5, warm_ms = 200, rate;
static bool writing, unmapping, sequential, may_write = true, verifying, telling;
static uint32_t block_bytes;
static uint64_t blocks, random_state = 0x9E3779B97F4A7C15;
static uint8_t *data; /* what is written, and where padding comes from */
static uint32_t histogram[HISTOGRAM_US + 1];
static bool is_measuring, is_over;
static volatile sig_atomic_t is_told_to_end;
static uint64_t measured, budget_start;
static uint64_t issued_of_budget;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("light: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void end_early(int number)
{
    (void)number;
    is_told_to_end = 1;
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void put32(uint8_t *at, uint32_t value) { value = htonl(value); memcpy(at, &value, 4); }
static void put64(uint8_t *at, uint64_t value) { put32(at, (uint32_t)(value >> 32)); put32(at + 4, (uint32_t)value); }
static uint32_t get32(const uint8_t *at) { uint32_t value; memcpy(&value, at, 4); return ntohl(value); }
static uint32_t get24(const uint8_t *at) { return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2]; }
static void put24(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 16); at[1] = (uint8_t)(value >> 8); at[2] = (uint8_t)value; }
static size_t padded(size_t bytes) { return (bytes + 3) & ~(size_t)3; }

/* ---- bytes out ---- */

static void send_all(struct session *session)
{
    struct iovec *piece = session->out;
    unsigned left = session->out_count;
    while (left > 0) {
        struct msghdr message = { .msg_iov = piece, .msg_iovlen = left < 1024 ? left : 1024 };
        ssize_t sent = sendmsg(session->socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) fail("session %d: sending: %s", session->number, strerror(errno));
        while (left > 0 && (size_t)sent >= piece->iov_len) {
            sent -= (ssize_t)piece->iov_len;
            piece++, left--;
        }
        if (left > 0) {
            piece->iov_base = (uint8_t *)piece->iov_base + sent;
            piece->iov_len -= (size_t)sent;
        }
    }
    session->out_count = session->header_count = 0;
}

/* A header to fill in; its data, if any, is put behind it. */
static uint8_t *add(struct session *session, uint8_t opcode, const void *payload, size_t bytes)
{
    if (session->header_count == MAX_DEPTH * 2 || session->out_count + 3 > 3 * MAX_DEPTH) send_all(session);
    uint8_t *header = session->headers[session->header_count++];
    memset(header, 0, HEADER);
    header[0] = opcode;
    put24(header + 5, (uint32_t)bytes);
    session->out[session->out_count++] = (struct iovec){ header, HEADER };
    if (bytes > 0) session->out[session->out_count++] = (struct iovec){ (void *)payload, bytes };
    if (padded(bytes) > bytes) session->out[session->out_count++] = (struct iovec){ data + MAX_BLOCK, padded(bytes) - bytes };
    return header;
}

/* What stands at a place of a verified disk: no two places have the same. */
static uint64_t word_at(uint64_t offset) { return (offset / 8 + 1) * 0x9E3779B97F4A7C15; }

/* With a payload it is a write of it; what a target asks for by R2T is taken from data. */
static void send_command(struct session *session, uint16_t tag, const uint8_t *cdb, unsigned cdb_bytes, const uint8_t *payload, uint32_t bytes)
{
    bool out = payload != NULL;
    uint32_t now = 0;
    if (out && session->immediate) {
        now = bytes < session->segment ? bytes : session->segment;
        if (now > session->first_burst) now = session->first_burst;
    }
    uint8_t *header = add(session, SCSI_COMMAND, payload, now);
    bool more = out && !session->initial_r2t && now < bytes && now < session->first_burst;
    header[1] = (uint8_t)((more ? 0 : 0x80) | (bytes == 0 ? 0 : out ? 0x20 : 0x40) | 1);
    header[8] = session->lun < 256 ? 0 : (uint8_t)(0x40 | session->lun >> 8);
    header[9] = (uint8_t)session->lun;
    put32(header + 16, tag);
    put32(header + 20, bytes);
    put32(header + 24, session->cmd_sn++);
    put32(header + 28, session->exp_stat_sn);
    memcpy(header + 32, cdb, cdb_bytes);
    uint32_t burst = bytes < session->first_burst ? bytes : session->first_burst;
    for (uint32_t offset = now, number = 0; more && offset < burst; number++) {
        uint32_t part = burst - offset < session->segment ? burst - offset : session->segment;
        uint8_t *next = add(session, DATA_OUT, payload + offset, part);
        next[1] = offset + part == burst ? 0x80 : 0;
        memcpy(next + 8, header + 8, 8);
        put32(next + 16, tag);
        put32(next + 20, 0xffffffff);
        put32(next + 28, session->exp_stat_sn);
        put32(next + 36, number);
        put32(next + 40, offset);
        offset += part;
    }
}

static void start_one(struct session *session)
{
    uint16_t tag = session->idle[--session->idle_count];
    uint64_t places = blocks * block_bytes / block, place;
    if (sequential) place = session->next_block++ % places;
    else place = next_random() % places;
    uint8_t cdb[16] = { writing ? WRITE_16 : READ_16 };
    put64(cdb + 2, place * (block / block_bytes));
    put32(cdb + 10, block / block_bytes);
    session->at[tag] = place * block;
    session->started[tag] = now_ns();
    session->under_way++;
    issued_of_budget++;
    if (unmapping) {
        uint8_t *list = session->ranges[tag];
        memset(cdb, 0, sizeof cdb);
        cdb[0] = UNMAP, cdb[8] = UNMAP_BYTES;
        list[1] = UNMAP_BYTES - 2, list[3] = 16;
        put64(list + 8, place * (block / block_bytes));
        put32(list + 16, block / block_bytes);
        if (!session->immediate || session->first_burst < UNMAP_BYTES) fail("session %d: the target takes no immediate data", session->number);
        send_command(session, tag, cdb, 10, list, UNMAP_BYTES);
        return;
    }
    send_command(session, tag, cdb, sizeof cdb, writing ? data : NULL, block);
}

static bool has_budget(void)
{
    return rate == 0 || issued_of_budget < (now_ns() - budget_start) * rate / 1000000000u;
}

static void fill(struct session *session)
{
    while (!is_over && session->idle_count > 0 && (int32_t)(session->max_cmd_sn - session->cmd_sn) >= 0 && has_budget()) start_one(session);
}

static void answer_r2t(struct session *session, const uint8_t *r2t)
{
    uint32_t offset = get32(r2t + 40), end = offset + get32(r2t + 44);
    if (end > MAX_BLOCK || end < offset) fail("session %d: an R2T asks for what there is not", session->number);
    for (uint32_t number = 0; offset < end; number++) {
        uint32_t part = end - offset < session->segment ? end - offset : session->segment;
        uint8_t *header = add(session, DATA_OUT, data + offset, part);
        header[1] = offset + part == end ? 0x80 : 0;
        memcpy(header + 8, r2t + 8, 8);
        memcpy(header + 16, r2t + 16, 8); /* both tags */
        put32(header + 28, session->exp_stat_sn);
        put32(header + 36, number);
        put32(header + 40, offset);
        offset += part;
    }
}

/* ---- bytes in ---- */

static void finished(struct session *session, uint32_t tag, uint8_t status)
{
    if (session->last_status == -1) {
        session->last_status = status;
        return;
    }
    if (tag >= depth || status != 0) fail("session %d: command %" PRIu32 " ended with status %02xh", session->number, tag, status);
    uint64_t us = (now_ns() - session->started[tag]) / 1000;
    if (is_measuring) {
        histogram[us < HISTOGRAM_US ? us : HISTOGRAM_US]++;
        measured++;
        session->operations++;
    }
    session->under_way--;
    session->idle[session->idle_count++] = (uint16_t)tag;
}

/* Acts on one PDU; its data is in the buffer as far as have says. */
static void take(struct session *session, const uint8_t *pdu, size_t have)
{
    uint8_t opcode = pdu[0] & 0x3f;
    uint32_t bytes = get24(pdu + 5);
    bool has_status = opcode == SCSI_RESPONSE || (opcode == DATA_IN && (pdu[1] & 1)) || (opcode == NOP_IN && get32(pdu + 16) != 0xffffffff);
    if (has_status) session->exp_stat_sn = get32(pdu + 24) + 1;
    if ((int32_t)(get32(pdu + 32) - session->max_cmd_sn) > 0) session->max_cmd_sn = get32(pdu + 32);
    switch (opcode) {
    case DATA_IN:
        if (session->keep != NULL) {
            uint32_t offset = get32(pdu + 40);
            if (have < HEADER + bytes) fail("session %d: data to keep came in pieces", session->number);
            if (offset + bytes <= session->keep_bytes) memcpy(session->keep + offset, pdu + HEADER, bytes);
        }
        if (verifying && session->keep == NULL) {
            uint32_t tag = get32(pdu + 16), offset = get32(pdu + 40);
            if (tag >= depth || offset + bytes > block) fail("session %d: data came for what was not asked for", session->number);
            for (uint32_t i = 0; i + 8 <= bytes; i += 8) {
                uint64_t word = word_at(session->at[tag] + offset + i);
                if (memcmp(pdu + HEADER + i, &word, 8) != 0) fail("session %d: wrong data at byte %" PRIu64, session->number, session->at[tag] + offset + i);
            }
        }
        if (pdu[1] & 1) finished(session, get32(pdu + 16), pdu[3]);
        break;
    case SCSI_RESPONSE:
        if (pdu[2] != 0) fail("session %d: a command was not carried out (response %02xh)", session->number, pdu[2]);
        finished(session, get32(pdu + 16), pdu[3]);
        break;
    case R2T:
        answer_r2t(session, pdu);
        break;
    case NOP_IN:
        if (get32(pdu + 20) != 0xffffffff) {
            uint8_t *header = add(session, NOP_OUT | 0x40, NULL, 0);
            header[1] = 0x80;
            memcpy(header + 8, pdu + 8, 8);
            put32(header + 16, 0xffffffff);
            memcpy(header + 20, pdu + 20, 4);
            put32(header + 24, session->cmd_sn);
            put32(header + 28, session->exp_stat_sn);
        }
        break;
    default:
        fail("session %d: a PDU with opcode %02xh came", session->number, opcode);
    }
}

/* Receives once and acts on every PDU whose header is there. */
static void receive(struct session *session)
{
    if (session->skip > 0 && session->have == 0 && session->keep == NULL) {
        /* What nobody looks at is read over itself. */
        ssize_t got = recv(session->socket, session->buffer, session->skip < RECEIVE_BYTES ? session->skip : RECEIVE_BYTES, 0);
        if (got <= 0) fail("session %d: the connection ended", session->number);
        session->skip -= (size_t)got;
        return;
    }
    ssize_t got = recv(session->socket, session->buffer + session->have, RECEIVE_BYTES - session->have, 0);
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) fail("session %d: the connection ended", session->number);
    session->have += (size_t)got;
    size_t at = 0;
    while (session->have - at >= HEADER) {
        const uint8_t *pdu = session->buffer + at;
        size_t whole = HEADER + 4u * pdu[4] + padded(get24(pdu + 5)), have = session->have - at;
        if (have < whole && (verifying || session->keep != NULL || (pdu[0] & 0x3f) != DATA_IN)) break;
        take(session, pdu, have);
        if (have < whole) {
            session->skip = whole - have;
            at = session->have;
            break;
        }
        at += whole;
    }
    session->have -= at;
    if (at > 0 && session->have > 0) memmove(session->buffer, session->buffer + at, session->have);
}

/* ---- login and the start ---- */

static void read_exactly(int socket, uint8_t *into, size_t bytes)
{
    while (bytes > 0) {
        ssize_t got = recv(socket, into, bytes, 0);
        if (got <= 0) fail("the connection ended during login");
        into += got, bytes -= (size_t)got;
    }
}

static const char *value_of(const char *text, size_t bytes, const char *key)
{
    size_t length = strlen(key);
    for (const char *at = text; at < text + bytes; at += strlen(at) + 1)
        if (strncmp(at, key, length) == 0 && at[length] == '=') return at + length + 1;
    return NULL;
}

static void add_key(char *text, size_t *bytes, const char *key, const char *value)
{
    *bytes += (size_t)snprintf(text + *bytes, TEXT_BYTES - *bytes, "%s=%s", key, value) + 1;
}

static void log_in(struct session *session, const char *target)
{
    char *text = calloc(1, TEXT_BYTES + 4), name[128];
    size_t bytes = 0;
    snprintf(name, sizeof name, "iqn.2026-11.example.scuse:light-%d-%d", (int)getpid(), session->number);
    add_key(text, &bytes, "InitiatorName", name);
    add_key(text, &bytes, "TargetName", target);
    add_key(text, &bytes, "SessionType", "Normal");
    add_key(text, &bytes, "AuthMethod", "None");
    session->initial_r2t = true, session->immediate = false, session->first_burst = 65536, session->segment = 8192;
    for (int stage = 0; stage < 2; stage++) {
        uint8_t *header = add(session, LOGIN_REQUEST | 0x40, text, bytes);
        header[1] = stage == 0 ? 0x81 : 0x87; /* T; from stage 0 to 1, from 1 to 3 */
        put32(header + 8, 0x80000000u | (uint32_t)session->number);
        put32(header + 24, session->cmd_sn);
        put32(header + 28, session->exp_stat_sn);
        send_all(session);
        uint8_t answer[HEADER];
        read_exactly(session->socket, answer, HEADER);
        size_t length = get24(answer + 5);
        if ((answer[0] & 0x3f) != LOGIN_RESPONSE || answer[36] != 0) fail("session %d: login failed with status %02x%02x", session->number, answer[36], answer[37]);
        if (!(answer[1] & 0x80) || length > TEXT_BYTES) fail("session %d: login goes another way than expected", session->number);
        session->exp_stat_sn = get32(answer + 24) + 1;
        session->max_cmd_sn = get32(answer + 32);
        memset(text, 0, TEXT_BYTES);
        read_exactly(session->socket, (uint8_t *)text, padded(length));
        const char *value;
        if ((value = value_of(text, length, "InitialR2T")) != NULL) session->initial_r2t = strcmp(value, "Yes") == 0;
        if ((value = value_of(text, length, "ImmediateData")) != NULL) session->immediate = strcmp(value, "Yes") == 0;
        if ((value = value_of(text, length, "FirstBurstLength")) != NULL) session->first_burst = (unsigned)atoi(value);
        if ((value = value_of(text, length, "MaxRecvDataSegmentLength")) != NULL) session->segment = (unsigned)atoi(value);
        if (stage == 0) {
            memset(text, 0, TEXT_BYTES);
            bytes = 0;
            add_key(text, &bytes, "HeaderDigest", "None");
            add_key(text, &bytes, "DataDigest", "None");
            add_key(text, &bytes, "InitialR2T", "No");
            add_key(text, &bytes, "ImmediateData", "Yes");
            add_key(text, &bytes, "MaxRecvDataSegmentLength", "262144");
            add_key(text, &bytes, "MaxBurstLength", "1048576");
            add_key(text, &bytes, "FirstBurstLength", "262144");
            add_key(text, &bytes, "MaxOutstandingR2T", "1");
            add_key(text, &bytes, "MaxConnections", "1");
            add_key(text, &bytes, "ErrorRecoveryLevel", "0");
            add_key(text, &bytes, "DefaultTime2Wait", "2");
            add_key(text, &bytes, "DefaultTime2Retain", "0");
            add_key(text, &bytes, "DataPDUInOrder", "Yes");
            add_key(text, &bytes, "DataSequenceInOrder", "Yes");
        }
    }
    free(text);
}

/* Sends one command and waits for its status. */
static int run(struct session *session, const uint8_t *cdb, unsigned cdb_bytes, bool out, uint32_t bytes, uint8_t *keep)
{
    session->last_status = -1;
    session->keep = keep, session->keep_bytes = bytes;
    send_command(session, 0, cdb, cdb_bytes, out ? data : NULL, bytes);
    send_all(session);
    while (session->last_status == -1) {
        receive(session);
        send_all(session);
    }
    session->keep = NULL;
    return session->last_status;
}

static void look_at_disk(struct session *session)
{
    uint8_t capacity[32] = { 0 }, ready[6] = { TEST_UNIT_READY }, cdb[16] = { SERVICE_ACTION_IN_16, 0x10 };
    for (int i = 0; run(session, ready, sizeof ready, false, 0, NULL) != 0; i++)
        if (i == 10) fail("session %d: LUN %d is not ready", session->number, session->lun);
    cdb[13] = sizeof capacity;
    if (run(session, cdb, sizeof cdb, false, sizeof capacity, capacity) != 0) fail("session %d: LUN %d does not tell its capacity", session->number, session->lun);
    block_bytes = get32(capacity + 8);
    blocks = ((uint64_t)get32(capacity) << 32 | get32(capacity + 4)) + 1;
    if (block_bytes == 0 || block % block_bytes != 0 || blocks * block_bytes < block) fail("commands of %u bytes do not fit on this disk", block);
}

static void check_data(struct session *session)
{
    uint8_t *back = calloc(1, block), cdb[16] = { WRITE_16 };
    put64(cdb + 2, blocks - block / block_bytes);
    put32(cdb + 10, block / block_bytes);
    if (may_write && run(session, cdb, sizeof cdb, true, block, NULL) != 0) fail("session %d: the last blocks could not be written", session->number);
    cdb[0] = READ_16;
    if (run(session, cdb, sizeof cdb, false, block, back) != 0) fail("session %d: the last blocks could not be read", session->number);
    if (may_write && memcmp(back, data, block) != 0) fail("session %d: what was written did not come back", session->number);
    free(back);
}

/* Fills the whole disk with what word_at says. */
static void fill_disk(struct session *session)
{
    if (blocks * block_bytes > MAX_VERIFIED || blocks * block_bytes % block != 0) fail("a disk of %" PRIu64 " bytes is not one to verify", blocks * block_bytes);
    uint8_t cdb[16] = { WRITE_16 };
    put32(cdb + 10, block / block_bytes);
    for (uint64_t at = 0; at < blocks * block_bytes; at += block) {
        for (uint32_t i = 0; i < block; i += 8) {
            uint64_t word = word_at(at + i);
            memcpy(data + i, &word, 8);
        }
        put64(cdb + 2, at / block_bytes);
        if (run(session, cdb, sizeof cdb, true, block, NULL) != 0) fail("session %d: the disk could not be filled", session->number);
    }
}

static struct session *open_session(int number, const char *address, const char *port, const char *target, int lun)
{
    struct session *session = calloc(1, sizeof *session);
    session->buffer = malloc(RECEIVE_BYTES);
    session->number = number;
    session->lun = lun;
    session->cmd_sn = session->exp_stat_sn = 1;
    session->next_block = next_random() >> 20;
    struct addrinfo *found, hints = { .ai_socktype = SOCK_STREAM };
    int problem = getaddrinfo(address, port, &hints, &found);
    if (problem != 0) fail("%s %s: %s", address, port, gai_strerror(problem));
    session->socket = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (session->socket < 0 || connect(session->socket, found->ai_addr, found->ai_addrlen) != 0) fail("%s %s: %s", address, port, strerror(errno));
    freeaddrinfo(found);
    int on = 1;
    setsockopt(session->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    log_in(session, target);
    look_at_disk(session);
    session->last_status = 0;
    return session;
}

/* ---- the load ---- */

static void turn(struct session *session)
{
    receive(session);
    fill(session);
    send_all(session);
}

static double percentile(double share)
{
    uint64_t wanted = (uint64_t)((double)measured * share), seen = 0;
    for (unsigned us = 0; us <= HISTOGRAM_US; us++)
        if ((seen += histogram[us]) > wanted) return us;
    return HISTOGRAM_US;
}

static unsigned number(const char *option, const char *text, unsigned least, unsigned most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == 0 || *end != 0 || value < least || value > most) {
        fprintf(stderr, "light: %s %s is not from %u to %u\n", option, text, least, most);
        exit(2);
    }
    return (unsigned)value;
}

static bool one_of(const char *option, const char *text, const char *yes, const char *no)
{
    if (strcmp(text, yes) != 0 && strcmp(text, no) != 0) {
        fprintf(stderr, "light: %s is %s or %s\n", option, yes, no);
        exit(2);
    }
    return strcmp(text, yes) == 0;
}

int main(int count, char **words)
{
    if (count < 5 || count % 2 == 0) {
        fprintf(stderr, "usage: light ADDRESS PORT TARGET LUN [OPTION VALUE]...\n");
        return 2;
    }
    for (int i = 5; i < count; i += 2) {
        const char *option = words[i], *value = words[i + 1];
        if (strcmp(option, "--op") == 0 && strcmp(value, "unmap") == 0) unmapping = true;
        else if (strcmp(option, "--op") == 0) writing = one_of(option, value, "write", "read");
        else if (strcmp(option, "--order") == 0) sequential = one_of(option, value, "sequential", "random");
        else if (strcmp(option, "--check") == 0) may_write = one_of(option, value, "yes", "no");
        else if (strcmp(option, "--verify") == 0) verifying = one_of(option, value, "yes", "no");
        else if (strcmp(option, "--tell") == 0) telling = one_of(option, value, "yes", "no");
        else if (strcmp(option, "--block") == 0) block = number(option, value, 512, MAX_BLOCK);
        else if (strcmp(option, "--depth") == 0) depth = number(option, value, 1, MAX_DEPTH);
        else if (strcmp(option, "--sessions") == 0) session_count = number(option, value, 1, MAX_SESSIONS);
        else if (strcmp(option, "--luns") == 0) lun_count = number(option, value, 1, 16384);
        else if (strcmp(option, "--seconds") == 0) seconds = number(option, value, 1, 3600);
        else if (strcmp(option, "--warm") == 0) warm_ms = number(option, value, 0, 60000);
        else if (strcmp(option, "--rate") == 0) rate = number(option, value, 0, 100000000);
        else {
            fprintf(stderr, "light: there is no option %s\n", option);
            return 2;
        }
    }

    if (verifying && (writing || lun_count > 1 || !may_write)) fail("only reads of one disk that may be written to can be verified");

    data = malloc(MAX_BLOCK + 4);
    memset(data + MAX_BLOCK, 0, 4);
    for (size_t i = 0; i < MAX_BLOCK; i += 8) {
        uint64_t value = next_random();
        memcpy(data + i, &value, 8);
    }

    struct session **sessions = calloc(session_count, sizeof *sessions);
    int first_lun = (int)number("LUN", words[4], 0, 16383), epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < session_count; i++) {
        sessions[i] = open_session((int)i, words[1], words[2], words[3], first_lun + (int)(i % lun_count));
        if (verifying && i == 0) fill_disk(sessions[i]);
        if (i < lun_count && !verifying) check_data(sessions[i]);
        sessions[i]->last_status = 0;
        for (unsigned tag = 0; tag < depth; tag++) sessions[i]->idle[sessions[i]->idle_count++] = (uint16_t)tag;
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = sessions[i] };
        epoll_ctl(epoll, EPOLL_CTL_ADD, sessions[i]->socket, &event);
    }

    signal(SIGTERM, end_early);
    if (telling) puts("started"), fflush(stdout);
    uint64_t start = now_ns(), measuring_from = start + warm_ms * 1000000ull, end = measuring_from + seconds * 1000000000ull, began = 0;
    budget_start = start;
    for (unsigned i = 0; i < session_count; i++) {
        fill(sessions[i]);
        send_all(sessions[i]);
    }

    /* The clock is looked at once a turn; a session alone needs no epoll. */
    uint64_t now;
    unsigned under_way = 0;
    do {
        now = now_ns();
        if (!is_measuring && now >= measuring_from && now < end) is_measuring = true, began = now;
        if ((now >= end || is_told_to_end) && !is_over) {
            is_over = true, is_measuring = false;
            end = now;
            if (began == 0) began = now;
        }
        if (session_count == 1 && sessions[0]->under_way > 0) {
            turn(sessions[0]);
        } else {
            struct epoll_event events[MAX_EVENTS];
            int ready = epoll_wait(epoll, events, MAX_EVENTS, rate > 0 && !is_over ? 1 : 1000);
            for (int i = 0; i < ready; i++) turn(events[i].data.ptr);
            for (unsigned i = 0; rate > 0 && !is_over && i < session_count; i++) {
                fill(sessions[i]);
                send_all(sessions[i]);
            }
        }
        under_way = 0;
        for (unsigned i = 0; is_over && i < session_count; i++) under_way += sessions[i]->under_way;
    } while (!is_over || under_way > 0);

    double elapsed = (double)(end - began) / 1e9;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < session_count; i++)
        if (sessions[i]->operations < least) least = sessions[i]->operations;
    uint64_t above[5] = { 0 };
    for (unsigned us = 0; us <= HISTOGRAM_US; us++)
        for (unsigned i = 0; i < 5; i++)
            if (us > 1000u << i) above[i] += histogram[us];
    printf("{\"operations\":%" PRIu64 ",\"seconds\":%.3f,\"p50Us\":%.0f,\"p99Us\":%.0f,\"p999Us\":%.0f,\"maxUs\":%.0f,\"aboveMs\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "],\"slowestSession\":%" PRIu64 ",\"meanSession\":%.1f}\n",
        measured, elapsed, percentile(0.5), percentile(0.99), percentile(0.999), percentile(0.9999999), above[0], above[1], above[2], above[3], above[4], least, (double)measured / session_count);
    return 0;
}
