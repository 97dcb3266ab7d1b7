/*
 * An initiator that changes its persistent reservation without end, each time so that it survives a loss of power (APTPL), on libiscsi's initiator.
 *
 *   reserve URL
 *
 * It logs in, always from the same initiator port, says what it finds there, and then changes its key, reserves with one type and another, and releases. It says on a line
 * of its own what it finds ("found KEY TYPE"), what it asks for ("asked KEY TYPE") and that it was granted ("done KEY TYPE"): the key is 0 when it is not registered, the type
 * when nothing is reserved. Whoever takes the target away reads from that what the target may hold: what was done last, or what was asked for after that.
 *
 * Exit code: 0 when the connection is lost, 1 when something else goes wrong, 2 a wrong command line.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

static struct iscsi_context *iscsi;
static int lun;

static void fail(const char *what)
{
    fprintf(stderr, "reserve: %s: %s\n", what, iscsi_get_error(iscsi));
    exit(1);
}

/* Ends the program when the command was not answered, which is what it is for, or not granted. */
static void check(const struct scsi_task *task, const char *what)
{
    if (!task || task->status == SCSI_STATUS_CANCELLED || task->status == SCSI_STATUS_ERROR) {
        printf("gone\n");
        exit(0);
    }
    if (task->status != SCSI_STATUS_GOOD) {
        fprintf(stderr, "reserve: %s: status %d, sense %x/%04x\n", what, task->status, task->sense.key, task->sense.ascq);
        exit(1);
    }
}

static void log_in(const char *url_text)
{
    struct iscsi_url *url;
    iscsi = iscsi_create_context("iqn.2026-11.example.scuse:reserve");
    if (!iscsi || !(url = iscsi_parse_full_url(iscsi, url_text))) {
        fprintf(stderr, "reserve: %s\n", iscsi ? iscsi_get_error(iscsi) : "no memory");
        exit(2);
    }
    lun = url->lun;
    iscsi_set_isid_random(iscsi, 0x5C05E, 1); /* a registration belongs to the initiator port: the ISID is a part of its name */
    iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
    iscsi_set_targetname(iscsi, url->target);
    iscsi_set_noautoreconnect(iscsi, 1);
    iscsi_set_timeout(iscsi, 20);
    if (iscsi_full_connect_sync(iscsi, url->portal, lun) != 0)
        fail("log in");
    iscsi_destroy_url(url);
}

static struct scsi_task *ask(enum scsi_persistent_in_sa action)
{
    struct scsi_task *task = iscsi_persistent_reserve_in_sync(iscsi, lun, action, 4096);
    check(task, "PERSISTENT RESERVE IN");
    return task;
}

static void find(uint64_t *key, unsigned *type)
{
    struct scsi_task *task = ask(SCSI_PERSISTENT_RESERVE_READ_KEYS);
    struct scsi_persistent_reserve_in_read_keys *keys = scsi_datain_unmarshall(task);
    if (!keys || keys->num_keys > 1)
        fail("READ KEYS shows another's keys");
    *key = keys->num_keys ? keys->keys[0] : 0;
    scsi_free_scsi_task(task);

    task = ask(SCSI_PERSISTENT_RESERVE_READ_RESERVATION);
    struct scsi_persistent_reserve_in_read_reservation *reservation = scsi_datain_unmarshall(task);
    if (!reservation)
        fail("READ RESERVATION");
    *type = reservation->reserved ? reservation->pr_type : 0;
    if (*type && reservation->reservation_key != *key && *type < SCSI_PERSISTENT_RESERVE_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS)
        fail("the reservation has another key than its holder");
    scsi_free_scsi_task(task);
}

static void change(enum scsi_persistent_out_sa action, unsigned type, uint64_t key, uint64_t new_key, unsigned type_after)
{
    struct scsi_persistent_reserve_out_basic parameters = { .reservation_key = key, .service_action_reservation_key = new_key, .aptpl = 1 };
    uint64_t key_after = action == SCSI_PERSISTENT_RESERVE_REGISTER ? new_key : key;
    printf("asked %" PRIu64 " %u\n", key_after, type_after);
    struct scsi_task *task = iscsi_persistent_reserve_out_sync(iscsi, lun, action, SCSI_PERSISTENT_RESERVE_SCOPE_LU, type, &parameters);
    check(task, "PERSISTENT RESERVE OUT");
    scsi_free_scsi_task(task);
    printf("done %" PRIu64 " %u\n", key_after, type_after);
}

int main(int argc, char **argv)
{
    static const unsigned types[] = { 1, 3, 5, 6, 7, 8 };
    uint64_t key;
    unsigned type;
    if (argc != 2) {
        fprintf(stderr, "usage: reserve URL\n");
        return 2;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    log_in(argv[1]);
    find(&key, &type);
    printf("found %" PRIu64 " %u\n", key, type);
    for (unsigned turn = 0;; turn++) {
        change(SCSI_PERSISTENT_RESERVE_REGISTER, 0, key, key + 1, type);
        key++;
        if (type) {
            change(SCSI_PERSISTENT_RESERVE_RELEASE, type, key, 0, 0);
            type = 0;
        } else {
            type = types[(key + turn) % (sizeof types / sizeof *types)];
            change(SCSI_PERSISTENT_RESERVE_RESERVE, type, key, 0, type);
        }
    }
}
