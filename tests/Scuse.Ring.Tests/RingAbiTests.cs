using System.Globalization;
using System.Text;

namespace Scuse.Ring.Tests;

/// <summary>RingAbi against the kernel's own header, as this machine's compiler lays it out.</summary>
public sealed class RingAbiTests
{
    // What C says, and what RingAbi says.
    static readonly (string C, long Expected)[] Facts =
    [
        ("TCMU_MAILBOX_VERSION", RingAbi.MailboxVersion),
        ("sizeof(struct tcmu_mailbox)", RingAbi.MailboxBytes),
        ("offsetof(struct tcmu_mailbox, version)", RingAbi.MailboxVersionOffset),
        ("offsetof(struct tcmu_mailbox, flags)", RingAbi.MailboxFlagsOffset),
        ("offsetof(struct tcmu_mailbox, cmdr_off)", RingAbi.CommandRingOffsetOffset),
        ("offsetof(struct tcmu_mailbox, cmdr_size)", RingAbi.CommandRingSizeOffset),
        ("offsetof(struct tcmu_mailbox, cmd_head)", RingAbi.CommandHeadOffset),
        ("offsetof(struct tcmu_mailbox, cmd_tail)", RingAbi.CommandTailOffset),
        ("TCMU_MAILBOX_FLAG_CAP_OOOC", RingAbi.MailboxFlagOutOfOrder),
        ("TCMU_MAILBOX_FLAG_CAP_READ_LEN", RingAbi.MailboxFlagReadLength),
        ("TCMU_MAILBOX_FLAG_CAP_TMR", RingAbi.MailboxFlagTaskManagement),
        ("TCMU_MAILBOX_FLAG_CAP_KEEP_BUF", RingAbi.MailboxFlagKeepBuffer),
        ("TCMU_MAILBOX_FLAG_CAP_OOOC", (long)MailboxFlags.OutOfOrder),
        ("TCMU_MAILBOX_FLAG_CAP_READ_LEN", (long)MailboxFlags.ReadLength),
        ("TCMU_MAILBOX_FLAG_CAP_TMR", (long)MailboxFlags.TaskManagement),
        ("TCMU_MAILBOX_FLAG_CAP_KEEP_BUF", (long)MailboxFlags.KeepBuffer),
        ("sizeof(struct tcmu_cmd_entry_hdr)", RingAbi.HeaderBytes),
        ("TCMU_OP_ALIGN_SIZE", RingAbi.EntryAlignment),
        ("offsetof(struct tcmu_cmd_entry_hdr, len_op)", RingAbi.LengthAndOperationOffset),
        ("offsetof(struct tcmu_cmd_entry_hdr, cmd_id)", RingAbi.CommandIdOffset),
        ("offsetof(struct tcmu_cmd_entry_hdr, kflags)", RingAbi.TargetFlagsOffset),
        ("offsetof(struct tcmu_cmd_entry_hdr, uflags)", RingAbi.ResponseFlagsOffset),
        ("TCMU_OP_MASK", RingAbi.OperationMask),
        ("TCMU_OP_PAD", RingAbi.OperationPad),
        ("TCMU_OP_CMD", RingAbi.OperationCommand),
        ("TCMU_OP_TMR", RingAbi.OperationTaskManagement),
        ("TCMU_UFLAG_UNKNOWN_OP", RingAbi.ResponseFlagUnknownOperation),
        ("TCMU_UFLAG_READ_LEN", RingAbi.ResponseFlagReadLength),
        ("TCMU_UFLAG_KEEP_BUF", RingAbi.ResponseFlagKeepBuffer),
        ("TCMU_UFLAG_UNKNOWN_OP", (long)ResponseFlags.UnknownOp),
        ("TCMU_UFLAG_READ_LEN", (long)ResponseFlags.ReadLength),
        ("TCMU_UFLAG_KEEP_BUF", (long)ResponseFlags.KeepBuffer),
        ("sizeof(struct tcmu_cmd_entry)", RingAbi.CommandEntryBytes),
        ("offsetof(struct tcmu_cmd_entry, req.iov_cnt)", RingAbi.IovecCountOffset),
        ("offsetof(struct tcmu_cmd_entry, req.iov_bidi_cnt)", RingAbi.BidirectionalIovecCountOffset),
        ("offsetof(struct tcmu_cmd_entry, req.iov_dif_cnt)", RingAbi.ProtectionIovecCountOffset),
        ("offsetof(struct tcmu_cmd_entry, req.cdb_off)", RingAbi.CdbOffsetOffset),
        ("offsetof(struct tcmu_cmd_entry, req.iov)", RingAbi.IovecsOffset),
        ("sizeof(struct iovec)", RingAbi.IovecBytes),
        ("offsetof(struct iovec, iov_base)", RingAbi.IovecBaseOffset),
        ("offsetof(struct iovec, iov_len)", RingAbi.IovecLengthOffset),
        ("offsetof(struct tcmu_cmd_entry, rsp.scsi_status)", RingAbi.StatusOffset),
        ("offsetof(struct tcmu_cmd_entry, rsp.read_len)", RingAbi.ReadLengthOffset),
        ("offsetof(struct tcmu_cmd_entry, rsp.sense_buffer)", RingAbi.SenseOffset),
        ("TCMU_SENSE_BUFFERSIZE", RingAbi.SenseBytes),
        ("sizeof(struct tcmu_tmr_entry)", RingAbi.TaskManagementEntryBytes),
        ("offsetof(struct tcmu_tmr_entry, tmr_type)", RingAbi.TaskManagementTypeOffset),
        ("offsetof(struct tcmu_tmr_entry, cmd_cnt)", RingAbi.TaskManagementCountOffset),
        ("offsetof(struct tcmu_tmr_entry, cmd_ids)", RingAbi.TaskManagementIdsOffset),
        ("TCMU_TMR_UNKNOWN", RingAbi.TaskManagementUnknown),
        ("TCMU_TMR_ABORT_TASK", RingAbi.TaskManagementAbortTask),
        ("TCMU_TMR_ABORT_TASK_SET", RingAbi.TaskManagementAbortTaskSet),
        ("TCMU_TMR_CLEAR_ACA", RingAbi.TaskManagementClearAca),
        ("TCMU_TMR_CLEAR_TASK_SET", RingAbi.TaskManagementClearTaskSet),
        ("TCMU_TMR_LUN_RESET", RingAbi.TaskManagementLogicalUnitReset),
        ("TCMU_TMR_TARGET_WARM_RESET", RingAbi.TaskManagementTargetWarmReset),
        ("TCMU_TMR_TARGET_COLD_RESET", RingAbi.TaskManagementTargetColdReset),
        ("TCMU_TMR_LUN_RESET_PRO", RingAbi.TaskManagementPreemptAndAbort),
    ];

    [Fact]
    public void Every_offset_size_and_flag_is_the_kernel_headers()
    {
        CCompiler.SkipIfMissing();
        using var directory = new TemporaryDirectory();
        var source = new StringBuilder("#include <stddef.h>\n#include <stdio.h>\n#include <linux/target_core_user.h>\nint main(void) {\n");
        foreach (var (c, _) in Facts)
            source.Append(CultureInfo.InvariantCulture, $"printf(\"%s %ld\\n\", \"{c}\", (long)({c}));\n");
        File.WriteAllText(directory.File("facts.c"), source.Append("return 0; }\n").ToString());

        CCompiler.Run("gcc", "-o", directory.File("facts"), directory.File("facts.c"));
        var lines = CCompiler.Run(directory.File("facts"));

        Assert.Equal(string.Concat(Facts.Select(f => $"{f.C} {f.Expected}\n")), lines);
    }
}
