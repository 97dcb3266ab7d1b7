namespace Scuse.Iscsi;

/// <summary>What an iSCSI target offers, and its limits. Lengths are in bytes, times in milliseconds.</summary>
public sealed record IscsiOptions
{
    /// <summary>The most data one PDU from an initiator may carry; 512 to 16,777,215. RFC 7143 section 13.12.</summary>
    public int MaxRecvDataSegmentLength { get; init; } = 262144;

    /// <summary>The most data of one burst, either way, that we offer; 512 to 16,777,215. RFC 7143 section 13.13.</summary>
    public int MaxBurstLength { get; init; } = 1 << 20;

    /// <summary>The most unsolicited data of one command that we offer; 512 to 16,777,215. RFC 7143 section 13.14.</summary>
    public int FirstBurstLength { get; init; } = 262144;

    /// <summary>How many R2Ts a command may have open. RFC 7143 section 13.17.</summary>
    public int MaxOutstandingR2T { get; init; } = 8;

    /// <summary>Whether to demand that every Data-Out is asked for. RFC 7143 section 13.10.</summary>
    public bool InitialR2T { get; init; }

    /// <summary>Whether to allow data in the command PDU. RFC 7143 section 13.11.</summary>
    public bool ImmediateData { get; init; } = true;

    /// <summary>How many commands of a session may be under way. RFC 7143 section 4.2.2.1.</summary>
    public int CommandWindow { get; init; } = 128;

    /// <summary>How many commands marked immediate a session may have under way; more are rejected. RFC 7143 section 4.2.2.1.</summary>
    public int MaxImmediateCommands { get; init; } = 32;

    /// <summary>How long a login may take.</summary>
    public int LoginTimeoutMs { get; init; } = 15000;

    /// <summary>How long a connection may be silent before it is asked for a sign of life. Zero never asks.</summary>
    public int NopIntervalMs { get; init; } = 15000;

    /// <summary>How long the sign of life may take.</summary>
    public int NopTimeoutMs { get; init; } = 30000;

    /// <summary>How long a connection that is to be closed may take to accept its last output.</summary>
    public int DrainTimeoutMs { get; init; } = 5000;

    /// <summary>
    /// How long an initiator may take none of its output, or next to none, before its connection is closed: answers that wait to be sent hold memory that other commands
    /// need. Next to none is less than 64 KiB, or all there is.
    /// </summary>
    public int OutputTimeoutMs { get; init; } = 30000;

    /// <summary>The most sessions at a time; a login beyond is answered with "out of resources".</summary>
    public int MaxSessions { get; init; } = 1024;

    /// <summary>The most connections at a time, those in login included; one more is closed at once.</summary>
    public int MaxConnections { get; init; } = 2048;

    /// <summary>The most connections in login at a time; one more takes the place of the one that has said nothing for longest, or else has been for longest.</summary>
    public int MaxConnectionsInLogin { get; init; } = 512;

    /// <summary>
    /// How many logins a second are answered that come from one address, beyond the first <see cref="Login.LoginPace.Burst"/>; the others wait for theirs, within
    /// <see cref="LoginTimeoutMs"/>. 0: any number.
    /// </summary>
    public int LoginsPerSecond { get; init; } = 100;

    /// <summary>The most connections that a session may have at a time; 1 to 65535. RFC 7143 section 13.2.</summary>
    public int MaxConnectionsPerSession { get; init; } = 4;

    /// <summary>
    /// The highest error recovery level that we offer, 0 to 2: at 0 an error costs the session, from 1 on what a digest shows to be damaged is sent
    /// again, at 2 tasks outlive their connection. RFC 7143 sections 7.1.5 and 13.20. From 1 on answered commands keep their data until the initiator
    /// acknowledges them. The initiators in wide use ask for 0.
    /// </summary>
    public int ErrorRecoveryLevel { get; init; }

    /// <summary>How many seconds tasks of a lost connection can be claimed at ErrorRecoveryLevel 2, at most; 0 to 3600. RFC 7143 section 13.16.</summary>
    public int Time2RetainSeconds { get; init; } = 20;

    /// <summary>
    /// The tag of the one target portal group that all portals are of, since a session may have connections to any of them. Nodes that offer the same target have different
    /// ones. RFC 7143 sections 4.4.1.2 and 13.9.
    /// </summary>
    public ushort TargetPortalGroupTag { get; init; } = 1;

    /// <summary>
    /// The most memory that all connections together may tie up with data whose command has no room yet, with requests ahead of a gap in CmdSN, and with echoes and texts that
    /// were not taken, in bytes. Beyond it the session that ties up the most is ended. One session's part is bounded by its command window: <see cref="CommandWindow"/> and
    /// <see cref="MaxImmediateCommands"/> times the larger of <see cref="FirstBurstLength"/> and <see cref="MaxRecvDataSegmentLength"/>, 40 MiB as these are by default.
    /// </summary>
    public long MaxBufferedBytes { get; init; } = 512L << 20;

    /// <summary>The size of the receive buffer, in bytes, which all connections share; at least 4096.</summary>
    public int ReceiveBufferBytes { get; init; } = 65536;

    internal void Validate()
    {
        const int smallest = 512, largest = (1 << 24) - 1;
        Check(MaxRecvDataSegmentLength, smallest, largest, nameof(MaxRecvDataSegmentLength));
        Check(MaxBurstLength, smallest, largest, nameof(MaxBurstLength));
        Check(FirstBurstLength, smallest, largest, nameof(FirstBurstLength));
        Check(MaxOutstandingR2T, 1, 1024, nameof(MaxOutstandingR2T));
        Check(CommandWindow, 1, 65536, nameof(CommandWindow));
        Check(MaxImmediateCommands, 1, 65536, nameof(MaxImmediateCommands));
        Check(ReceiveBufferBytes, 4096, 1 << 24, nameof(ReceiveBufferBytes));
        Check(MaxSessions, 1, ushort.MaxValue, nameof(MaxSessions));
        Check(MaxConnectionsPerSession, 1, ushort.MaxValue, nameof(MaxConnectionsPerSession));
        Check(ErrorRecoveryLevel, 0, 2, nameof(ErrorRecoveryLevel));
        Check(Time2RetainSeconds, 0, 3600, nameof(Time2RetainSeconds));
        Check(MaxConnectionsInLogin, 1, int.MaxValue, nameof(MaxConnectionsInLogin));
        Check(LoginsPerSecond, 0, 1_000_000, nameof(LoginsPerSecond));
        Check(MaxConnections, 1, int.MaxValue, nameof(MaxConnections));
        Check(OutputTimeoutMs, 1, int.MaxValue, nameof(OutputTimeoutMs));
        Check((int)Math.Min(MaxBufferedBytes >> 20, int.MaxValue), 1, int.MaxValue, $"{nameof(MaxBufferedBytes)} in MiB");
    }

    static void Check(int value, int minimum, int maximum, string name)
    {
        if (value < minimum || value > maximum)
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; {minimum} to {maximum} is allowed");
        }
    }
}
