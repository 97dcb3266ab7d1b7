using Scuse.Engine.Reactors;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Backstores;

/// <summary>
/// The shared region of one attached handler and all that goes with it. Every handler gets a fresh one; it outlives the handler for as long as
/// an answer is still being sent from it.
/// </summary>
/// <remarks>Made by the attach server; from <see cref="UserBackstore.Attach"/> on touched only by the owning reactor.</remarks>
sealed class HandlerLink : IReactorRing, IEventSource
{
    /// <summary>The most commands a handler holds at a time.</summary>
    public const int MaxOutstanding = 1024;

    const MailboxFlags Offered = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength;

    readonly MemFd _memory;
    readonly EventFd _toHandler = EventFd.Create();
    readonly EventFd _toTarget = EventFd.Create();
    readonly RingCommand?[] _outstanding = new RingCommand?[ushort.MaxValue + 1];
    readonly bool _waitFlags;
    UserBackstore? _owner;
    Reactor? _reactor;
    int _registration;
    bool _publishQueued;
    bool _isRetired;

    /// <summary>What the ring can do beyond plain commands, by the attach protocol's names; a handler gets of these what it asks for.</summary>
    public static readonly string[] Abilities = [ReadyMessage.RingWaitFlags, ReadyMessage.RingTaskManagement, ReadyMessage.RingKeepBuffers];

    /// <param name="deviceName">The device, for the memory's name.</param>
    /// <param name="handlerName">What the handler calls itself.</param>
    /// <param name="pid">Its process.</param>
    /// <param name="layout">How the region is laid out.</param>
    /// <param name="abilities">Those of <see cref="Abilities"/> that are in force.</param>
    public HandlerLink(string deviceName, string handlerName, int pid, RingLayout layout, IReadOnlyCollection<string> abilities)
    {
        MailboxFlags flags = Offered
            | (abilities.Contains(ReadyMessage.RingTaskManagement) ? MailboxFlags.TaskManagement : 0)
            | (abilities.Contains(ReadyMessage.RingKeepBuffers) ? MailboxFlags.KeepBuffer : 0);
        HandlerName = handlerName;
        Pid = pid;
        _waitFlags = abilities.Contains(ReadyMessage.RingWaitFlags);
        _memory = MemFd.Create($"scuse-{deviceName}", layout.RegionBytes);
        Region = MappedRegion.Map(_memory.Handle, layout.RegionBytes);
        TargetRing.Format(Region.Address, layout, flags);
        Ring = new TargetRing(Region.Address, layout, flags, MaxOutstanding);
        DataArea = new DataArea(layout);
    }

    public string HandlerName { get; }

    public int Pid { get; }

    public MappedRegion Region { get; }

    public TargetRing Ring { get; }

    public DataArea DataArea { get; }

    /// <summary>How many commands hold blocks of the region.</summary>
    public int Users { get; set; }

    /// <summary>The descriptors a handler needs, in the order the attach protocol says.</summary>
    public Microsoft.Win32.SafeHandles.SafeFileHandle[] Descriptors => [_memory.Handle, _toHandler.Handle, _toTarget.Handle];

    /// <summary>The region's memory as a descriptor of its own, for reading: it outlives the link, and reading what was never touched takes up no memory.</summary>
    public Microsoft.Win32.SafeHandles.SafeFileHandle OpenMemory() =>
        File.OpenHandle($"/proc/self/fd/{_memory.Handle.DangerousGetHandle()}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);

    public int Outstanding => Ring.Outstanding;

    public bool HasAnswers => Ring.HasAnswers;

    /// <summary>The reactor takes the link into service.</summary>
    public void Join(UserBackstore owner, Reactor reactor)
    {
        _owner = owner;
        _reactor = reactor;
        _registration = reactor.Add(_toTarget.Descriptor, EpollEvents.In, this);
        reactor.Add((IReactorRing)this);
    }

    /// <summary>The handler is gone: no more commands, no more answers. The region stays until nobody sends from it.</summary>
    public void Retire()
    {
        _isRetired = true;
        _reactor!.Remove(_registration);
        _reactor.Remove(this);
        Array.Clear(_outstanding);
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
        Region.Dispose();
        _memory.Dispose();
        _toHandler.Dispose();
        _toTarget.Dispose();
    }

    /// <summary>Puts a command into the ring; the handler sees it after the turn's <see cref="Publish"/>.</summary>
    public PostResult TryPost(RingCommand command)
    {
        PostResult result = Ring.TryPost(command.Cdb, command.Blocks.Out, command.Blocks.In, out ushort id);
        if (result == PostResult.Posted)
        {
            command.Id = id;
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
            _reactor!.PublishLater(this);
        }
    }

    public RingCommand Take(ushort id)
    {
        RingCommand command = _outstanding[id]!;
        _outstanding[id] = null;
        return command;
    }

    public void Publish()
    {
        _publishQueued = false;
        if (!_isRetired && Ring.Publish() && Ring.HandlerWantsDoorbell(_waitFlags))
        {
            _toHandler.Signal();
        }
    }

    public bool Reap() => _owner!.Reap(this);

    public void AnnounceSleep() => Ring.AnnounceSleep();

    public void EndSleep() => Ring.EndSleep();

    /// <summary>The handler rang: the next reaping, in this same turn, takes its answers.</summary>
    public void OnEvents(EpollEvents events) => _toTarget.Drain();
}
