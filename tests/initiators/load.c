/*
 * An iSCSI load that knows what must be on the disk, on libiscsi's initiator.
 *
 *   load URL [OPTION VALUE]... [--no-reconnect] [--verify FILE]
 *
 * It keeps a number of commands under way: writes and reads of several sizes over a part of a LUN, and flushes. The part is cut into units of 4096 bytes (or a block, where that
 * is larger). Each unit written holds who wrote it, where, as which write of that unit, and a checksum over all of it. No unit is under two writes at once, or under a write and a
 * read; so a unit must always hold the stamp of its last acknowledged write, or of a later one that was not acknowledged. An older stamp is an acknowledged write that was lost, or
 * undone by one that was repeated too late. Every read checks that, and at the end, after the last command, the whole part is read and checked.
 *
 *   --offset MIB, --size MIB   which part of the LUN (0, 16)
 *   --depth N                  how many commands are under way (32)
 *   --seconds N                for how long; 0: until SIGTERM or SIGINT (0)
 *   --writes PERCENT           of the commands (70)
 *   --flush N                  a flush after so many other commands; 0: none (500)
 *   --seed N                   what decides the order of things (1)
 *   --writer N                 the writer's number in the stamps (1)
 *   --initiator NAME           the initiator's name; writers that run beside each other need different ones
 *   --drain SECONDS            how long to wait for the last commands (60)
 *   --save FILE                write what must be on the disk to a file, before it is checked
 *   --verify FILE              no load: check a disk against such a file; its offset, size and writer count
 *   --flushed                  check only that what had been flushed is there, or something newer
 *   --no-reconnect             a lost connection is the end, and an error; otherwise libiscsi logs in again and repeats what was under way
 *
 * It says "started" when the first command has been answered, and ends with one line of JSON. Exit code: 0 all well, 1 not, 2 a wrong command line.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

enum { MAX_DEPTH = 1024, MAX_UNITS_PER_COMMAND = 32, MAX_KINDS = 32, EXAMPLES = 10, BACK_OFF_MS = 10, WORDS_OF_STAMP = 5 };

static const uint64_t MAGIC = 0x534355534C4F4144; /* "SCUSLOAD" */
static const uint64_t STATE_MAGIC = 0x5343555353544154;

/* ---- options ---- */

static const char *url_text, *save_path, *verify_path, *initiator = "iqn.2026-11.example.scuse:load";
static uint64_t offset_mib = 0, size_mib = 16, seed = 1, writer = 1;
static unsigned depth = 32, seconds = 0, write_percent = 70, flush_every = 500, drain_seconds = 60;
static bool no_reconnect, flushed_only;

/* ---- the disk ---- */

static struct iscsi_context *iscsi;
static int lun;
static uint32_t block_bytes, unit_bytes;
static uint64_t first_unit, units;

/* For each unit: the last write sent, the last acknowledged, and the last that was acknowledged before a flush that was. */
static uint64_t *issued, *acked, *flushed, *flushing;
static uint8_t *writing;
static uint16_t *reading;

/* ---- commands under way ---- */

enum kind { WRITE, READ, FLUSH };

struct slot {
    bool busy;
    enum kind kind;
    uint64_t unit;
    unsigned count;
    int64_t sent, not_before;
    struct scsi_task *task;
    unsigned char *data;
};

static struct slot slots[MAX_DEPTH];
static unsigned under_way;
static bool flush_under_way, lost_connection;
static volatile sig_atomic_t stopping;

/* ---- figures ---- */

static uint64_t done[3], bytes_moved, errors, mismatches, attentions, reconnects, since_flush;
static struct { char what[24]; uint64_t count; } kinds[MAX_KINDS];
static int64_t started, last_good, max_gap, max_gap_at, first_error = -1, last_error = -1, first_good_after_error = -1, error_min = INT64_MAX, error_max;
static double started_unix;
static unsigned examples;

/* Latencies: 16 classes to each power of two of nanoseconds. */
static uint64_t classes[64 * 16], counted;
static int64_t slowest;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

static void complain(const char *what, uint64_t unit, uint64_t found)
{
    if (examples++ < EXAMPLES)
        fprintf(stderr, "unit %" PRIu64 " (byte %" PRIu64 "): %s: found write %" PRIu64 ", acknowledged %" PRIu64 ", sent %" PRIu64 "\n",
                unit, (first_unit + unit) * unit_bytes, what, found, acked[unit], issued[unit]);
}

/* ---- stamps ---- */

static uint64_t checksum(const uint64_t *words, size_t count)
{
    uint64_t sum = 0x6A09E667F3BCC908;
    for (size_t i = 0; i < count; i++)
        sum = ((sum << 7) | (sum >> 57)) * 0x9E3779B97F4A7C15 ^ words[i];
    return sum;
}

static void stamp(unsigned char *at, uint64_t unit, uint64_t sequence)
{
    uint64_t *words = (uint64_t *)at, state = unit * 0x100000001B3 ^ sequence << 32 ^ writer;
    size_t count = unit_bytes / sizeof *words;
    words[0] = MAGIC;
    words[1] = unit;
    words[2] = sequence;
    words[3] = writer;
    for (size_t i = WORDS_OF_STAMP; i < count; i++)
        words[i] = next_random(&state);
    words[4] = checksum(words + WORDS_OF_STAMP, count - WORDS_OF_STAMP) ^ checksum(words, 4);
}

enum verdict { RIGHT, NEWER, NEVER_WRITTEN, LOST, FOREIGN, TORN, VERDICTS };

/* What is in a unit, against what must be. */
static enum verdict judge(const unsigned char *at, uint64_t unit)
{
    const uint64_t *words = (const uint64_t *)at;
    size_t count = unit_bytes / sizeof *words;
    uint64_t least = flushed_only ? flushed[unit] : acked[unit];
    if (words[0] != MAGIC) {
        if (least == 0)
            return NEVER_WRITTEN; /* whatever was there before */
        complain("an acknowledged write is not there, nor any other", unit, 0);
        return LOST;
    }
    if (words[4] != (checksum(words + WORDS_OF_STAMP, count - WORDS_OF_STAMP) ^ checksum(words, 4))) {
        complain("parts of two writes", unit, words[2]);
        return TORN;
    }
    if (words[3] != writer && least == 0)
        return NEVER_WRITTEN; /* an earlier run's */
    if (words[1] != unit || words[3] != writer || words[2] > issued[unit]) {
        complain("another unit's or writer's data", unit, words[2]);
        return FOREIGN;
    }
    if (words[2] < least) {
        complain("an acknowledged write is lost or undone", unit, words[2]);
        return LOST;
    }
    return words[2] == acked[unit] ? RIGHT : NEWER;
}

/* ---- counting ---- */

static void count_latency(int64_t ns)
{
    if (ns > slowest)
        slowest = ns;
    int power = 63 - __builtin_clzll((uint64_t)ns | 16);
    classes[power * 16 + ((uint64_t)ns >> (power - 4) & 15)]++;
    counted++;
}

static double percentile_us(double part)
{
    uint64_t wanted = (uint64_t)(part * counted), seen = 0;
    for (unsigned i = 0; i < sizeof classes / sizeof *classes; i++) {
        seen += classes[i];
        if (classes[i] && seen > wanted) {
            double top = (double)(1ull << (i / 16)) * (1 + (i % 16 + 1) / 16.0);
            return (top < slowest ? top : slowest) / 1000;
        }
    }
    return slowest / 1000.0;
}

static void count_error(const char *what, int64_t now, int64_t latency)
{
    errors++;
    if (first_error < 0)
        first_error = now;
    last_error = now;
    if (latency < error_min)
        error_min = latency;
    if (latency > error_max)
        error_max = latency;
    for (int i = 0; i < MAX_KINDS; i++) {
        if (kinds[i].count == 0)
            snprintf(kinds[i].what, sizeof kinds[i].what, "%s", what);
        if (strcmp(kinds[i].what, what) == 0 || i == MAX_KINDS - 1) {
            kinds[i].count++;
            return;
        }
    }
}

static void count_good(int64_t now)
{
    if (last_good == 0) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        started_unix = t.tv_sec + t.tv_nsec / 1e9;
        puts("started");
        fflush(stdout);
    } else if (now - last_good > max_gap) {
        max_gap = now - last_good;
        max_gap_at = last_good;
    }
    last_good = now;
    if (first_error >= 0 && first_good_after_error < 0)
        first_good_after_error = now;
}

/* ---- commands ---- */

static void release_units(struct slot *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->kind == WRITE)
            writing[s->unit + i] = 0;
        else if (s->kind == READ)
            reading[s->unit + i]--;
    }
}

static void on_good(struct slot *s)
{
    switch (s->kind) {
    case WRITE:
        for (unsigned i = 0; i < s->count; i++)
            acked[s->unit + i] = issued[s->unit + i];
        break;
    case READ:
        if (!s->task->datain.data || s->task->datain.size < (int)(s->count * unit_bytes)) {
            mismatches++;
            complain("less was read than was asked for", s->unit, 0);
            break;
        }
        for (unsigned i = 0; i < s->count; i++)
            if (judge(s->task->datain.data + (size_t)i * unit_bytes, s->unit + i) >= LOST)
                mismatches++;
        break;
    case FLUSH:
        memcpy(flushed, flushing, units * sizeof *flushed);
        break;
    }
    bytes_moved += (uint64_t)s->count * unit_bytes;
    done[s->kind]++;
}

static void on_answer(struct iscsi_context *context, int status, void *data, void *private)
{
    struct slot *s = private;
    int64_t now = now_ns();
    (void)context;
    (void)data;
    if (status == SCSI_STATUS_GOOD) {
        count_latency(now - s->sent);
        count_good(now);
        on_good(s);
    } else if (status == SCSI_STATUS_CHECK_CONDITION && s->task->sense.key == SCSI_SENSE_UNIT_ATTENTION) {
        attentions++; /* it was not executed; another like it follows some time */
    } else {
        char what[24];
        if (status == SCSI_STATUS_CHECK_CONDITION)
            snprintf(what, sizeof what, "%02X/%02X/%02X", (unsigned)s->task->sense.key & 15, (unsigned)s->task->sense.ascq >> 8 & 255, (unsigned)s->task->sense.ascq & 255);
        else
            snprintf(what, sizeof what, "%s", status == SCSI_STATUS_CANCELLED ? "cancelled" : status == SCSI_STATUS_TIMEOUT ? "timeout" : status == SCSI_STATUS_ERROR ? "connection"
                     : status == SCSI_STATUS_BUSY ? "busy" : status == SCSI_STATUS_TASK_SET_FULL ? "task set full" : "status");
        if (status == SCSI_STATUS_ERROR || status == SCSI_STATUS_CANCELLED)
            lost_connection = true;
        count_error(what, now, now - s->sent);
        s->not_before = now + BACK_OFF_MS * 1000000ll;
    }
    release_units(s);
    if (s->kind == FLUSH)
        flush_under_way = false;
    scsi_free_scsi_task(s->task);
    s->task = NULL;
    s->busy = false;
    under_way--;
}

static uint64_t lba_of(uint64_t unit)
{
    return (first_unit + unit) * unit_bytes / block_bytes;
}

/* Whether units are free for a command of this kind. */
static bool are_free(uint64_t unit, unsigned count, enum kind kind)
{
    for (unsigned i = 0; i < count; i++)
        if (writing[unit + i] || (kind == WRITE && reading[unit + i]))
            return false;
    return true;
}

static bool send_command(struct slot *s)
{
    s->sent = now_ns();
    s->busy = true;
    under_way++;
    switch (s->kind) {
    case WRITE:
        for (unsigned i = 0; i < s->count; i++) {
            writing[s->unit + i] = 1;
            stamp(s->data + (size_t)i * unit_bytes, s->unit + i, ++issued[s->unit + i]);
        }
        s->task = iscsi_write16_task(iscsi, lun, lba_of(s->unit), s->data, s->count * unit_bytes, block_bytes, 0, 0, 0, 0, 0, on_answer, s);
        break;
    case READ:
        for (unsigned i = 0; i < s->count; i++)
            reading[s->unit + i]++;
        s->task = iscsi_read16_task(iscsi, lun, lba_of(s->unit), s->count * unit_bytes, block_bytes, 0, 0, 0, 0, 0, on_answer, s);
        break;
    case FLUSH:
        memcpy(flushing, acked, units * sizeof *flushing); /* what is acknowledged by now is what the flush is for */
        flush_under_way = true;
        s->task = iscsi_synchronizecache16_task(iscsi, lun, 0, 0, 0, 0, on_answer, s);
        break;
    }
    if (s->task)
        return true;
    fprintf(stderr, "a command could not be sent: %s\n", iscsi_get_error(iscsi));
    release_units(s);
    s->busy = false;
    under_way--;
    lost_connection = true;
    return false;
}

/* Makes up the next command. False when it cannot be sent now. */
static bool start_command(struct slot *s, uint64_t *random)
{
    static const unsigned sizes[] = { 1, 1, 1, 1, 2, 2, 4, 8, 16, 32 };
    if (flush_every && since_flush >= flush_every && !flush_under_way) {
        since_flush = 0;
        s->kind = FLUSH;
        s->count = 0;
        return send_command(s);
    }
    for (int attempt = 0; attempt < 16; attempt++) {
        uint64_t r = next_random(random);
        s->kind = r % 100 < write_percent ? WRITE : READ;
        s->count = sizes[r / 100 % (sizeof sizes / sizeof *sizes)];
        if (s->count > units)
            s->count = 1;
        s->unit = next_random(random) % (units - s->count + 1);
        if (are_free(s->unit, s->count, s->kind)) {
            since_flush++;
            return send_command(s);
        }
    }
    return false;
}

/* ---- the loop ---- */

static void on_log(int level, const char *message)
{
    (void)level;
    if (strstr(message, "reconnect was successful"))
        reconnects++;
}

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

/* One round: waits for the connection, a tenth of a second at most. False when it is gone for good. */
static bool serve(void)
{
    struct pollfd p = { .fd = iscsi_get_fd(iscsi), .events = (short)iscsi_which_events(iscsi) };
    int ready = p.events == 0 || p.fd < 0 ? (poll(NULL, 0, 100), 0) : poll(&p, 1, 100);
    if (ready < 0 && errno != EINTR)
        return false;
    if (iscsi_service(iscsi, ready > 0 ? p.revents : 0) < 0) {
        if (no_reconnect || under_way == 0)
            return false;
        poll(NULL, 0, 100);
    }
    return !(no_reconnect && lost_connection);
}

static void run_load(void)
{
    uint64_t random = seed * 0x9E3779B97F4A7C15 ^ writer;
    int64_t end = seconds ? now_ns() + seconds * 1000000000ll : INT64_MAX, give_up = INT64_MAX;
    started = now_ns();
    while (true) {
        int64_t now = now_ns();
        if (give_up == INT64_MAX && (stopping || now >= end))
            give_up = now + drain_seconds * 1000000000ll;
        if (give_up == INT64_MAX) {
            for (unsigned i = 0; i < depth; i++)
                if (!slots[i].busy && slots[i].not_before <= now && !start_command(&slots[i], &random))
                    break;
        } else if (under_way == 0) {
            return;
        } else if (now > give_up) {
            count_error("never answered", now, now - started);
            lost_connection = true;
            return;
        }
        if (!serve()) {
            lost_connection = true;
            return;
        }
    }
}

static uint64_t verdicts[VERDICTS], unread;

static void on_checked(struct iscsi_context *context, int status, void *data, void *private)
{
    struct slot *s = private;
    (void)context;
    (void)data;
    if (status == SCSI_STATUS_CHECK_CONDITION && s->task->sense.key == SCSI_SENSE_UNIT_ATTENTION) {
        attentions++;
        s->not_before = -1; /* once more */
    } else if (status != SCSI_STATUS_GOOD || !s->task->datain.data || s->task->datain.size < (int)(s->count * unit_bytes)) {
        unread += s->count;
        fprintf(stderr, "units %" PRIu64 " to %" PRIu64 " cannot be read: status %d, sense %X/%04X\n", s->unit, s->unit + s->count - 1, status, (unsigned)s->task->sense.key,
                (unsigned)s->task->sense.ascq);
    } else {
        for (unsigned i = 0; i < s->count; i++)
            verdicts[judge(s->task->datain.data + (size_t)i * unit_bytes, s->unit + i)]++;
    }
    scsi_free_scsi_task(s->task);
    s->task = NULL;
    s->busy = false;
    under_way--;
}

static void check_all(void)
{
    uint64_t next = 0;
    for (unsigned i = 0; i < depth; i++)
        slots[i].not_before = 0;
    while (next < units || under_way > 0) {
        for (unsigned i = 0; i < depth; i++) {
            struct slot *s = &slots[i];
            if (s->busy || (s->not_before == 0 && next >= units))
                continue;
            if (s->not_before == 0) {
                s->unit = next;
                s->count = units - next < MAX_UNITS_PER_COMMAND ? (unsigned)(units - next) : MAX_UNITS_PER_COMMAND;
                next += s->count;
            }
            s->not_before = 0;
            s->busy = true;
            under_way++;
            s->task = iscsi_read16_task(iscsi, lun, lba_of(s->unit), s->count * unit_bytes, block_bytes, 0, 0, 0, 0, 0, on_checked, s);
            if (!s->task) {
                s->busy = false;
                under_way--;
                unread += s->count;
            }
        }
        if (!serve()) {
            unread += units - next;
            for (unsigned i = 0; i < depth; i++)
                unread += slots[i].busy ? slots[i].count : 0;
            return;
        }
    }
}

/* ---- what must be on the disk, in a file ---- */

static bool save_state(const char *path)
{
    FILE *f = fopen(path, "wb");
    uint64_t head[] = { STATE_MAGIC, offset_mib, units, writer, unit_bytes };
    bool good = f && fwrite(head, sizeof head, 1, f) == 1 && fwrite(issued, sizeof *issued, units, f) == units && fwrite(acked, sizeof *acked, units, f) == units
        && fwrite(flushed, sizeof *flushed, units, f) == units;
    if (f && fclose(f) != 0)
        good = false;
    if (!good)
        fprintf(stderr, "%s cannot be written: %s\n", path, strerror(errno));
    return good;
}

static bool load_state(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint64_t head[5];
    bool good = f && fread(head, sizeof head, 1, f) == 1 && head[0] == STATE_MAGIC && head[2] == units && head[4] == unit_bytes && fread(issued, sizeof *issued, units, f) == units
        && fread(acked, sizeof *acked, units, f) == units && fread(flushed, sizeof *flushed, units, f) == units;
    if (f)
        fclose(f);
    return good;
}

/* The part of the LUN that a saved state is about. */
static bool load_state_head(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint64_t head[5];
    bool good = f && fread(head, sizeof head, 1, f) == 1 && head[0] == STATE_MAGIC;
    if (f)
        fclose(f);
    if (good) {
        offset_mib = head[1];
        size_mib = head[2] * head[4] >> 20;
        writer = head[3];
    }
    return good;
}

/* ---- start and end ---- */

static int usage(const char *what)
{
    fprintf(stderr, "load: %s\nusage: load URL [OPTION VALUE]... ; the options stand at the start of load.c\n", what);
    return 2;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == 0 && *value >= least && *value <= most;
}

static int parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strncmp(name, "--", 2) != 0) {
            if (url_text)
                return usage("there are two URLs");
            url_text = name;
            continue;
        }
        if (strcmp(name, "--no-reconnect") == 0) {
            no_reconnect = true;
            continue;
        }
        if (strcmp(name, "--flushed") == 0) {
            flushed_only = true;
            continue;
        }
        if (i + 1 >= argc)
            return usage("an option without its value, or an unknown one");
        const char *text = argv[++i];
        uint64_t value = 0;
        bool good = true;
        if (strcmp(name, "--initiator") == 0)
            initiator = text;
        else if (strcmp(name, "--save") == 0)
            save_path = text;
        else if (strcmp(name, "--verify") == 0)
            verify_path = text;
        else if (strcmp(name, "--offset") == 0)
            good = parse_number(text, 0, 1ull << 30, &offset_mib);
        else if (strcmp(name, "--size") == 0)
            good = parse_number(text, 1, 1 << 20, &size_mib);
        else if (strcmp(name, "--seed") == 0)
            good = parse_number(text, 0, UINT64_MAX, &seed);
        else if (strcmp(name, "--writer") == 0)
            good = parse_number(text, 1, UINT64_MAX, &writer);
        else if (strcmp(name, "--depth") == 0 && (good = parse_number(text, 1, MAX_DEPTH, &value)))
            depth = (unsigned)value;
        else if (strcmp(name, "--seconds") == 0 && (good = parse_number(text, 0, 1 << 30, &value)))
            seconds = (unsigned)value;
        else if (strcmp(name, "--writes") == 0 && (good = parse_number(text, 0, 100, &value)))
            write_percent = (unsigned)value;
        else if (strcmp(name, "--flush") == 0 && (good = parse_number(text, 0, 1 << 30, &value)))
            flush_every = (unsigned)value;
        else if (strcmp(name, "--drain") == 0 && (good = parse_number(text, 1, 1 << 20, &value)))
            drain_seconds = (unsigned)value;
        else if (good)
            return usage("an unknown option");
        if (!good)
            return usage("a number is wrong");
    }
    return url_text ? 0 : usage("there is no URL");
}

static bool connect_to(const char *text)
{
    struct iscsi_url *url;
    iscsi = iscsi_create_context(initiator);
    if (!iscsi || !(url = iscsi_parse_full_url(iscsi, text))) {
        fprintf(stderr, "%s: %s\n", text, iscsi ? iscsi_get_error(iscsi) : "no memory");
        return false;
    }
    lun = url->lun;
    iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
    iscsi_set_header_digest(iscsi, ISCSI_HEADER_DIGEST_NONE_CRC32C);
    iscsi_set_targetname(iscsi, url->target);
    if (iscsi_full_connect_sync(iscsi, url->portal, lun) != 0) {
        fprintf(stderr, "%s: %s\n", text, iscsi_get_error(iscsi));
        iscsi_destroy_url(url);
        return false;
    }
    iscsi_destroy_url(url);

    struct scsi_task *task = iscsi_readcapacity16_sync(iscsi, lun);
    struct scsi_readcapacity16 *capacity = task && task->status == SCSI_STATUS_GOOD ? scsi_datain_unmarshall(task) : NULL;
    if (!capacity) {
        fprintf(stderr, "%s: no capacity: %s\n", text, iscsi_get_error(iscsi));
        return false;
    }
    block_bytes = capacity->block_length;
    uint64_t mib = (capacity->returned_lba + 1) * block_bytes >> 20;
    scsi_free_scsi_task(task);
    if (offset_mib + size_mib > mib) {
        fprintf(stderr, "%s has %" PRIu64 " MiB, fewer than %" PRIu64 " at %" PRIu64 "\n", text, mib, size_mib, offset_mib);
        return false;
    }
    unit_bytes = block_bytes > 4096 ? block_bytes : 4096;
    first_unit = (offset_mib << 20) / unit_bytes;
    units = (size_mib << 20) / unit_bytes;
    iscsi_set_log_level(iscsi, 10);
    iscsi_set_log_fn(iscsi, on_log);
    iscsi_set_noautoreconnect(iscsi, no_reconnect);
    return true;
}

static double ms(int64_t ns)
{
    return ns / 1e6;
}

static double at_seconds(int64_t when)
{
    return when < 0 ? -1 : (when - started) / 1e9;
}

static void report(double elapsed, bool checked)
{
    printf("{\"seconds\":%.3f,\"startedUnix\":%.6f,\"ops\":%" PRIu64 ",\"writes\":%" PRIu64 ",\"reads\":%" PRIu64 ",\"flushes\":%" PRIu64 ",\"bytes\":%" PRIu64,
           elapsed, started_unix, done[WRITE] + done[READ] + done[FLUSH], done[WRITE], done[READ], done[FLUSH], bytes_moved);
    printf(",\"errors\":%" PRIu64 ",\"errorKinds\":{", errors);
    for (int i = 0; i < MAX_KINDS && kinds[i].count; i++)
        printf("%s\"%s\":%" PRIu64, i ? "," : "", kinds[i].what, kinds[i].count);
    printf("},\"firstErrorAt\":%.3f,\"lastErrorAt\":%.3f,\"firstGoodAfterErrorAt\":%.3f,\"errorMinMs\":%.1f,\"errorMaxMs\":%.1f", at_seconds(first_error), at_seconds(last_error),
           at_seconds(first_good_after_error), errors ? ms(error_min) : 0, ms(error_max));
    printf(",\"mismatches\":%" PRIu64 ",\"attentions\":%" PRIu64 ",\"reconnects\":%" PRIu64 ",\"lostConnection\":%s", mismatches, attentions, reconnects,
           lost_connection ? "true" : "false");
    printf(",\"p50Us\":%.1f,\"p99Us\":%.1f,\"p999Us\":%.1f,\"maxUs\":%.1f,\"maxGapMs\":%.3f,\"maxGapAt\":%.3f", percentile_us(0.5), percentile_us(0.99), percentile_us(0.999),
           slowest / 1000.0, ms(max_gap), at_seconds(max_gap_at));
    printf(",\"checked\":%s,\"right\":%" PRIu64 ",\"newer\":%" PRIu64 ",\"neverWritten\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"foreign\":%" PRIu64 ",\"torn\":%" PRIu64
           ",\"unread\":%" PRIu64 "}\n", checked ? "true" : "false", verdicts[RIGHT], verdicts[NEWER], verdicts[NEVER_WRITTEN], verdicts[LOST], verdicts[FOREIGN], verdicts[TORN], unread);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int wrong = parse(argc, argv);
    if (wrong)
        return wrong;
    if (verify_path && !load_state_head(verify_path))
        return usage("there is no such saved state");
    signal(SIGPIPE, SIG_IGN);
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (!connect_to(url_text))
        return 1;

    issued = calloc(units, sizeof *issued);
    acked = calloc(units, sizeof *acked);
    flushed = calloc(units, sizeof *flushed);
    flushing = calloc(units, sizeof *flushing);
    writing = calloc(units, sizeof *writing);
    reading = calloc(units, sizeof *reading);
    for (unsigned i = 0; i < depth; i++)
        slots[i].data = malloc((size_t)MAX_UNITS_PER_COMMAND * unit_bytes);
    if (!issued || !acked || !flushed || !flushing || !writing || !reading || !slots[depth - 1].data)
        return usage("no memory");

    started = now_ns();
    if (verify_path ? !load_state(verify_path) : (run_load(), save_path && !save_state(save_path)))
        return usage("the state cannot be read or written");
    double elapsed = (now_ns() - started) / 1e9;
    bool checked = !lost_connection;
    if (checked)
        check_all();
    report(elapsed, checked);
    bool good = errors == 0 && mismatches == 0 && !lost_connection && verdicts[LOST] + verdicts[FOREIGN] + verdicts[TORN] + unread == 0;
    if (!lost_connection)
        iscsi_logout_sync(iscsi);
    iscsi_destroy_context(iscsi);
    return good ? 0 : 1;
}
