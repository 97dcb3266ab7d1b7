using Scuse.Iscsi.Access;
using Scuse.Iscsi.Moving;
using Scuse.Target;

namespace Scuse.Iscsi;

/// <summary>An iSCSI target node: a SCSI target under its iSCSI name, and who may log in to it. RFC 7143 section 4.1.</summary>
/// <remarks>
/// Touched only by the reactor of its server; others only look at its name, at who may log in, and at where it has moved. One that is spread over several servers is touched by whichever of
/// their reactors is alone (<see cref="ITargetExclusion"/>).
/// </remarks>
public sealed class IscsiTarget
{
    IReadOnlyList<TargetPlace> _places = [];
    int _turn;

    /// <summary>A node for a SCSI target; anybody may log in unless <paramref name="access"/> says otherwise.</summary>
    public IscsiTarget(ScsiTarget scsi, TargetAccess? access = null)
    {
        ArgumentNullException.ThrowIfNull(scsi);
        Scsi = scsi;
        Access = access ?? TargetAccess.Open;
    }

    /// <summary>The iSCSI name. RFC 7143 section 4.2.7.</summary>
    public string Name => Scsi.Name;

    /// <summary>The SCSI target device that the node is a way to.</summary>
    public ScsiTarget Scsi { get; }

    /// <summary>Who may log in. Can be replaced at any time: sessions of initiators that may no longer are dropped, with a
    /// word to the initiator; those that see other logical units are told so (REPORTED LUNS DATA HAS CHANGED).</summary>
    public TargetAccess Access
    {
        get;
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            field = value;
            foreach (IscsiServer server in Servers)
            {
                server.AccessChanged(this);
            }

        }
    }

    /// <summary>Where new sessions are sent instead; null: they are taken here. Sessions that are there stay.</summary>
    public TargetRedirection? Redirection
    {
        get;
        set
        {
            field = value;
            Server?.Entity.DiscoveryChanged?.Invoke();
        }
    }

    /// <summary>Whether initiators are moved away: no new session is taken.</summary>
    public bool IsDraining => Drain is not null;

    /// <summary>How many seconds the initiators have left to log out; 0 when nobody is asked to.</summary>
    public int DrainSecondsLeft(long nowMs) => Drain?.SecondsLeft(nowMs) ?? 0;

    /// <summary>
    /// Moves initiators away: from now on new sessions are sent where <see cref="Redirection"/> says, or refused as "service unavailable"; those there are asked to log out, and
    /// dropped when the time is over. Until <see cref="EndDrain"/>. Beginning it again gives them another time.
    /// </summary>
    /// <param name="seconds">How long they may take, 0 to 65535; 0: they are dropped at the next tick.</param>
    /// <param name="nowMs">The owner's clock in milliseconds.</param>
    /// <exception cref="ArgumentOutOfRangeException">So many seconds cannot be said.</exception>
    public void BeginDrain(int seconds, long nowMs)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(seconds);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(seconds, TargetDrain.MaxSeconds);
        Drain = new TargetDrain(seconds, nowMs);
        foreach (IscsiSession session in Sessions)
        {
            session.AskToLeave(seconds);
        }
    }

    /// <summary>New sessions are taken again. Who was asked to leave and is still there may stay.</summary>
    public void EndDrain() => Drain = null;

    internal TargetDrain? Drain { get; private set; }

    /// <summary>The sessions that initiators have with it now.</summary>
    public IReadOnlyList<IscsiSession> Sessions => [.. Servers.SelectMany(static server => server.Sessions).Where(session => session.Node == this)];

    // ---- where its sessions are ----

    /// <summary>
    /// Where its sessions may be; empty: all at the server that it was added to. To be set before it is added, for a SCSI target that has an <see cref="ScsiTarget.Exclusion"/>; the server that it is added
    /// to is one of them.
    /// </summary>
    public IReadOnlyList<TargetPlace> Places
    {
        get => _places;
        init
        {
            ArgumentNullException.ThrowIfNull(value);
            _places = value;
        }
    }

    /// <summary>The servers that may have sessions with it now.</summary>
    internal IEnumerable<IscsiServer> Servers => Server is not { } server ? [] : _places.Count == 0 ? [server] : _places.Select(static place => place.Server);

    /// <summary>Whether a server can have sessions with it.</summary>
    internal bool IsAt(IscsiServer server) => Server is { } own && (own == server || LaneAt(server) is not null);

    /// <summary>The lane of a server's reactor; null where the target is not spread.</summary>
    internal TargetLane? LaneAt(IscsiServer server)
    {
        foreach (TargetPlace place in _places)
        {
            if (place.Server == server)
            {
                return place.Lane;
            }
        }

        return null;
    }

    /// <summary>
    /// The server for a connection that logs in: the one that has the session which it is to join, or else the one with the fewest sessions. Null when the target is no server's any more.
    /// </summary>
    /// <param name="tsih">The session's identifier; 0 for a new one.</param>
    internal IscsiServer? ServerFor(ushort tsih)
    {
        if (Server is not { } own || _places.Count == 0)
        {
            return Server;
        }

        if (tsih != 0 && own.Entity.ServerOf(tsih) is { } holder && LaneAt(holder) is not null)
        {
            return holder;
        }

        int first = (int)((uint)Interlocked.Increment(ref _turn) % (uint)_places.Count); // logins at the same time see the same numbers
        TargetPlace best = _places[first];
        for (int i = 1; i < _places.Count; i++)
        {
            TargetPlace other = _places[(first + i) % _places.Count];
            best = other.Lane.Nexuses < best.Lane.Nexuses ? other : best;
        }

        return best.Server;
    }

    /// <summary>Time goes on for a drain.</summary>
    internal void Tick(long nowMs)
    {
        if (Drain is not { } drain || !drain.IsOver(nowMs))
        {
            return;
        }

        foreach (IscsiSession session in Sessions)
        {
            session.Drop($"{session.InitiatorName} has not left {Name} in time, which is being drained");
        }
    }

    /// <summary>The server that lets initiators log in to it; null when it is none's.</summary>
    internal IscsiServer? Server
    {
        get => Volatile.Read(ref field);
        set => Volatile.Write(ref field, value);
    }
}

/// <summary>Where sessions of a target that is spread over several reactors may be.</summary>
/// <param name="Server">The reactor's server.</param>
/// <param name="Lane">What the reactor has of the target.</param>
public sealed record TargetPlace(IscsiServer Server, TargetLane Lane);
