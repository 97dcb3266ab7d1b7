using System.Net;
using Scuse.Iscsi;
using Scuse.Target;

namespace Scuse.Engine;

/// <summary>Everything an engine is started with.</summary>
public sealed record EngineOptions
{
    /// <summary>The targets, each with its logical units. Others can be added while the engine runs. A number without a target's name means the first one.</summary>
    public required IReadOnlyList<TargetOptions> Targets { get; init; }

    /// <summary>Whether an engine without any target makes sense: then the last one can be removed.</summary>
    public bool MayBeEmpty { get; init; }

    /// <summary>What tells this engine from others at an iSNS server, the same at its next start; null: its first target's name.</summary>
    public string? Identity { get; init; }

    /// <summary>Where initiators connect. Others can be added while the engine runs.</summary>
    public IReadOnlyList<PortalOptions> Portals { get; init; } = [new(new IPEndPoint(IPAddress.Loopback, PortalOptions.DefaultPort))];

    /// <summary>Who may ask which targets there are. Each is told only of those that it may log in to.</summary>
    public AccessOptions DiscoveryAccess { get; init; } = new();

    /// <summary>Where the CHAP users of discovery were read from, to be read again when an operator says so; null: nowhere.</summary>
    public string? ChapFile { get; init; }

    /// <summary>Whether it is meant that everybody who reaches a portal from another machine may log in.</summary>
    public bool AllowAnyone { get; init; }

    /// <summary>The path of the socket where handlers attach.</summary>
    public required string SocketPath { get; init; }

    /// <summary>The most reactors.</summary>
    public const int MaxReactors = 64;

    /// <summary>
    /// How many threads serve commands, 1 to <see cref="MaxReactors"/>. Each target belongs to one of them with all that it has: several are for several targets, on machines with processors for
    /// them and for the handlers.
    /// </summary>
    public int Reactors { get; init; } = 1;

    /// <summary>
    /// Whether a target's sessions may be on all reactors, each with a ring of its own to each handler that takes several, instead of all on one: for targets that need more than a processor. What is not
    /// a plain read or write is then done while all reactors but one stand still. Without several reactors it means nothing.
    /// </summary>
    public bool SpreadTargets { get; init; }

    /// <summary>Whether each reactor stays on a processor of its own, as far as there are enough, or goes where the system puts it.</summary>
    public bool PinReactors { get; init; }

    /// <summary>
    /// For how long after the last activity a reactor stays awake, yielding, before it sleeps; in microseconds. 0 is never; with one processor it is
    /// never in any case. A sleeping core takes 50 µs to wake in a virtual machine.
    /// </summary>
    public int SpinMicroseconds { get; init; } = 50;

    /// <summary>
    /// The send buffer of a connection that comes over loopback, in bytes (SO_SNDBUF); 0 leaves it to the kernel, as it is for all other connections.
    /// Left alone it grows to 4 MiB, and what is copied into it has left the cache before the initiator reads it: 1 MiB reads were 1.5 times faster
    /// with 256 KiB than with that, and slower again with half or twice as much.
    /// </summary>
    public int LoopbackSendBufferBytes { get; init; } = 256 << 10;

    /// <summary>How long a planned stop waits for commands and handlers to finish, in milliseconds.</summary>
    public int DrainMs { get; init; } = 5_000;

    /// <summary>
    /// The most memory that the data areas of all logical units may hold together, in bytes (the kernel's global_max_data_area_mb). Past it commands wait
    /// until another logical unit has given some back.
    /// </summary>
    public long GlobalDataAreaBytes { get; init; } = 2L << 30;

    /// <summary>
    /// Where is kept what initiators want to survive a loss of power: persistent reservations (APTPL), saved mode pages; null: nowhere, and they are refused.
    /// </summary>
    public string? StateFolder { get; init; }

    /// <summary>
    /// How long handlers stay and try to attach again when the engine is gone, in seconds; 0: they end with it. When it is not 0, a planned stop leaves
    /// them running, and the next engine at the same attach socket takes them over.
    /// </summary>
    public int KeepHandlersSeconds { get; init; }

    /// <summary>Where targets and portals are registered, for initiators that look for them there; null: nowhere.</summary>
    public IsnsOptions? Isns { get; init; }

    /// <summary>What the iSCSI side offers and allows.</summary>
    public IscsiOptions Iscsi { get; init; } = new();
}

/// <summary>A target as configured.</summary>
public sealed record TargetOptions
{
    /// <summary>The name of a target that nobody has given one.</summary>
    public const string DefaultName = "iqn.2026-11.example.scuse:disks";

    /// <summary>The most logical units of one target: what flat space addressing can say.</summary>
    public const int MaxLuns = LunAddress.MaxLun + 1;

    /// <summary>The iSCSI name. RFC 7143 section 4.2.7.</summary>
    public string Name { get; init; } = DefaultName;

    /// <summary>The logical units. Their numbers are the target's own; the names of their devices are the engine's, and differ over all targets.</summary>
    public required IReadOnlyList<LunOptions> Luns { get; init; }

    /// <summary>Who may log in.</summary>
    public AccessOptions Access { get; init; } = new();

    /// <summary>Where its CHAP users were read from, to be read again when an operator says so; null: nowhere.</summary>
    public string? ChapFile { get; init; }
}

/// <summary>A portal as configured.</summary>
/// <param name="Address">The address to listen on: IPv4, or IPv6 alone. Port 0 picks a free one.</param>
public sealed record PortalOptions(IPEndPoint Address)
{
    /// <summary>The port that IANA has given iSCSI. RFC 7143 section 14.</summary>
    public const int DefaultPort = 3260;

    /// <summary>The <c>host:port</c> that discovery tells initiators, where it differs from the address they came by.</summary>
    public string? Advertised { get; init; }

    /// <summary>
    /// For initiators and proxies that begin with TLS; null: plain TCP. Discovery tells of such a portal only where <see cref="Advertised"/> says what: nothing in it could tell
    /// an initiator that TLS is spoken there.
    /// </summary>
    public TlsOptions? Tls { get; init; }
}

/// <summary>The certificates of a portal that speaks TLS. They are read when the portal is opened.</summary>
/// <param name="CertificateFile">The engine's certificate in PEM, with those between it and its authority behind it.</param>
/// <param name="KeyFile">Its private key in PEM, not encrypted; null: in the same file.</param>
/// <param name="ClientAuthorityFile">The authorities in PEM of which one must have signed the initiator's certificate; null: it needs none.</param>
public sealed record TlsOptions(string CertificateFile, string? KeyFile = null, string? ClientAuthorityFile = null);

/// <summary>An iSNS server.</summary>
/// <param name="Host">Its name or address.</param>
/// <param name="Port">Its TCP port.</param>
public sealed record IsnsOptions(string Host, int Port = IsnsOptions.DefaultPort)
{
    /// <summary>The port that IANA has given iSNS. RFC 4171 section 2.9.</summary>
    public const int DefaultPort = 3205;

    /// <summary>As <c>host:port</c>.</summary>
    public override string ToString() => $"{(Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host)}:{Port}";
}

/// <summary>One logical unit as configured.</summary>
public sealed record LunOptions
{
    /// <summary>The logical unit number.</summary>
    public required int Number { get; init; }

    /// <summary>What the operator wrote, for messages.</summary>
    public required string Spec { get; init; }

    /// <summary>The name under which a handler attaches.</summary>
    public required string DeviceName { get; init; }

    /// <summary>How the engine starts the handler; null when somebody else does.</summary>
    public HandlerLaunch? Launch { get; init; }

    /// <summary>The pass level asked for; null leaves it to the handler.</summary>
    public PassLevel? Level { get; init; }

    /// <summary>How long a command may take before it is failed, in milliseconds; 0 is for ever. The kernel's cmd_time_out.</summary>
    public int CommandTimeoutMs { get; init; } = 30_000;

    /// <summary>
    /// How long a command waits for room in the ring or the data area before it ends with TASK SET FULL, in milliseconds; 0: not at all; -1: as long as
    /// <see cref="CommandTimeoutMs"/> says. The kernel's qfull_time_out.
    /// </summary>
    public int QueueFullTimeoutMs { get; init; } = -1;

    /// <summary>What becomes of commands while there is no handler.</summary>
    public HandlerLossPolicy OnHandlerLoss { get; init; }

    /// <summary>
    /// Whether a block of the data area may come to a command for Data-In with bytes in it that belonged to another nexus. False: such a block is
    /// cleared first, so that a handler that answers without filling it gives nothing away.
    /// </summary>
    public bool AllowStaleDataIn { get; init; }

    /// <summary>Logical units of the same pool are served by one handler process; null: a process of its own.</summary>
    public string? Pool { get; init; }

    /// <summary>What the handler is told as its configuration: the text after the kind; empty where the launch's arguments say it all.</summary>
    public string Config { get; init; } = "";

    /// <summary>The size of the data area, in bytes: how much all commands under way can hold. It is virtual; pages come when they are used.</summary>
    public long DataAreaBytes { get; init; } = 256L << 20;

    /// <summary>The size of the command ring, in bytes.</summary>
    public int CommandRingBytes { get; init; } = (512 << 10) - 128;

    /// <summary>Whether others come to the same.</summary>
    internal bool IsSameAs(LunOptions other) =>
        this with { Launch = null } == other with { Launch = null }
        && (Launch is null ? other.Launch is null : other.Launch is not null && Launch.IsSameAs(other.Launch));
}

/// <summary>What becomes of a logical unit's commands when its handler is gone and until the next one is there.</summary>
public enum HandlerLossPolicy
{
    /// <summary>They are kept for the next handler, each until its own time limit.</summary>
    Hold,

    /// <summary>They end with BUSY, and so does every new one that needs the handler.</summary>
    Busy,

    /// <summary>They end with LOGICAL UNIT COMMUNICATION FAILURE (02/08/00), and so does every new one that needs the handler.</summary>
    Fail,
}

/// <summary>A program that the engine runs as a logical unit's handler.</summary>
/// <param name="Program">The program: a path, or a name to be found on PATH.</param>
/// <param name="Arguments">Its arguments.</param>
public sealed record HandlerLaunch(string Program, IReadOnlyList<string> Arguments)
{
    internal bool IsSameAs(HandlerLaunch other) => Program == other.Program && Arguments.SequenceEqual(other.Arguments);
}

/// <summary>The engine cannot start, or cannot go on; the message is one line for the operator.</summary>
public sealed class EngineException : Exception
{
    /// <summary>With a line for the operator.</summary>
    public EngineException(string message)
        : base(message)
    {
    }

    /// <summary>With a line for the operator and what caused it.</summary>
    public EngineException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
