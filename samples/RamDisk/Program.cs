using Scuse;

return await Handler.RunAsync(args, device => new RamDisk(device));

sealed class RamDisk(DeviceInfo device) : BlockHandler
{
    readonly byte[] _bytes = new byte[device.SizeBytes];

    public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        into.CopyFrom(_bytes.AsSpan((int)offset, into.Length));
        return ValueTask.CompletedTask;
    }

    public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
    {
        from.CopyTo(_bytes.AsSpan((int)offset, from.Length));
        return ValueTask.CompletedTask;
    }
}
