using Scuse.Ring.Diagnostics;
using Scuse.Target;

namespace Scuse.Engine.Management;

/// <summary>An engine at one moment.</summary>
public sealed record EngineStatus
{
    /// <summary>The version of the program.</summary>
    public required string Version { get; init; }

    /// <summary>The engine's process.</summary>
    public required int Pid { get; init; }

    /// <summary>When it started.</summary>
    public required DateTimeOffset Since { get; init; }

    /// <summary>The first target's iSCSI name; empty while there is none.</summary>
    public required string Target { get; init; }

    /// <summary>The targets. A LUN's number without a target means the first one.</summary>
    public required IReadOnlyList<TargetStatus> Targets { get; init; }

    /// <summary>Where initiators connect: the first of <see cref="Portals"/>.</summary>
    public required string Portal { get; init; }

    /// <summary>Where initiators connect.</summary>
    public required IReadOnlyList<PortalStatus> Portals { get; init; }

    /// <summary>Where targets and portals are registered; null: nowhere.</summary>
    public IsnsStatus? Isns { get; init; }

    /// <summary>Where handlers attach.</summary>
    public required string AttachSocket { get; init; }

    /// <summary>Where operators ask; empty where the program around the engine has no such place.</summary>
    public string ControlSocket { get; init; } = "";

    /// <summary>The memory that the process holds, in bytes.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>How many sessions initiators have.</summary>
    public required int Sessions { get; init; }

    /// <summary>The targets that send initiators elsewhere or away.</summary>
    public required IReadOnlyList<MovingStatus> Moving { get; init; }

    /// <summary>How many logical units there are in each state; states without any are left out.</summary>
    public required IReadOnlyDictionary<LunState, int> Luns { get; init; }

    /// <summary>How many commands the handlers have.</summary>
    public required int Outstanding { get; init; }

    /// <summary>How many commands wait: for room, for a handler, or because they are blocked.</summary>
    public required int Waiting { get; init; }

    /// <summary>How many bytes of all data areas commands hold.</summary>
    public required long DataAreaBytesInUse { get; init; }

    /// <summary>How much memory all data areas hold, in use or not yet given back to the system.</summary>
    public required long DataAreaBytesHeld { get; init; }

    /// <summary>The most that they may hold.</summary>
    public required long DataAreaBytesLimit { get; init; }
}

/// <summary>A target at one moment.</summary>
public sealed record TargetStatus
{
    /// <summary>The iSCSI name.</summary>
    public required string Name { get; init; }

    /// <summary>The numbers of its logical units.</summary>
    public required IReadOnlyList<int> Luns { get; init; }

    /// <summary>The reactor that serves it, from 0.</summary>
    public required int Reactor { get; init; }

    /// <summary>How many sessions initiators have with it.</summary>
    public required int Sessions { get; init; }

    /// <summary>Whether not everybody who reaches a portal may log in.</summary>
    public required bool IsRestricted { get; init; }

    /// <summary>Where new sessions are sent; null: nowhere.</summary>
    public RedirectionStatus? Redirection { get; init; }

    /// <summary>Whether no new session is taken here and those that are there are to go.</summary>
    public required bool IsDraining { get; init; }

    /// <summary>How many seconds they have left; 0 when their time is over, or nobody is to go.</summary>
    public required int DrainSecondsLeft { get; init; }
}

/// <summary>How it stands with an iSNS server.</summary>
public sealed record IsnsStatus
{
    /// <summary>The server, as <c>host:port</c>.</summary>
    public required string Server { get; init; }

    /// <summary>What the engine calls itself there: its entity identifier.</summary>
    public required string Entity { get; init; }

    /// <summary>Whether the server knows what there is now.</summary>
    public required bool IsRegistered { get; init; }

    /// <summary>When it was last told.</summary>
    public DateTimeOffset? RegisteredAt { get; init; }

    /// <summary>For how many seconds that stays without a further word; 0: the server has not said.</summary>
    public int PeriodSeconds { get; init; }

    /// <summary>The portals that were registered.</summary>
    public IReadOnlyList<string> Portals { get; init; } = [];

    /// <summary>Why it is not registered, or what could not be; null: nothing is amiss.</summary>
    public string? Problem { get; init; }
}

/// <summary>A target that sends initiators elsewhere or away, or has done so.</summary>
public sealed record MovingStatus
{
    /// <summary>The target's iSCSI name.</summary>
    public required string Target { get; init; }

    /// <summary>Where new sessions are sent; null: nowhere.</summary>
    public RedirectionStatus? Redirection { get; init; }

    /// <summary>Whether no new session is taken here and those that are there are to go.</summary>
    public required bool IsDraining { get; init; }

    /// <summary>How many seconds they have left; 0 when their time is over, or nobody is to go.</summary>
    public required int DrainSecondsLeft { get; init; }

    /// <summary>How many sessions initiators have with it.</summary>
    public required int Sessions { get; init; }
}

/// <summary>Where new sessions of a target are sent.</summary>
/// <param name="Address">The portal, as <c>host:port</c>.</param>
/// <param name="PortalGroupTag">The tag of its portal group.</param>
/// <param name="IsPermanent">Whether initiators may forget this engine's address.</param>
public sealed record RedirectionStatus(string Address, int PortalGroupTag, bool IsPermanent);

/// <summary>What a logical unit does with commands that come now.</summary>
public enum LunState
{
    /// <summary>They go to its handler.</summary>
    Serving,

    /// <summary>There is no handler: they wait, or end, by policy.</summary>
    WaitingForHandler,

    /// <summary>An operator holds them back.</summary>
    Blocked,

    /// <summary>They wait until the handler has answered what it has: it is being replaced, or the engine stops.</summary>
    Draining,
}

/// <summary>A logical unit at one moment.</summary>
public sealed record LunStatus
{
    /// <summary>The target's iSCSI name.</summary>
    public required string Target { get; init; }

    /// <summary>The logical unit number.</summary>
    public required int Number { get; init; }

    /// <summary>What the operator wrote.</summary>
    public required string Spec { get; init; }

    /// <summary>The name under which a handler attaches.</summary>
    public required string Device { get; init; }

    /// <summary>Logical units of the same pool share a handler process; null: it has one of its own.</summary>
    public string? Pool { get; init; }

    /// <summary>What it does with commands that come now.</summary>
    public required LunState State { get; init; }

    /// <summary>The capacity in bytes; 0 until the first handler has told.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>The logical block length in bytes; 0 until the first handler has told.</summary>
    public required int BlockSize { get; init; }

    /// <summary>The pass level; null until the first handler has told.</summary>
    public PassLevel? Level { get; init; }

    /// <summary>What becomes of commands while there is no handler.</summary>
    public required HandlerLossPolicy OnHandlerLoss { get; init; }

    /// <summary>How long a command may take, in milliseconds; 0: for ever.</summary>
    public required int CommandTimeoutMs { get; init; }

    /// <summary>How long a command may wait for room, in milliseconds; -1: as long as <see cref="CommandTimeoutMs"/>.</summary>
    public required int QueueFullTimeoutMs { get; init; }

    /// <summary>The handler that serves it, or is about to; null while there is none.</summary>
    public HandlerStatus? Handler { get; init; }

    /// <summary>The one that waits to take its place; null while there is none.</summary>
    public HandlerStatus? Successor { get; init; }

    /// <summary>Whether the engine starts its handler, and starts it again.</summary>
    public bool IsSupervised { get; init; }

    /// <summary>How often the engine had to start the handler again.</summary>
    public int Restarts { get; init; }

    /// <summary>How often it was replaced in order.</summary>
    public int Replacements { get; init; }

    /// <summary>How the last handler that is gone ended; null when none is.</summary>
    public string? LastEnding { get; init; }

    /// <summary>When that was.</summary>
    public DateTimeOffset? LastEndingAt { get; init; }

    /// <summary>How many commands the handler has.</summary>
    public required int Outstanding { get; init; }

    /// <summary>How many commands wait for room in the ring or the data area.</summary>
    public required int WaitingForRoom { get; init; }

    /// <summary>How many commands are held: for the next handler, because the operator blocked them, or until a drain ends.</summary>
    public required int Held { get; init; }

    /// <summary>How many answered commands' data blocks the handler keeps.</summary>
    public required int Kept { get; init; }

    /// <summary>The room for data.</summary>
    public required DataAreaStatus DataArea { get; init; }
}

/// <summary>A handler that serves a logical unit.</summary>
public sealed record HandlerStatus
{
    /// <summary>What it calls itself.</summary>
    public required string Name { get; init; }

    /// <summary>Its process.</summary>
    public required int Pid { get; init; }

    /// <summary>How far its connection has come.</summary>
    public AttachPhase Phase { get; init; } = AttachPhase.Attached;

    /// <summary>Who started it.</summary>
    public HandlerOrigin Origin { get; init; }

    /// <summary>When it came into service; before that, when it connected. Null where only the ring was looked at.</summary>
    public DateTimeOffset? Since { get; init; }
}

/// <summary>The room for the data of a logical unit's commands.</summary>
/// <param name="LimitBytes">The most it may hold, in bytes.</param>
/// <param name="BlockBytes">The length of a block.</param>
/// <param name="BlocksInUse">How many blocks commands hold now.</param>
/// <param name="HighWaterBlocks">How many blocks, from the first one on, may hold memory.</param>
public sealed record DataAreaStatus(long LimitBytes, int BlockBytes, int BlocksInUse, int HighWaterBlocks)
{
    /// <summary>How many bytes commands hold now.</summary>
    public long BytesInUse => (long)BlocksInUse * BlockBytes;
}

/// <summary>An initiator's session at one moment.</summary>
public sealed record SessionStatus
{
    /// <summary>The target's iSCSI name; null where the session only asks which targets there are.</summary>
    public string? Target { get; init; }

    /// <summary>The initiator's iSCSI name.</summary>
    public required string Initiator { get; init; }

    /// <summary>Where it is, by its first connection; empty while it has none.</summary>
    public required string Address { get; init; }

    /// <summary>Where its first connection reached the engine; empty while it has none.</summary>
    public required string Portal { get; init; }

    /// <summary>The initiator's part of the session identifier, in hexadecimal.</summary>
    public required string Isid { get; init; }

    /// <summary>The engine's part of the session identifier.</summary>
    public required int Tsih { get; init; }

    /// <summary>Whether it only asks which targets there are.</summary>
    public required bool IsDiscovery { get; init; }

    /// <summary>How the initiator has proved who it is: <c>None</c>, or CHAP with its algorithm, and whether the target has proved itself, too.</summary>
    public required string AuthMethod { get; init; }

    /// <summary>The CHAP user that it has proved to be; null when it was not asked.</summary>
    public string? User { get; init; }

    /// <summary>When its first connection was accepted.</summary>
    public required DateTimeOffset Since { get; init; }

    /// <summary>Its connections, in the order of their logins.</summary>
    public required IReadOnlyList<ConnectionStatus> Connections { get; init; }

    /// <summary>How many commands have no answer yet.</summary>
    public required int Outstanding { get; init; }

    /// <summary>How many commands have begun.</summary>
    public required long Commands { get; init; }

    /// <summary>How many bytes went to the initiator.</summary>
    public required long ReadBytes { get; init; }

    /// <summary>How many bytes came from the initiator.</summary>
    public required long WrittenBytes { get; init; }

    /// <summary>How many task management requests came.</summary>
    public required long TaskManagementRequests { get; init; }

    /// <summary>Which reactor it is on, from 0.</summary>
    public int Reactor { get; init; }
}

/// <summary>A portal at one moment.</summary>
public sealed record PortalStatus
{
    /// <summary>The address listened on, with its port.</summary>
    public required string Address { get; init; }

    /// <summary>What discovery tells instead; null: the address.</summary>
    public string? Advertised { get; init; }

    /// <summary>Whether it speaks TLS.</summary>
    public required bool Tls { get; init; }

    /// <summary>How many connections came by it and are open.</summary>
    public required int Connections { get; init; }
}

/// <summary>A connection of a session.</summary>
public sealed record ConnectionStatus
{
    /// <summary>The number that the initiator gave it.</summary>
    public required int Cid { get; init; }

    /// <summary>Where it comes from.</summary>
    public required string Address { get; init; }

    /// <summary>Where it reached the engine.</summary>
    public required string Portal { get; init; }

    /// <summary>When it was accepted.</summary>
    public required DateTimeOffset Since { get; init; }

    /// <summary>Whether its headers have digests.</summary>
    public required bool HeaderDigest { get; init; }

    /// <summary>Whether its data has digests.</summary>
    public required bool DataDigest { get; init; }
}

/// <summary>Something that happened to a logical unit.</summary>
/// <param name="Target">The target's iSCSI name.</param>
/// <param name="Lun">The logical unit number.</param>
/// <param name="At">When.</param>
/// <param name="Kind">What kind of thing.</param>
/// <param name="Text">One line for a person.</param>
public sealed record LunEventStatus(string Target, int Lun, DateTimeOffset At, LunEventKind Kind, string Text);

/// <summary>How long the commands of a logical unit have spent in one stage since the engine started. Times are microseconds.</summary>
/// <param name="Target">The target's iSCSI name.</param>
/// <param name="Lun">The logical unit number.</param>
/// <param name="Stage">What they spend their time with.</param>
/// <param name="Commands">How many commands there were.</param>
/// <param name="MeanUs">How long they took on average.</param>
/// <param name="P50Us">Half of them took so long or less; this and the next two are at most a quarter too high.</param>
/// <param name="P99Us">99 of 100.</param>
/// <param name="P999Us">999 of 1000.</param>
/// <param name="MaxUs">The slowest.</param>
public sealed record StageLatency(string Target, int Lun, CommandStage Stage, long Commands, double MeanUs, double P50Us, double P99Us, double P999Us, double MaxUs);

/// <summary>A logical unit's ring at one moment: what stands in the shared region, and what the engine itself knows of the commands.</summary>
public sealed record RingStatus
{
    /// <summary>The target's iSCSI name.</summary>
    public required string Target { get; init; }

    /// <summary>The logical unit number.</summary>
    public required int Lun { get; init; }

    /// <summary>When.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>What the logical unit does with commands that come now.</summary>
    public required LunState State { get; init; }

    /// <summary>Which of the logical unit's rings it is, from 0.</summary>
    public int Number { get; init; }

    /// <summary>How many there are: one for each reactor that its target is spread over.</summary>
    public int Rings { get; init; } = 1;

    /// <summary>The handler whose ring it is; null while there is none.</summary>
    public HandlerStatus? Handler { get; init; }

    /// <summary>What stands in the region; null while there is no handler.</summary>
    public RingDump? Ring { get; init; }

    /// <summary>The room for data; null while there is no handler.</summary>
    public DataAreaStatus? DataArea { get; init; }

    /// <summary>Every command that is not answered, or whose data is still in use, in the order of their arrival.</summary>
    public required IReadOnlyList<CommandStatus> Commands { get; init; }
}

/// <summary>Where a command is.</summary>
public enum CommandState
{
    /// <summary>It waits for blocks of the data area.</summary>
    WaitingForMemory,

    /// <summary>Its data is being brought.</summary>
    Collecting,

    /// <summary>It waits for room in the ring, or for a handler.</summary>
    WaitingForSlot,

    /// <summary>The handler has it.</summary>
    WithHandler,

    /// <summary>The handler has it, but nobody waits for it any more: it was aborted, or its session is gone.</summary>
    Aborted,

    /// <summary>The handler has it, and its time is up: the initiator was told.</summary>
    Overdue,

    /// <summary>It is answered; its data is on the way.</summary>
    Answered,

    /// <summary>It is answered, and the handler keeps its data blocks.</summary>
    Kept,
}

/// <summary>A command as the engine knows it.</summary>
public sealed record CommandStatus
{
    /// <summary>Its id in the ring; 0 while it is not posted.</summary>
    public required int Id { get; init; }

    /// <summary>Where it is.</summary>
    public required CommandState State { get; init; }

    /// <summary>What it is, such as <c>WRITE(10) of 8 blocks at 4096</c>; empty where only the handler's copy is left.</summary>
    public required string Command { get; init; }

    /// <summary>For how long it has been with the logical unit, in milliseconds.</summary>
    public required long AgeMs { get; init; }

    /// <summary>For how long the handler has had it, in milliseconds; null while it has not.</summary>
    public long? WithHandlerMs { get; init; }

    /// <summary>How much of its time is left, in milliseconds; null where there is no limit, or it no longer counts.</summary>
    public long? TimeLeftMs { get; init; }

    /// <summary>The initiator port it came from; <c>engine</c> for a command of the engine's own; empty where nobody waits for it.</summary>
    public required string Initiator { get; init; }

    /// <summary>The initiator's task tag; null for a command of the engine's own.</summary>
    public uint? Tag { get; init; }

    /// <summary>Whether a handler was given it: then it may have been executed.</summary>
    public required bool WasPosted { get; init; }

    /// <summary>Bytes for the device.</summary>
    public required int DataOutBytes { get; init; }

    /// <summary>Room for bytes from the device.</summary>
    public required int DataInBytes { get; init; }
}

/// <summary>What an operation came to.</summary>
/// <param name="Lun">The logical unit as it is now.</param>
/// <param name="EndedCommands">How many commands the operation ended.</param>
public sealed record OperationOutcome(LunStatus Lun, int EndedCommands);

/// <summary>Whom an engine lets in, after it has read that again.</summary>
/// <param name="Users">How many CHAP users the targets have together; 0: they ask nobody.</param>
/// <param name="DiscoveryUsers">How many CHAP users discovery has; 0: it asks nobody.</param>
/// <param name="Targets">How many each target has.</param>
public sealed record AccessStatus(int Users, int DiscoveryUsers, IReadOnlyList<TargetUsers> Targets);

/// <summary>Whom a target lets in.</summary>
/// <param name="Target">Its iSCSI name.</param>
/// <param name="Users">How many CHAP users it has; 0: it asks nobody.</param>
public sealed record TargetUsers(string Target, int Users);
