using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class AllocationTests
{
    const int Commands = 1_000_000;

    [Fact]
    public void A_million_reads_and_a_million_writes_allocate_nothing()
    {
        var server = new DeviceServer(new InstantDevice());
        var buffer = new DataBuffer(new byte[4096]);
        var read = new DeviceCommand(Unit.Hex("28 00 00 00 00 08 00 00 08 00"), DataBuffer.Empty, buffer, CancellationToken.None);
        var write = new DeviceCommand(Unit.Hex("2A 00 00 00 00 08 00 00 08 00"), buffer, DataBuffer.Empty, CancellationToken.None);
        Execute(server, read, 1000);
        Execute(server, write, 1000);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Execute(server, read, Commands);
        Execute(server, write, Commands);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal(0, allocated);
    }

    [Fact]
    public void A_million_checked_transfers_allocate_nothing()
    {
        var server = new DeviceServer(new InstantDevice());
        byte[] cdb = Unit.Hex("88 00 00 00 00 00 00 00 00 08 00 00 00 08 00 00");
        server.TryCheckTransfer(cdb, out _, out _, out _, out _, out _);

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Commands; i++)
        {
            if (!server.TryCheckTransfer(cdb, out _, out _, out _, out _, out _))
            {
                throw new InvalidOperationException("refused");
            }
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    static void Execute(DeviceServer server, in DeviceCommand command, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ValueTask<ScsiResult> task = server.ExecuteAsync(command);
            if (!task.IsCompletedSuccessfully || !task.Result.IsGood)
            {
                throw new InvalidOperationException("the command did not end with GOOD at once");
            }
        }
    }

    sealed class InstantDevice : IBlockDevice
    {
        public BlockDeviceInfo Info { get; } = new() { SizeBytes = 1 << 20, Serial = "instant" };

        public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted) => new(ScsiResult.Good);

        public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted) => new(ScsiResult.Good);

        public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted) => new(ScsiResult.Good);

        public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) => new(ScsiResult.Good);

        public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) => new(ScsiResult.Good);

        public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted) => new(new WorkBuffer(new DataBuffer(new byte[length]), null, null));
    }
}
