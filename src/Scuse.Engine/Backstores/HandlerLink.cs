using Scuse.Engine.Reactors;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Backstores;

/// <summary>
/// A shared region of one attached handler and all that goes with it. Every handler gets fresh ones, one or several; a region outlives the handler for as long as
/// an answer is still being sent from it.
/// </summary>
/// <remarks>Made by the attach server; from <see cref="Join"/> on touched only by the owning reactor.</remarks>
sealed class HandlerLink : IReactorRing, IDisposable, IGuardedSignal
{
    /// <summary>The most commands a handler holds at a time.</summary>
    public const int MaxOutstanding = 1024;

    const int FirstOutstanding = 32;

    // Unmapping more than this takes the kernel longer than a reactor may stand still.
    const long SlowToUnmapBytes = 16 << 20;

    const MailboxFlags Offered = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength;

    readonly MemFd _memory;
    readonly EventFd _toHandler = EventFd.Create();
    readonly Doorbell _toTarget = new();
    readonly bool _waitFlags;
    RingCommand?[] _outstanding = new RingCommand?[FirstOutstanding]; // by id; ids are used from 1 up, so it covers those used so far
    UserBackstore? _owner;
    Reactor? _reactor;
    bool _publishQueued;
    bool _isRetired;

    /// <summary>What the ring can do beyond plain commands, by the attach protocol's names; a handler gets of these what it asks for.</summary>
    public static readonly string[] Abilities = [ReadyMessage.RingWaitFlags, ReadyMessage.RingTaskManagement, ReadyMessage.RingKeepBuffers, ReadyMessage.RingOwnMemory, ReadyMessage.RingServiceTimes];

    /// <param name="deviceName">The device, for the memory's name.</param>
    /// <param name="handlerName">What the handler calls itself.</param>
    /// <param name="pid">Its process.</param>
    /// <param name="layout">How the region is laid out.</param>
    /// <param name="abilities">Those of <see cref="Abilities"/> that are in force.</param>
    /// <param name="ownMemory">A share in the handler's own memory, the link's from now on; null without <see cref="ReadyMessage.RingOwnMemory"/>.</param>
    /// <param name="index">Which of the handler's regions for the device it is, counted from 0.</param>
    public HandlerLink(string deviceName, string handlerName, int pid, RingLayout layout, IReadOnlyCollection<string> abilities, HandlerMemory? ownMemory = null, int index = 0)
    {
        MailboxFlags flags = Offered
            | (abilities.Contains(ReadyMessage.RingTaskManagement) ? MailboxFlags.TaskManagement : 0)
            | (abilities.Contains(ReadyMessage.RingKeepBuffers) ? MailboxFlags.KeepBuffer : 0);
        HandlerName = handlerName;
        Pid = pid;
        Index = index;
        _waitFlags = abilities.Contains(ReadyMessage.RingWaitFlags);
        _memory = MemFd.Create($"scuse-{deviceName}", layout.RegionBytes);
        Region = MappedRegion.Map(_memory.Handle, layout.RegionBytes);
        TargetRing.Format(Region.Address, layout, flags);
        Ring = new TargetRing(Region.Address, layout, flags, MaxOutstanding) { OwnMemoryBytes = ownMemory?.Bytes ?? 0, TellsServiceTimes = abilities.Contains(ReadyMessage.RingServiceTimes) };
        OwnMemory = ownMemory;
        Memory = new RegionMemory(layout, _memory, Region, Ring);
    }

    public string HandlerName { get; }

    public int Pid { get; }

    /// <summary>Which of the handler's regions for the device it is, counted from 0.</summary>
    public int Index { get; }

    public MappedRegion Region { get; }

    public TargetRing Ring { get; }

    /// <summary>The region's blocks, and its share of the engine's memory.</summary>
    public RegionMemory Memory { get; }

    /// <summary>The handler's own memory, which its answers may point into, whichever ring they come by; null when it has passed none.</summary>
    public HandlerMemory? OwnMemory { get; }

    /// <summary>Which blocks are in use, to look at.</summary>
    public DataArea DataArea => Memory.Area;

    /// <summary>How many commands hold blocks of the region.</summary>
    public int Users { get; set; }

    /// <summary>The descriptors a handler needs, in the order the attach protocol says.</summary>
    public Microsoft.Win32.SafeHandles.SafeFileHandle[] Descriptors => [_memory.Handle, _toHandler.Handle, _toTarget.Handle];

    /// <summary>The region's memory as a descriptor of its own, for reading: it outlives the link, and reading what was never touched takes up no memory.</summary>
    public Microsoft.Win32.SafeHandles.SafeFileHandle OpenMemory() =>
        File.OpenHandle($"/proc/self/fd/{_memory.Handle.DangerousGetHandle()}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);

    public int Outstanding => Ring.Outstanding;

    public bool HasAnswers => Ring.HasAnswers;

    public bool IsWatched { get; set; }

    /// <summary>The reactor takes the link into service.</summary>
    /// <param name="owner">Whose commands it carries.</param>
    /// <param name="reactor">Where.</param>
    /// <param name="memory">What its region's memory is a share of.</param>
    public void Join(UserBackstore owner, Reactor reactor, DataMemory memory)
    {
        _owner = owner;
        _reactor = reactor;
        Memory.Join(memory, keepsApart: !owner.Options.AllowStaleDataIn, owner.MemoryIsThere);
        _toTarget.Join(reactor, $"{owner.Name}: handler {HandlerName} (pid {Pid})");
    }

    /// <summary>The handler is gone: no more commands, no more answers. The region stays until nobody sends from it.</summary>
    public void Retire()
    {
        _isRetired = true;
        _toTarget.Leave();
        _reactor!.Remove(this);
        Array.Clear(_outstanding);
        Memory.Retire();
        DisposeWhenUnused();
    }

    public void Release()
    {
        Users--;
        DisposeWhenUnused();
    }

    void DisposeWhenUnused()
    {
        if (_isRetired && Users == 0)
        {
            Dispose();
        }
    }

    /// <summary>Gives everything back; for a link that never came into service as well.</summary>
    public void Dispose()
    {
        bool isSlow = Memory.HeldBytes + (OwnMemory?.Bytes ?? 0) > SlowToUnmapBytes;
        Memory.Leave();
        if (isSlow)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static link => link.Unmap(), this, preferLocal: false);
        }
        else
        {
            Unmap();
        }

        _toHandler.Dispose();
        _toTarget.Dispose();
    }

    void Unmap()
    {
        Region.Dispose();
        _memory.Dispose();
        OwnMemory?.Dispose();
    }

    /// <summary>Puts a command into the ring; the handler sees it after the turn's <see cref="Publish"/>.</summary>
    public PostResult TryPost(RingCommand command)
    {
        PostResult result = Ring.TryPost(command.Cdb, command.Blocks.Out, command.Blocks.In, out ushort id);
        if (result == PostResult.Posted)
        {
            command.Id = id;
            if (id >= _outstanding.Length)
            {
                Array.Resize(ref _outstanding, Math.Min(Math.Max(id + 1, _outstanding.Length * 2), MaxOutstanding + 1));
            }

            _outstanding[id] = command;
            PublishLater();
        }

        return result;
    }

    /// <summary>
    /// Tells a handler that wants to know that commands are aborted. It is only a hint: the handler answers each of them all the same, and when the ring
    /// has no room, it goes without.
    /// </summary>
    /// <param name="type">Why: one of the TaskManagement constants of <see cref="RingAbi"/>.</param>
    /// <param name="ids">The commands that the handler has.</param>
    public void TellTaskManagement(byte type, ReadOnlySpan<ushort> ids)
    {
        // Without commands nobody cleans up behind notices: they leave most of the ring to commands.
        if (Ring.CommandRingBytesInUse < Ring.Layout.CommandRingBytes / 4 && Ring.TryPostTaskManagement(type, ids))
        {
            PublishLater();
        }
    }

    void PublishLater()
    {
        if (!_publishQueued)
        {
            _publishQueued = true;
            Memory.TouchRing();
            _reactor!.PublishLater(this);
        }
    }

    public RingCommand Take(ushort id)
    {
        RingCommand command = _outstanding[id]!;
        _outstanding[id] = null;
        _toTarget.CountAnswer();
        return command;
    }

    public void Publish()
    {
        _publishQueued = false;
        if (!_isRetired && Ring.Publish() && Ring.HandlerWantsDoorbell(_waitFlags))
        {
            _reactor!.SignalGuard.Enter(this);
            _toHandler.Signal();
            _reactor.SignalGuard.Leave();
        }
    }

    bool IGuardedSignal.IsBlocked => _toHandler.IsFull;

    /// <summary>The handler made its doorbell wait: it is read empty, which lets the reactor go on, and the handler is given up.</summary>
    void IGuardedSignal.Unblock()
    {
        _reactor!.Post(() => _owner!.GiveUpLiar(this, "it made its doorbell wait"));
        _toHandler.Drain();
    }

    public int Reap() => _owner!.Reap(this);

    public void AnnounceSleep() => Ring.AnnounceSleep();

    public void EndSleep() => Ring.EndSleep();
}
