using System.Runtime.InteropServices;
using Scuse.Device;
using Scuse.Fuzz.Running;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Fuzz.Targets;

/// <summary>A target with a logical unit of each kind, and initiators that send what they are told to. What comes back is checked and written down.</summary>
/// <param name="poison">What memory holds that nobody has written yet. Nothing that an initiator sees may hang on it.</param>
sealed class CommandWorld : ITaskTransport
{
    const int MaxOpen = 48;
    const int MaxSteps = 100_000;

    readonly byte _poison;
    readonly FuzzDisk[] _disks;
    readonly ScsiTarget _target;
    readonly Nexus[] _nexuses = new Nexus[3];
    readonly Dictionary<ScsiTask, byte[]> _open = [];
    readonly List<ScsiTask> _wanted = [];
    readonly HashSet<TaskManagementRequest> _managing = [];
    readonly Nexus _watcher;
    readonly byte[][] _identities;
    byte[] _parameters = [];
    byte[] _token = [0xFF, 0xFF, 0x00, 0x01, 0x00, 0x00, 0x01, 0xF8, .. new byte[504]]; // the block device zero ROD token
    long _nowMs;
    ScsiStatus _lastStatus;
    byte[] _lastData = [];

    public CommandWorld(byte poison)
    {
        _poison = poison;
        _disks =
        [
            Disk(PassLevel.Io, 64, 512, BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.WriteZeroes | BlockDeviceFeatures.Resources),
            Disk(PassLevel.All, 64, 512, BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.WriteZeroes),
            Disk(PassLevel.Io, 16, 4096, BlockDeviceFeatures.ReadOnly),
            Disk(PassLevel.Io, 16, 4096, BlockDeviceFeatures.None),
        ];
        _target = new ScsiTarget("iqn.2026-11.example:fuzz", [.. _disks.Select(static (disk, number) => new LogicalUnit(number, disk))])
        {
            Randomness = new NoRandomness(), // the same input does the same again
        };
        foreach (LogicalUnit unit in _target.LogicalUnits)
        {
            unit.Reservations.Store = new Keeper();
            unit.Backstore.DeviceServer.TargetCommands = TargetCommands.All;
        }

        for (int i = 0; i < _nexuses.Length; i++)
        {
            _nexuses[i] = Attach(i);
        }

        _watcher = Attach(9);
        _identities = [.. Enumerable.Range(0, _disks.Length).Select(Inquire)];
    }

    /// <summary>Every answer so far, byte for byte, in their order.</summary>
    public List<byte> Told { get; } = [];

    /// <summary>What is on all disks.</summary>
    public IEnumerable<byte[]> Media => _disks.Select(static disk => disk.Medium.ToArray());

    public long Completed { get; private set; }

    public long Good { get; private set; }

    /// <summary>What the last command came to, as a number that tells different outcomes apart.</summary>
    public ulong Outcome { get; private set; }

    /// <summary>How many logical units there are.</summary>
    public int Units => _disks.Length;

    FuzzDisk Disk(PassLevel level, int blocks, int blockSize, BlockDeviceFeatures features) => new(
        level,
        new BlockDeviceInfo { SizeBytes = (long)blocks * blockSize, BlockSize = blockSize, Features = features, Serial = $"fuzz-{level}-{blockSize}-{(int)features}", MaxTransferBytes = 1 << 20 },
        _poison);

    Nexus Attach(int number) => _target.Attach($"iqn.2026-11.example:i{number},i,0x00000000000{number}");

    // ---- what inputs ask for ----

    public void BeLate(bool isLate) => Array.ForEach(_disks, disk => disk.IsLate = isLate);

    /// <summary>
    /// A command. Before it, one whose data has filled the memory that the next will get: what a command leaves of that must not be seen.
    /// </summary>
    public void Send(int nexus, ulong lun, TaskAttribute attribute, ReadOnlySpan<byte> cdb, ReadOnlySpan<byte> parameters, int expectedOut, int expectedIn)
    {
        if (_open.Count >= MaxOpen)
        {
            Settle();
        }

        _parameters = [_poison];
        Begin(_nexuses[nexus], 0, TaskAttribute.Simple, [0xC1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4096, 0);
        _parameters = parameters.ToArray();
        Begin(_nexuses[nexus], lun, attribute, cdb, expectedOut, expectedIn);
    }

    void Begin(Nexus nexus, ulong lun, TaskAttribute attribute, ReadOnlySpan<byte> cdb, int expectedOut, int expectedIn)
    {
        ScsiTask task = _target.Rent();
        task.Transport = this;
        task.Nexus = nexus;
        task.Lun = lun;
        task.Attribute = attribute;
        task.ExpectedDataOut = expectedOut;
        task.ExpectedDataIn = expectedIn;
        task.SetCdb(cdb);
        _open.Add(task, _parameters);
        _target.Begin(task);
    }

    public void Manage(int nexus, ulong lun, byte function, int referenced)
    {
        var request = new TaskManagementRequest
        {
            Nexus = _nexuses[nexus],
            Transport = this,
            Function = (TaskManagementFunction)function,
            Lun = lun,
            Referenced = _open.Count > 0 ? _open.Keys.ElementAt(referenced % _open.Count) : null,
        };
        _managing.Add(request);
        _target.Manage(request);
    }

    public void LoseNexus(int nexus)
    {
        Nexus lost = _nexuses[nexus];
        foreach (ScsiTask task in _open.Keys.Where(task => task.Nexus == lost).ToArray())
        {
            Forget(task);
        }

        _target.Detach(lost);

        _managing.RemoveWhere(request => request.Nexus == lost);
        _nexuses[nexus] = Attach(nexus);
    }

    public void Wait(int milliseconds)
    {
        _nowMs += milliseconds;
        _target.Tick(_nowMs);
    }

    // ---- what the target says ----

    public void OnDataOutWanted(ScsiTask task) => _wanted.Add(task);

    public void OnCompleted(ScsiTask task)
    {
        Require(Forget(task), "a command was answered that was not sent, or twice");
        Check(task);
        Completed++;
        _lastStatus = task.Status;
        int length = Math.Min(Math.Min(task.DataInLength, task.ExpectedDataIn), task.DataIn.Length);
        Require(task.Status != ScsiStatus.Good || Math.Min(task.DataInLength, task.ExpectedDataIn) <= task.DataIn.Length, "there is less Data-In than is said");
        _lastData = new byte[Math.Max(0, length)];
        task.DataIn.Slice(0, _lastData.Length).CopyTo(_lastData);
        KeepToken(task);
        Told.Add((byte)task.Status);
        Told.AddRange(task.Sense);
        Told.AddRange(_lastData);
        Good += task.Status == ScsiStatus.Good ? 1 : 0;
        SenseData sense = SenseData.Parse(task.Sense);
        Outcome = task.Cdb.IsEmpty ? 0 : task.Cdb[0] | ((ulong)(task.Cdb.Length > 1 ? task.Cdb[1] & 0x1F : 0) << 8) | ((ulong)task.Status << 16) | ((ulong)sense.Key << 24) | ((ulong)sense.Code << 28)
            | ((ulong)(sense.FieldPointer ?? 0xFFF) << 44);
        task.Release();
    }

    /// <summary>A token that RECEIVE ROD TOKEN INFORMATION has told stands at the end of its data.</summary>
    void KeepToken(ScsiTask task)
    {
        const int least = 36;
        if (task.Cdb.Length > 1 && task.Cdb[0] == OperationCode.ThirdPartyCopyIn && (task.Cdb[1] & ServiceAction.Mask) == ServiceAction.RodTokenInformation
            && _lastData.Length > least + _token.Length)
        {
            _token = _lastData[^_token.Length..];
        }
    }

    public void OnAborted(ScsiTask task) => Require(Forget(task), "a command was aborted that was not under way");

    bool Forget(ScsiTask task)
    {
        _wanted.Remove(task);
        return _open.Remove(task);
    }

    public void OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response)
    {
        Require(_managing.Remove(request), "a function was answered twice");
        Told.Add((byte)response);
    }

    static void Check(ScsiTask task)
    {
        Require(Enum.IsDefined(task.Status), $"status {(byte)task.Status:X2} is none");
        Require(task.DataInLength >= 0, "less than no data");
        Require(task.Status == ScsiStatus.CheckCondition == task.SenseLength > 0, "sense data and status do not fit");
        if (task.SenseLength == 0)
        {
            return;
        }

        Require(task.SenseLength >= 8 && (task.Sense[0] & 0x7F) is >= 0x70 and <= 0x73, "no sense data");
        Require(task.Sense[7] + 8 == task.SenseLength, "sense data of another length than it says");
        SenseData sense = SenseData.Parse(task.Sense);
        Require(sense.Key is not (SenseKey.NoSense or SenseKey.HardwareError), $"{sense} for what only an initiator did");
        Require(sense is not { FieldPointer: { } at, FieldIsInCdb: true } || at < Math.Max(1, task.Cdb.Length), $"{sense} points at byte {sense.FieldPointer} of {task.Cdb.Length}");
    }

    // ---- at rest ----

    /// <summary>Lets everything come to its end, and looks whether the units are as they should be.</summary>
    public void Settle()
    {
        for (int steps = 0; Step() || MayGoOn(); steps++)
        {
            Require(steps < MaxSteps, "it does not come to rest");
        }

        Require(_open.Count == 0, $"{_open.Count} commands were never answered");
        Require(_managing.Count == 0, $"{_managing.Count} functions were never answered");
        foreach (LogicalUnit unit in _target.LogicalUnits)
        {
            Require(unit.TaskCount == 0, $"LUN {unit.Number} has {unit.TaskCount} tasks left");
            Require(_disks[unit.Number] is { Prepared: 0, Rented: 0 }, $"LUN {unit.Number} holds memory");
        }
    }

    /// <summary>An auto contingent allegiance holds tasks up until the initiator clears it: a task so held goes on then, and may bring about the next.</summary>
    bool MayGoOn()
    {
        int open = _open.Count;
        if (open > 0)
        {
            ClearAca();
        }

        return _open.Count < open || _wanted.Count > 0;
    }

    void ClearAca()
    {
        for (int i = 0; i < _disks.Length * _nexuses.Length; i++)
        {
            Manage(i % _nexuses.Length, LunAddress.Format(i / _nexuses.Length), (byte)TaskManagementFunction.ClearAca, 0);
        }
    }

    /// <summary>The units still say who they are and, sooner or later, whether they are ready.</summary>
    public void LookAtUnits()
    {
        for (int i = 0; i < _disks.Length; i++)
        {
            ClearAca();
            Require(Inquire(i).AsSpan().SequenceEqual(Expected(_identities[i])), $"LUN {i} is another");
            int attentions = 0;
            do
            {
                Ask(i, [0, 0, 0, 0, 0, 0], 0);
            }
            while (_lastStatus == ScsiStatus.CheckCondition && Told.Count >= 16 && IsAttention() && ++attentions < 40);
            Require(attentions < 40, $"LUN {i} has no end of unit attentions");
        }
    }

    /// <summary>In the unavailable state, which an initiator may set, INQUIRY data says that the unit cannot be reached through this port. SPC-4 clause 5.16.2.4.5.</summary>
    byte[] Expected(byte[] identity)
    {
        const byte notConnected = 0x20;
        byte[] expected = [.. identity];
        expected[0] |= _target.PortGroup.State == AsymmetricAccessState.Unavailable ? notConnected : (byte)0;
        return expected;
    }

    bool IsAttention() => (Outcome >> 24 & 0xF) == (ulong)SenseKey.UnitAttention;

    byte[] Inquire(int lun)
    {
        Ask(lun, [0x12, 0, 0, 0, 96, 0], 96);
        Require(_lastStatus == ScsiStatus.Good && _lastData.Length >= 36, $"INQUIRY of LUN {lun} ends with {_lastStatus}");
        return _lastData;
    }

    void Ask(int lun, byte[] cdb, int expectedIn)
    {
        _parameters = [];
        Begin(_watcher, LunAddress.Format(lun), TaskAttribute.Simple, cdb, 0, expectedIn);
        Settle();
    }

    public bool Step()
    {
        if (_wanted.Count > 0)
        {
            ScsiTask task = _wanted[0];
            _wanted.RemoveAt(0);
            Fill(task.DataOut, task.DataOutLength, WithToken(task, _open[task]));
            _target.DataArrived(task);
            return true;
        }

        return Array.Exists(_disks, static disk => disk.TryStep());
    }

    /// <summary>An input is too short for a token: in a parameter list of WRITE USING TOKEN one byte stands for the last that was told, and for the reserved bytes after it.</summary>
    byte[] WithToken(ScsiTask task, byte[] parameters)
    {
        const int tokenOffset = 16, reservedLength = 6;
        const byte stands = 0xEE;
        return task.Cdb[0] == OperationCode.ThirdPartyCopyOut && (task.Cdb[1] & ServiceAction.Mask) == ServiceAction.WriteUsingToken
            && parameters.Length > tokenOffset && parameters[tokenOffset] == stands
            ? [.. parameters.AsSpan(0, tokenOffset), .. _token, .. new byte[reservedLength], .. parameters.AsSpan(tokenOffset + 1)]
            : parameters;
    }

    static void Fill(DataBuffer data, int length, byte[] parameters)
    {
        byte[] all = new byte[length];
        for (int i = 0; i < length && parameters.Length > 0; i++)
        {
            all[i] = parameters[i % parameters.Length];
        }

        data.CopyFrom(all);
    }

    static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new FuzzFinding(what);
        }
    }

    /// <summary>Keeps reservations as long as the world lasts.</summary>
    sealed class Keeper : IReservationStore
    {
        public ValueTask<bool> SaveAsync(int lun, ReservationState state) => new(true);
    }
}
