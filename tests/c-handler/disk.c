/* A RAM disk behind Scuse in plain C: the ring as in docs/ring-abi.md, the socket as in docs/attach-protocol.md.
 *
 *     disk SOCKET DEVICE SIZE_BYTES [BLOCKSIZE [BYTES_PER_SECOND]]
 *
 * SOCKET and DEVICE may be "-": then SCUSE_SOCKET and SCUSE_DEVICE say which. It answers every command at once and
 * in order, knows nothing but the ABI, and so rings the target's doorbell after every batch. With BYTES_PER_SECOND
 * it writes no faster than that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The kernel's header and the C library's both define struct iovec, to the same effect. */
#define iovec tcmu_iovec
#include <linux/target_core_user.h>
#undef iovec

enum { PACKET_BYTES = 16384, PAGE_BYTES = 4096, GOOD = 0x00, CHECK_CONDITION = 0x02 };
enum { ILLEGAL_REQUEST = 0x05 };
enum { PARAMETER_LIST_LENGTH_ERROR = 0x1A00, LBA_OUT_OF_RANGE = 0x2100, INVALID_FIELD_IN_CDB = 0x2400 };

static uint8_t *disk;                       /* what is stored */
static uint64_t disk_bytes, block_bytes = 512, bytes_per_second;
static uint8_t *region;                     /* what is shared with the target */
static uint64_t region_bytes;

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("c-disk: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t big_endian(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | *from++;
    return value;
}

/* ---- The disk ---- */

struct answer { uint8_t status, flags, key; uint16_t asc; };

static const struct answer good = { GOOD, 0, 0, 0 };

static struct answer check(uint8_t key, uint16_t asc)
{
    struct answer a = { CHECK_CONDITION, 0, key, asc };
    return a;
}

static bool in_range(uint64_t lba, uint64_t blocks)
{
    uint64_t all = disk_bytes / block_bytes;
    return lba <= all && blocks <= all - lba;
}

/* Whole pages go back to the system, and read as zeroes when next touched. */
static void zero(uint64_t offset, uint64_t bytes)
{
    uint64_t end = offset + bytes, first = (offset + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1), last = end & ~(uint64_t)(PAGE_BYTES - 1);
    if (first < last && madvise(disk + first, last - first, MADV_DONTNEED) == 0) {
        memset(disk + offset, 0, first - offset);
        memset(disk + last, 0, end - last);
    } else {
        memset(disk + offset, 0, bytes);
    }
}

/* Moves at most so many bytes between the disk and the command's data; returns how many the data holds of them. */
enum direction { TO_DATA, FROM_DATA };
static uint64_t move(enum direction direction, const struct tcmu_iovec *iov, uint32_t count, uint8_t *at, uint64_t bytes)
{
    uint64_t moved = 0;
    for (; count > 0 && moved < bytes; count--, iov++) {
        uint64_t length = iov->iov_len < bytes - moved ? iov->iov_len : bytes - moved;
        uint8_t *data = region + (uintptr_t)iov->iov_base;
        if (direction == TO_DATA)
            memcpy(data, at + moved, length);
        else
            memcpy(at + moved, data, length);
        moved += length;
    }
    return moved;
}

static void take_time(uint64_t bytes)
{
    uint64_t ns = bytes * 1000000000 / bytes_per_second;
    struct timespec time = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
    while (nanosleep(&time, &time) != 0 && errno == EINTR) { }
}

static struct answer unmap(const uint8_t *cdb, const struct tcmu_iovec *iov, uint32_t count)
{
    uint8_t list[65536];                    /* the parameter list's length is a u16. SBC-3 clause 5.28 */
    uint64_t length = move(FROM_DATA, iov, count, list, big_endian(cdb + 7, 2));
    if (length == 0)
        return good;
    if (length < 8)
        return check(ILLEGAL_REQUEST, PARAMETER_LIST_LENGTH_ERROR);
    uint64_t end = 8 + big_endian(list + 2, 2);
    if (end > length)
        end = length;
    for (uint64_t at = 8; at + 16 <= end; at += 16)
        if (!in_range(big_endian(list + at, 8), big_endian(list + at + 8, 4)))
            return check(ILLEGAL_REQUEST, LBA_OUT_OF_RANGE);
    for (uint64_t at = 8; at + 16 <= end; at += 16)
        zero(big_endian(list + at, 8) * block_bytes, big_endian(list + at + 8, 4) * block_bytes);
    return good;
}

static struct answer execute(const uint8_t *cdb, const struct tcmu_iovec *iov, uint32_t count)
{
    static const struct answer unknown = { GOOD, TCMU_UFLAG_UNKNOWN_OP, 0, 0 };
    uint64_t lba, blocks;
    switch (cdb[0]) {
    case 0x08: case 0x0A:                   /* READ(6), WRITE(6): a length of 0 means 256 */
        lba = big_endian(cdb + 1, 3) & 0x1FFFFF;
        blocks = cdb[4] ? cdb[4] : 256;
        break;
    case 0x28: case 0x2A: case 0x35:        /* READ(10), WRITE(10), SYNCHRONIZE CACHE(10) */
        lba = big_endian(cdb + 2, 4);
        blocks = big_endian(cdb + 7, 2);
        break;
    case 0xA8: case 0xAA:                   /* READ(12), WRITE(12) */
        lba = big_endian(cdb + 2, 4);
        blocks = big_endian(cdb + 6, 4);
        break;
    case 0x88: case 0x8A: case 0x91: case 0x93: /* READ(16), WRITE(16), SYNCHRONIZE CACHE(16), WRITE SAME(16) */
        lba = big_endian(cdb + 2, 8);
        blocks = big_endian(cdb + 10, 4);
        break;
    case 0x42:
        return unmap(cdb, iov, count);
    default:
        return unknown;
    }
    if (!in_range(lba, blocks))
        return check(ILLEGAL_REQUEST, LBA_OUT_OF_RANGE);

    uint8_t *at = disk + lba * block_bytes;
    switch (cdb[0]) {
    case 0x08: case 0x28: case 0xA8: case 0x88:
        move(TO_DATA, iov, count, at, blocks * block_bytes);
        return good;
    case 0x0A: case 0x2A: case 0xAA: case 0x8A:
        move(FROM_DATA, iov, count, at, blocks * block_bytes);
        if (bytes_per_second > 0)
            take_time(blocks * block_bytes);
        return good;
    case 0x93:                              /* only with NDOB: no data, so zeroes; 0 blocks means up to the end */
        if (!(cdb[1] & 0x01))
            return check(ILLEGAL_REQUEST, INVALID_FIELD_IN_CDB);
        zero(lba * block_bytes, blocks ? blocks * block_bytes : disk_bytes - lba * block_bytes);
        return good;
    default:                                /* SYNCHRONIZE CACHE: memory is as durable as it gets */
        return good;
    }
}

/* ---- The ring ---- */

static uint32_t *mailbox_word(size_t offset)
{
    return (uint32_t *)(void *)(region + offset);
}

static void map_region(int memfd)
{
    struct stat file;
    if (fstat(memfd, &file) != 0)
        die("fstat of the region: %s", strerror(errno));
    region_bytes = file.st_size;
    region = mmap(NULL, region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (region == MAP_FAILED)
        die("mmap of the region: %s", strerror(errno));
    const struct tcmu_mailbox *mailbox = (void *)region;
    if (region_bytes < sizeof *mailbox || mailbox->version != TCMU_MAILBOX_VERSION)
        die("mailbox version %u, not %d", mailbox->version, TCMU_MAILBOX_VERSION);
    if (mailbox->cmdr_off > region_bytes || mailbox->cmdr_size == 0 || mailbox->cmdr_size > region_bytes - mailbox->cmdr_off)
        die("the command ring is not inside the region");
}

/* Counts, iovecs and CDB lie where the response will: they are used up before a byte of it is written. */
static void serve_command(uint8_t *start, uint32_t length)
{
    struct tcmu_cmd_entry *entry = (void *)start;
    const struct tcmu_iovec *iov = (void *)(start + offsetof(struct tcmu_cmd_entry, req.iov));
    uint32_t data_iovecs = entry->req.iov_cnt;
    uint64_t end = start + length - region, iovecs = (uint64_t)data_iovecs + entry->req.iov_bidi_cnt;
    if (length <= sizeof *entry || sizeof *iov * iovecs > length - offsetof(struct tcmu_cmd_entry, req.iov)
        || entry->req.cdb_off < (uint64_t)(start - region) || entry->req.cdb_off >= end)
        die("command %u does not fit its entry", entry->hdr.cmd_id);
    for (uint32_t i = 0; i < iovecs; i++) {
        uint64_t base = (uintptr_t)iov[i].iov_base;
        if (base > region_bytes || iov[i].iov_len > region_bytes - base)
            die("command %u has data outside the region", entry->hdr.cmd_id);
    }
    uint8_t cdb[16] = { 0 };
    memcpy(cdb, region + entry->req.cdb_off, end - entry->req.cdb_off < sizeof cdb ? end - entry->req.cdb_off : sizeof cdb);

    struct answer a = execute(cdb, iov, data_iovecs);

    entry->hdr.uflags = a.flags;
    memset(&entry->rsp, 0, sizeof entry->rsp);
    entry->rsp.scsi_status = a.status;
    if (a.status == CHECK_CONDITION) {      /* fixed format. SPC-4 clause 4.5.3 */
        uint8_t sense[18] = { 0x70, 0, a.key, 0, 0, 0, 0, 10, 0, 0, 0, 0, a.asc >> 8, a.asc & 0xFF };
        memcpy(entry->rsp.sense_buffer, sense, sizeof sense);
    }
}

/* Serves all there is; returns whether there was anything. */
static bool serve_ring(void)
{
    const struct tcmu_mailbox *mailbox = (void *)region;
    uint8_t *ring = region + mailbox->cmdr_off;
    uint32_t size = mailbox->cmdr_size, tail = mailbox->cmd_tail, head;
    bool any = false;
    /* Acquire: the entries before the head are complete. Pairs with the target's release store. */
    while (tail != (head = __atomic_load_n(mailbox_word(offsetof(struct tcmu_mailbox, cmd_head)), __ATOMIC_ACQUIRE))) {
        struct tcmu_cmd_entry_hdr *header = (void *)(ring + tail);
        if (tail >= size || head >= size)
            die("cmd_tail %" PRIu32 " or cmd_head %" PRIu32 " is outside the ring", tail, head);
        uint32_t length = tcmu_hdr_get_len(header->len_op);
        if (length == 0 || length > size - tail)
            die("an entry of %" PRIu32 " bytes at %" PRIu32, length, tail);
        switch (tcmu_hdr_get_op(header->len_op)) {
        case TCMU_OP_CMD:
            serve_command(ring + tail, length);
            break;
        case TCMU_OP_PAD: case TCMU_OP_TMR: /* nothing is to be aborted: every command is answered at once */
            break;
        default:
            header->uflags |= TCMU_UFLAG_UNKNOWN_OP;
        }
        tail = tail + length == size ? 0 : tail + length;
        /* Release: the response is complete. Pairs with the target's acquire load. */
        __atomic_store_n(mailbox_word(offsetof(struct tcmu_mailbox, cmd_tail)), tail, __ATOMIC_RELEASE);
        any = true;
    }
    return any;
}

/* ---- The socket ---- */

static void send_json(int fd, const char *format, ...)
{
    char packet[PACKET_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(packet, sizeof packet, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= (int)sizeof packet || send(fd, packet, length, MSG_NOSIGNAL) != length)
        die("send: %s", strerror(errno));
}

/* Whether the JSON object's own member "type", not one nested in it or in a string, has this value. */
static bool type_is(const char *json, const char *type)
{
    int depth = 0;
    bool key = false, found = false;
    for (; *json; json++) {
        if (*json == '{' || *json == '[') {
            depth++;
            key = true;
        } else if (*json == '}' || *json == ']') {
            depth--;
        } else if (*json == ',' || *json == ':') {
            key = *json == ',';
        } else if (*json == '"') {
            const char *text = ++json;
            while (*json && *json != '"')
                json += *json == '\\' && json[1] ? 2 : 1;
            if (!*json)
                return false;
            size_t length = json - text;
            if (depth == 1 && key)
                found = length == 4 && memcmp(text, "type", 4) == 0;
            else if (depth == 1 && found)
                return length == strlen(type) && memcmp(text, type, length) == 0;
        }
    }
    return false;
}

/* Receives a packet and the descriptors that come with it; returns false at the end of the connection. */
static bool receive(int fd, char packet[PACKET_BYTES + 1], int fds[3], int *fd_count)
{
    union { char bytes[CMSG_SPACE(3 * sizeof(int))]; struct cmsghdr aligned; } control;
    struct iovec data = { packet, PACKET_BYTES };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    ssize_t length;
    do
        length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length <= 0)
        return false;
    packet[length] = '\0';
    *fd_count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            *fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(c), *fd_count * sizeof(int));
        }
    return true;
}

static void expect(int fd, const char *type, char packet[PACKET_BYTES + 1], int fds[3], int *fd_count)
{
    if (!receive(fd, packet, fds, fd_count))
        die("the target closed the connection before '%s'", type);
    if (!type_is(packet, type))
        die("the target said %s instead of '%s'", packet, type);
}

static const char *given(const char *argument, const char *variable)
{
    const char *value = strcmp(argument, "-") == 0 ? getenv(variable) : argument;
    if (!value || !*value || strpbrk(value, "\"\\\n"))
        die("'%s' is no name that can be used (from %s)", value ? value : "", variable);
    return value;
}

int main(int argc, char **argv)
{
    static char packet[PACKET_BYTES + 1];
    int fds[3], fd_count;
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: %s SOCKET DEVICE SIZE_BYTES [BLOCKSIZE [BYTES_PER_SECOND]]\n", argv[0]);
        return 2;
    }
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = given(argv[1], "SCUSE_SOCKET"), *device = given(argv[2], "SCUSE_DEVICE");
    disk_bytes = strtoull(argv[3], NULL, 10);
    if (argc >= 5)
        block_bytes = strtoull(argv[4], NULL, 10);
    if (argc >= 6)
        bytes_per_second = strtoull(argv[5], NULL, 10);
    if (block_bytes < 512 || disk_bytes == 0 || disk_bytes % block_bytes != 0)
        die("a disk of %" PRIu64 " bytes in blocks of %" PRIu64 " cannot be", disk_bytes, block_bytes);
    disk = mmap(NULL, disk_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (disk == MAP_FAILED)
        die("no memory for %" PRIu64 " bytes: %s", disk_bytes, strerror(errno));
    if (strlen(path) >= sizeof address.sun_path)
        die("the socket's path is too long: %s", path);
    strcpy(address.sun_path, path);

    int control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (control < 0 || connect(control, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect to %s: %s", path, strerror(errno));
    send_json(control, "{\"type\":\"hello\",\"version\":1,\"device\":\"%s\",\"handler\":\"c-disk\"}", device);
    expect(control, "device", packet, fds, &fd_count);
    send_json(control, "{\"type\":\"ready\",\"sizeBytes\":%" PRIu64 ",\"blockSize\":%" PRIu64 ",\"level\":\"io\","
        "\"features\":[\"flush\",\"unmap\",\"writeZeroes\"],\"ring\":[]}", disk_bytes, block_bytes);
    expect(control, "region", packet, fds, &fd_count);
    if (fd_count != 3)
        die("the region came with %d descriptors, not 3", fd_count);
    map_region(fds[0]);
    int doorbell = fds[1], target_doorbell = fds[2];

    /* The first scan is before the first sleep: what was posted meanwhile has rung no bell of ours. */
    for (bool open = true; open;) {
        uint64_t one = 1;
        if (serve_ring() && write(target_doorbell, &one, sizeof one) != sizeof one && errno != EAGAIN)
            die("ringing the target's doorbell: %s", strerror(errno));

        struct pollfd wait[2] = { { control, POLLIN, 0 }, { doorbell, POLLIN, 0 } };
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        /* The doorbell is read before the ring is scanned again: what comes after the scan rings anew. */
        if (wait[1].revents && read(doorbell, &one, sizeof one) < 0 && errno != EAGAIN && errno != EINTR)
            die("reading the doorbell: %s", strerror(errno));
        if (wait[0].revents)
            open = receive(control, packet, fds, &fd_count) && !type_is(packet, "remove");
    }
    uint64_t one = 1;
    if (serve_ring() && write(target_doorbell, &one, sizeof one) < 0)
        return 1;
    return 0;
}
