using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>REQUEST SENSE where the target core has something to report. SPC-4 clause 6.39.</summary>
static class PendingSense
{
    const int DescriptorOffset = 1;
    const int AllocationLengthOffset = 4;

    public static ScsiResult Execute(ReadOnlySpan<byte> cdb, SenseData sense, DataBuffer dataIn)
    {
        Span<byte> response = stackalloc byte[64];
        bool descriptor = (cdb[DescriptorOffset] & 1) != 0;
        int full = descriptor ? sense.WriteDescriptor(response) : sense.WriteFixed(response);
        int length = Math.Min(full, cdb[AllocationLengthOffset]);
        dataIn.CopyFrom(response[..Math.Min(length, dataIn.Length)]);
        return ScsiResult.GoodWith(length);
    }
}
