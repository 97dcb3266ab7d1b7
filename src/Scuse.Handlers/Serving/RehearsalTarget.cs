using Microsoft.Win32.SafeHandles;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Scsi;

namespace Scuse.Serving;

/// <summary>The target of a rehearsal, in this process: attaches one device, has it do a bit of everything, and removes it.</summary>
sealed class RehearsalTarget : IDisposable
{
    internal const string Device = "rehearsal";

    const int TimeoutMs = 5000;
    const int SizeBytes = 1 << 20;
    const int BlockSize = 512;
    const MailboxFlags Flags = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength | MailboxFlags.TaskManagement | MailboxFlags.KeepBuffer;

    static readonly RingLayout s_layout = RingLayout.Create(32 * 1024, SizeBytes);

    readonly SeqPacketSocket _socket;
    readonly MemFd _memory = MemFd.Create(Device, s_layout.RegionBytes);
    readonly EventFd _toHandler = EventFd.Create();
    readonly EventFd _toTarget = EventFd.Create();
    readonly MappedRegion _region;
    readonly TargetRing _ring;

    RehearsalTarget(SeqPacketSocket socket)
    {
        _socket = socket;
        _region = MappedRegion.Map(_memory.Handle, s_layout.RegionBytes);
        TargetRing.Format(_region.Address, s_layout, Flags);
        _ring = new TargetRing(_region.Address, s_layout, Flags);
    }

    /// <summary>Runs it all with the handler at the other end of <paramref name="socket"/>, which is closed at the end.</summary>
    /// <exception cref="InvalidOperationException">The handler does not play along.</exception>
    internal static void Run(SeqPacketSocket socket)
    {
        using RehearsalTarget target = new(socket);
        target.Attach();
        target.MoveData();
        target.AskWhatItIs();
        target.Leave();
    }

    public void Dispose()
    {
        _socket.Dispose();
        _region.Dispose();
        _memory.Dispose();
        _toHandler.Dispose();
        _toTarget.Dispose();
    }

    void Attach()
    {
        Receive();
        Send(new DeviceMessage { Device = Device, SizeBytes = SizeBytes, BlockSize = BlockSize, Serial = "0", Identity = "0" });
        Receive();
        string[] abilities = [ReadyMessage.RingWaitFlags, ReadyMessage.RingTaskManagement, ReadyMessage.RingKeepBuffers];
        SafeFileHandle[] descriptors = [_memory.Handle, _toHandler.Handle, _toTarget.Handle];
        _socket.Send(new RegionMessage { MapBytes = s_layout.RegionBytes, Ring = abilities }.ToBytes(), descriptors);
    }

    /// <summary>What initiators do most, with one piece of memory and with several, awake and asleep.</summary>
    void MoveData()
    {
        Span<byte> cdb = stackalloc byte[16];
        for (int blocks = 1; blocks <= 64; blocks *= 8)
        {
            for (int lba = 0; lba <= 1024; lba += 1024)
            {
                Execute(cdb[..Cdb.WriteWrite16(cdb, (ulong)lba, (uint)blocks)], dataOut: blocks * BlockSize);
                Execute(cdb[..Cdb.WriteRead16(cdb, (ulong)lba, (uint)blocks)], dataIn: blocks * BlockSize);
            }

            Thread.Sleep(1); // past the handler's patience: the next one has to wake it
        }

        Execute(cdb[..Cdb.WriteWrite16(cdb, 0, 1, fua: true)], dataOut: BlockSize);
        Execute(cdb[..Cdb.WriteSynchronizeCache16(cdb)]);
        Execute(cdb[..Cdb.WriteWriteSame16(cdb, 8, 8, unmap: true, ndob: true)]);
        Execute(cdb[..Cdb.WriteWriteSame16(cdb, 16, 8, ndob: true)]);
        Execute([OperationCode.Read10, 0, 0, 0, 0, 0, 0, 0, 8, 0], dataIn: 8 * BlockSize);
        Execute([OperationCode.Write10, 0, 0, 0, 0, 0, 0, 0, 8, 0], dataOut: 8 * BlockSize);

        const int unmapList = 24; // a header and one descriptor: two blocks from LBA 32 on. SBC-3 clause 5.28
        Span<byte> list = _region.Slice(s_layout.DataOffset, unmapList).Span;
        list.Clear();
        (list[1], list[3], list[15], list[19]) = (22, 16, 32, 2);
        Execute(cdb[..Cdb.WriteUnmap10(cdb, unmapList)], dataOut: unmapList);
        _ring.TryPostTaskManagement(RingAbi.TaskManagementLogicalUnitReset, []);
        Execute([OperationCode.TestUnitReady, 0, 0, 0, 0, 0]);
    }

    /// <summary>What a device at pass level <c>all</c> is asked by an initiator that finds it.</summary>
    void AskWhatItIs()
    {
        const int length = 255;
        Execute([OperationCode.Inquiry, 0, 0, 0, length, 0], dataIn: length);
        foreach (byte page in (ReadOnlySpan<byte>)[0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2])
        {
            Execute([OperationCode.Inquiry, 1, page, 0, length, 0], dataIn: length);
        }

        Execute([OperationCode.ReadCapacity10, 0, 0, 0, 0, 0, 0, 0, 0, 0], dataIn: 8);
        Execute([OperationCode.ServiceActionIn16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], dataIn: 32); // READ CAPACITY(16)
        Execute([OperationCode.ModeSense6, 0, 0x3F, 0, length, 0], dataIn: length);
        Execute([OperationCode.RequestSense, 0, 0, 0, length, 0], dataIn: length);
        Execute([0xFF, 0, 0, 0, 0, 0]); // and one that nobody knows: CHECK CONDITION
    }

    void Leave()
    {
        // Nobody sends these in a rehearsal, and reading them is compiled all the same.
        AttachMessage[] rare = [new ReleaseMessage(), new FailedMessage { Message = "" }, new RefusedMessage { Message = "" }, new FreeKeptMessage { Ids = [1] }];
        foreach (AttachMessage message in rare)
        {
            AttachMessage.Parse(message.ToBytes());
        }

        Send(new RemoveMessage());
        _socket.Receive(new byte[1], null, TimeoutMs);
    }

    /// <summary>Has one command done; what the answer is does not matter.</summary>
    void Execute(ReadOnlySpan<byte> cdb, int dataOut = 0, int dataIn = 0)
    {
        // Two pieces that do not touch, as commands get in a busy data area, where there is enough for two.
        int length = dataOut + dataIn;
        int first = length > RingAbi.PageBytes ? RingAbi.PageBytes : length;
        Span<DataExtent> all = [new DataExtent(s_layout.DataOffset, first), new DataExtent(s_layout.DataOffset + (2 * RingAbi.PageBytes), length - first)];
        ReadOnlySpan<DataExtent> used = all[..(length == 0 ? 0 : length == first ? 1 : 2)];
        if (_ring.TryPost(cdb, dataOut > 0 ? used : [], dataOut > 0 ? [] : used, out _) != PostResult.Posted)
        {
            throw new InvalidOperationException("a command found no room");
        }

        if (_ring.Publish() && _ring.HandlerWantsDoorbell(true))
        {
            _toHandler.Signal();
        }

        long deadline = Environment.TickCount64 + TimeoutMs;
        while (!_ring.TryReap(out _))
        {
            if (_ring.Violation is { } violation)
            {
                throw new InvalidOperationException(violation);
            }

            if (Environment.TickCount64 > deadline)
            {
                throw new InvalidOperationException("a command was not answered");
            }

            Processor.Yield();
        }
    }

    void Send(AttachMessage message) => _socket.Send(message.ToBytes());

    void Receive()
    {
        byte[] packet = new byte[AttachMessage.MaxBytes];
        int length = _socket.Receive(packet, null, TimeoutMs);
        if (length <= 0 || AttachMessage.Parse(packet.AsSpan(0, length)) is FailedMessage)
        {
            throw new InvalidOperationException("the stand-in did not open");
        }
    }
}

/// <summary>The disk of a rehearsal where the handler's author gave none: every other command takes its time.</summary>
sealed class RehearsalDisk(DeviceInfo device) : BlockHandler
{
    readonly byte[] _bytes = new byte[device.SizeBytes];
    int _calls;

    public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        into.CopyFrom(_bytes.AsSpan((int)offset, into.Length));
        return AtOnceOrLater();
    }

    public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
    {
        from.CopyTo(_bytes.AsSpan((int)offset, from.Length));
        return AtOnceOrLater();
    }

    public override ValueTask FlushAsync(CancellationToken aborted) => AtOnceOrLater();

    public override ValueTask UnmapAsync(long offset, long length, CancellationToken aborted) => AtOnceOrLater();

    public override ValueTask WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) => AtOnceOrLater();

    ValueTask AtOnceOrLater() => _calls++ % 2 == 0 ? ValueTask.CompletedTask : LaterAsync();

    static async ValueTask LaterAsync() => await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
}

/// <summary>The raw device of a rehearsal where the handler's author gave none.</summary>
sealed class RehearsalDevice : CommandHandler
{
    int _calls;

    public override ValueTask<CommandResult> ExecuteAsync(ScsiCommand command)
    {
        CommandResult result = command.Cdb.Span[0] switch
        {
            OperationCode.TestUnitReady => CommandResult.Good,
            OperationCode.Inquiry => CommandResult.GoodWith(Math.Min(36, command.DataIn.Length)),
            0xFF => CommandResult.UnknownOperation,
            _ => CommandResult.Check(new SenseData(SenseKey.IllegalRequest, AdditionalSense.InvalidOperationCode)),
        };
        return _calls++ % 2 == 0 ? new(result) : LaterAsync(result);
    }

    static async ValueTask<CommandResult> LaterAsync(CommandResult result)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        return result;
    }
}
