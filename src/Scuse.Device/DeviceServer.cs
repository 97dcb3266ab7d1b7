using Scuse.Device.Commands;
using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>
/// What a disk does with a CDB: the device server of SAM-5 clause 4.6, for a direct access block device (SBC-3) on top of an <see cref="IBlockDevice"/>.
/// </summary>
/// <remarks>
/// One serves one logical unit. It may be called by several threads at once, as far as the block device may. An initiator's mistake and a device's
/// failure are results with sense data; an exception that the block device throws goes through to the caller. Reads and writes allocate nothing when the
/// device completes at once.
/// </remarks>
/// <param name="device">The device.</param>
/// <param name="keepsAtomicCommandsApart">
/// Whether the device server itself sees to it that nothing comes between a COMPARE AND WRITE's reading and its writing; false where the caller does, as a
/// logical unit in the engine.
/// </param>
public sealed class DeviceServer(IBlockDevice device, bool keepsAtomicCommandsApart = false)
{
    /// <summary>The most bytes that <see cref="TargetPortDesignators"/> may have.</summary>
    public const int MaxTargetPortDesignatorBytes = 1024;

    /// <summary>The most commands that <see cref="TargetCommands"/> may have.</summary>
    public const int MaxTargetCommands = 64;

    static readonly SupportedCommand ReportLuns =
        new([OperationCode.ReportLuns, 0x00, 0xFF, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x04]);

    readonly AtomicGate? _gate = keepsAtomicCommandsApart ? new AtomicGate() : null;

    // Written by START STOP UNIT, read by every command; each access stands alone.
    volatile bool _isStopped;

    readonly IBlockDevice _device = device;
    readonly WriteThroughDevice _writeThrough = new(device);

    // Each replaced as a whole, by whoever has the turn in Changes; read by every command.
    volatile ModeParameters _mode = ModeParameters.Default;
    volatile DeviceState _saved = DeviceState.Empty;

    // The FORMAT UNIT or SANITIZE that is under way or has failed. Set when commands are kept off, so that each finds it or is over before it.
    volatile MediumWork? _mediumWork;

    readonly ThresholdWatch _thresholds = new();

    // A failure of work that went on after its command was answered. Set by whoever completes that work, taken once by the next command.
    DeferredError? _deferredError;

    /// <summary>The device it serves; while WCE is 0, one whose every change is durable before it is answered.</summary>
    public IBlockDevice Device => WritesThrough ? _writeThrough : _device;

    /// <summary>Whether every write is to be durable before it is answered, as if FUA were set. SBC-3 clause 6.5.5, WCE.</summary>
    public bool WritesThrough => !_mode.WriteCache && _device.Info.Has(BlockDeviceFeatures.Flush);

    /// <summary>Whether answered writes may still be in a volatile cache.</summary>
    internal bool HasVolatileWrites => _mode.WriteCache && _device.Info.Has(BlockDeviceFeatures.Flush) && !_device.Info.Has(BlockDeviceFeatures.ReadOnly);

    /// <summary>Whether START STOP UNIT has stopped the unit: commands that access the medium are then refused with 02/04/02. SBC-3 clause 5.25.</summary>
    public bool IsStopped
    {
        get => _isStopped;
        internal set => _isStopped = value;
    }

    /// <summary>What the Control mode page says now, for those who act by it.</summary>
    public ControlSettings Control
    {
        get => _mode.Control;
        internal set => _mode = _mode with { Control = value };
    }

    /// <summary>Where is kept what is to survive a loss of power; null: nowhere, and commands that want something kept are refused.</summary>
    public IDeviceStateStore? Store { get; set; }

    /// <summary>
    /// Where the device clock has its time from; null: there is none, and REPORT TIMESTAMP and SET TIMESTAMP do not exist. Set before the first command.
    /// </summary>
    public TimeProvider? TimeSource
    {
        get => Clock.Source;
        set => Clock.Source = value;
    }

    /// <summary>
    /// The most that a command takes before it is failed, in seconds; 0: nobody says. REPORT SUPPORTED OPERATION CODES recommends a time-out that is longer than that, except for what
    /// may take as long as it likes.
    /// </summary>
    public uint CommandLimitSeconds { get; set; }

    /// <summary>
    /// Whether initiators are told of the room behind a thin disk that can tell (<see cref="BlockDeviceFeatures.Resources"/>): by the Logical Block Provisioning log page, and by thresholds, so
    /// that <see cref="CheckThresholdsAsync"/> has to be called now and then while <see cref="WatchesThresholds"/>.
    /// </summary>
    public bool TellsResources { get; init; }

    /// <summary>Whether an initiator wants to be told when a threshold is reached.</summary>
    public bool WatchesThresholds => _mode is { ReportsThresholds: true } mode && (mode.AvailableThreshold.IsEnabled || mode.UsedThreshold.IsEnabled);

    /// <summary>The INFORMATION of THIN PROVISIONING SOFT THRESHOLD REACHED: where in the Logical Block Provisioning mode page the threshold stands that was reached last. SBC-5 clause 4.7.3.7.6.</summary>
    public byte ReachedThresholdOffset => _thresholds.ReachedOffset;

    /// <summary>
    /// Looks whether a threshold has been reached that had not been, and if so raises an attention for every I_T nexus. One that was reached is told again when the value has left it meanwhile, or
    /// the unit was reset.
    /// </summary>
    public async ValueTask CheckThresholdsAsync()
    {
        if (WatchesThresholds && HasResources(_device.Info) && await _device.GetResourcesAsync(CancellationToken.None).ConfigureAwait(false) is { } resources
            && _thresholds.Check(_mode, resources))
        {
            RaiseAttention(AdditionalSense.ThinProvisioningSoftThresholdReached, null);
        }
    }

    /// <summary>Whether there is room to tell of.</summary>
    internal bool HasResources(BlockDeviceInfo info) => TellsResources && info.Has(BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Resources);

    /// <summary>How much was read and written: counted here, or by whoever has reads and writes done elsewhere after <see cref="TryCheckTransfer"/>.</summary>
    public IoStatistics Statistics { get; } = new();

    /// <summary>The device clock; runs when <see cref="HasClock"/>.</summary>
    internal DeviceClock Clock { get; } = new();

    /// <summary>Whether there is a clock.</summary>
    internal bool HasClock => Clock.Source is not null;

    /// <summary>What the mode pages say now.</summary>
    internal ModeParameters Mode
    {
        get => _mode;
        set => _mode = value;
    }

    /// <summary>What has been kept.</summary>
    internal DeviceState Saved => _saved;

    /// <summary>What the mode pages say after a loss of power or a reset.</summary>
    internal ModeParameters SavedMode => _saved.Mode ?? ModeParameters.Default;

    /// <summary>Whether anything can be kept.</summary>
    internal bool CanSave => Store is not null;

    /// <summary>The turns of the commands that change <see cref="Mode"/> or <see cref="Saved"/>.</summary>
    internal Turns Changes { get; } = new();

    /// <summary>The FORMAT UNIT or SANITIZE that is under way, or has failed and has not been followed by a better one.</summary>
    internal MediumWork? MediumWork => _mediumWork;

    /// <summary>
    /// Called when a command has changed what all I_T nexuses are to know of, with the additional sense code of the unit attention condition and the
    /// command's <see cref="DeviceCommand.Sender"/>, which is left out. SAM-5 clause 5.14. On the thread that the command goes on on, before it ends.
    /// </summary>
    public Action<ushort, object?>? AttentionRaised { get; set; }

    /// <summary>
    /// Starts work that may call the device for hours, elsewhere than on the thread that commands come on; null where the device never answers at once, so that each of its
    /// answers leaves room for others.
    /// </summary>
    public Action<Action>? StartInBackground { get; init; }

    /// <summary>
    /// Whether the target has a copy manager, which does EXTENDED COPY with this unit: INQUIRY data says so (3PC), and VPD page 8Fh says what it can do. SPC-4 clause 7.8.17.
    /// </summary>
    public bool HasCopyManager { get; init; }

    /// <summary>
    /// Designation descriptors of the target port and its group, ready for the wire: they follow the device server's own in VPD page 83h. SPC-4 clause 7.8.5.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There are more than <see cref="MaxTargetPortDesignatorBytes"/>.</exception>
    public ReadOnlyMemory<byte> TargetPortDesignators
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value.Length, MaxTargetPortDesignatorBytes, nameof(value));
            field = value;
        }
    }

    /// <summary>
    /// Commands that are answered around the device server and that REPORT SUPPORTED OPERATION CODES is to list as well; REPORT LUNS unless set.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There are more than <see cref="MaxTargetCommands"/>.</exception>
    public IReadOnlyList<SupportedCommand> TargetCommands
    {
        get;
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value.Count, MaxTargetCommands, nameof(value));
            field = value;
        }
    } = [ReportLuns];

    /// <summary>
    /// Does one command and tells how it ended. Only whole blocks that the command's buffers have room for are moved; <see cref="ScsiResult.DataInLength"/>
    /// is what the CDB asks for all the same. The command's memory is used until the task completes.
    /// </summary>
    public ValueTask<ScsiResult> ExecuteAsync(DeviceCommand command)
    {
        BlockDeviceInfo info = Device.Info;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        if (!TryAdmit(info, cdb, out CommandEntry entry, out SenseData refusal))
        {
            return new(ScsiResult.Check(refusal));
        }

        if (_gate is not { } gate)
        {
            return entry.Handler(this, info, command);
        }

        return (entry.Needs & (CommandNeeds.Atomic | CommandNeeds.StartsMediumWork)) != 0
            ? gate.RunAloneAsync(this, entry, info, command)
            : gate.RunAsync(this, entry, info, command);
    }

    /// <summary>
    /// Checks a READ or WRITE (6, 10, 12 or 16) as <see cref="ExecuteAsync"/> would, and tells where on the device it goes, without doing it.
    /// </summary>
    /// <param name="cdb">The CDB.</param>
    /// <param name="offsetBytes">Where the transfer starts, in bytes.</param>
    /// <param name="lengthBytes">How many bytes the CDB asks for; zero is no error.</param>
    /// <param name="isWrite">Whether it writes.</param>
    /// <param name="forceUnitAccess">Whether FUA is set, or everything that is written is to be durable at once.</param>
    /// <param name="refusal">When false comes back: how the command ends. 05/20/00 for every other command.</param>
    public bool TryCheckTransfer(
        ReadOnlySpan<byte> cdb, out long offsetBytes, out int lengthBytes, out bool isWrite, out bool forceUnitAccess, out ScsiResult refusal)
    {
        offsetBytes = 0;
        lengthBytes = 0;
        isWrite = false;
        forceUnitAccess = false;
        BlockDeviceInfo info = Device.Info;
        if (!TryAdmit(info, cdb, out _, out SenseData sense))
        {
            refusal = ScsiResult.Check(sense);
            return false;
        }

        if (!BlockTransferCdb.TryParse(cdb, out BlockTransferCdb blocks) || blocks.Kind is not (BlockCommandKind.Read or BlockCommandKind.Write))
        {
            refusal = ScsiResult.Check(SenseData.InvalidOperationCode);
            return false;
        }

        if (!BlockRange.TryLocateTransfer(info, blocks, out BlockRange range, out sense))
        {
            refusal = ScsiResult.Check(sense);
            return false;
        }

        offsetBytes = range.OffsetBytes;
        lengthBytes = (int)range.LengthBytes;
        isWrite = blocks.Kind == BlockCommandKind.Write;
        forceUnitAccess = blocks.Fua || (isWrite && WritesThrough);
        refusal = default;
        return true;
    }

    /// <summary>Has a unit attention condition established for every I_T nexus but that of the command; with a null sender for all.</summary>
    internal void RaiseAttention(ushort code, object? sender) => AttentionRaised?.Invoke(code, sender);

    /// <summary>
    /// Has work on the whole medium begin; from now on other commands are refused. Completes when the work is done, or at once for <paramref name="isImmediate"/>, or
    /// when the command is aborted, which does not end the work: SBC-3 clause 4.11.4.
    /// </summary>
    internal ValueTask<ScsiResult> Begin(MediumWork work, bool isImmediate, CancellationToken aborted)
    {
        _mediumWork = work;

        if (StartInBackground is { } start)
        {
            start(() => _ = RunAsync(work));
        }
        else
        {
            _ = RunAsync(work);
        }

        return isImmediate ? new(ScsiResult.Good) : new(work.WaitAsync(aborted));
    }

    // It is kept that the work has begun before anything is written, and until all is.
    async Task RunAsync(MediumWork work)
    {
        bool wellDone = await KeepAsync(work.Kind).ConfigureAwait(false) && await work.RunAsync().ConfigureAwait(false)
            && await ForgetMediumWorkAsync().ConfigureAwait(false);
        work.End(wellDone);
    }

    /// <summary>The unit is as if there had been no work, or none that failed; false when that cannot be kept, then nothing has changed.</summary>
    internal async ValueTask<bool> ForgetMediumWorkAsync()
    {
        if (!await KeepAsync(null).ConfigureAwait(false))
        {
            return false;
        }

        _mediumWork = null;
        return true;
    }

    async ValueTask<bool> KeepAsync(MediumWorkKind? work)
    {
        if (!CanSave)
        {
            return true;
        }

        await Changes.TakeAsync().ConfigureAwait(false);
        try
        {
            return _saved.MediumWork == work || await SaveAsync(_saved with { MediumWork = work }).ConfigureAwait(false);
        }
        finally
        {
            Changes.End();
        }
    }

    /// <summary>Ends work in the background soon, before the device is closed.</summary>
    public async Task StopBackgroundAsync()
    {
        if (_mediumWork is { HasFailed: false } work)
        {
            work.Stop();
            await work.Completion.ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Whether a command that was admitted and then had to wait for others is still to be done: work on the whole medium may have begun meanwhile. To be asked again
    /// by whoever keeps commands waiting.
    /// </summary>
    internal bool IsStillAdmitted(CommandEntry entry, out SenseData refusal)
    {
        if (_mediumWork is { } work && !work.Admits(entry.Needs))
        {
            refusal = work.Sense;
            return false;
        }

        refusal = default;
        return true;
    }

    /// <summary>Whether a failure of earlier background work waits to be told.</summary>
    internal bool HasDeferredError => Volatile.Read(ref _deferredError) is not null;

    /// <summary>Takes the failure of earlier background work, if there is one.</summary>
    internal SenseData? TakeDeferredError() => Interlocked.Exchange(ref _deferredError, null)?.Sense;

    /// <summary>Keeps a failure of background work for the next command. A second one before that adds nothing the initiator could act on.</summary>
    internal void Defer(SenseData sense) => Volatile.Write(ref _deferredError, new DeferredError(sense with { IsDeferred = true }));

    /// <summary>Puts back what was kept before a loss of power; before the first command comes.</summary>
    public void Restore(DeviceState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        _saved = state;
        _mode = SavedMode;
        if (state.MediumWork is { } kind)
        {
            var interrupted = new MediumWork(_device, kind, []);
            interrupted.End(wellDone: false);
            _mediumWork = interrupted;
        }
    }

    /// <summary>
    /// The logical unit was reset: it is started, and the mode pages say what was saved, or else their default values. SAM-5 clause 6.3.3, SPC-4 clause 6.11.
    /// </summary>
    public void Reset()
    {
        _isStopped = false;
        _mode = SavedMode;
        _thresholds.Reset();
    }

    /// <summary>
    /// Takes note of a MODE SELECT that another device server has done with GOOD: <see cref="Control"/> says what it says there. Where the commands go to a
    /// handler that answers for itself.
    /// </summary>
    /// <param name="cdb">The CDB of the MODE SELECT.</param>
    /// <param name="list">Its parameter list.</param>
    public void FollowModeSelect(ReadOnlySpan<byte> cdb, ReadOnlySpan<byte> list)
    {
        ModeParameters after = ModePages.Follow(list, isTen: cdb[0] == OperationCode.ModeSelect10, new ModeDevice(_device.Info, CanSave, HasResources(_device.Info)), _mode);
        Control = after.Control;
    }

    /// <summary>Keeps a state in place of what was kept before; false when that cannot be done.</summary>
    internal async ValueTask<bool> SaveAsync(DeviceState state)
    {
        if (Store is not { } store || !await store.SaveAsync(state).ConfigureAwait(false))
        {
            return false;
        }

        _saved = state;
        return true;
    }

    // The checks that come before any command's own, in the order of SAM-5 clause 5.14: does it exist, does an earlier error wait, can the medium be accessed.
    bool TryAdmit(BlockDeviceInfo info, ReadOnlySpan<byte> cdb, out CommandEntry entry, out SenseData refusal)
    {
        if (!CommandTable.TryFind(cdb, this, info, out entry, out refusal))
        {
            return false;
        }

        CommandNeeds needs = entry.Needs;
        if (HasDeferredError && (needs & CommandNeeds.IgnoresDeferredErrors) == 0 && TakeDeferredError() is { } earlier)
        {
            refusal = earlier;
            return false;
        }

        if (!IsStillAdmitted(entry, out refusal))
        {
            return false;
        }

        if (_isStopped && (needs & CommandNeeds.Medium) != 0)
        {
            refusal = new SenseData(SenseKey.NotReady, AdditionalSense.InitializingCommandRequired);
            return false;
        }

        if ((needs & CommandNeeds.Writable) != 0 && info.Has(BlockDeviceFeatures.ReadOnly))
        {
            refusal = new SenseData(SenseKey.DataProtect, AdditionalSense.WriteProtected);
            return false;
        }

        if ((needs & CommandNeeds.Writable) != 0 && _mode.Control.SoftwareWriteProtect)
        {
            refusal = new SenseData(SenseKey.DataProtect, AdditionalSense.SoftwareWriteProtected);
            return false;
        }

        return true;
    }

    // A reference, so that it is set and taken in one piece.
    sealed record DeferredError(SenseData Sense);
}
