using Scuse.Iscsi.Access;
using Scuse.Iscsi.Moving;
using Scuse.Target;

namespace Scuse.Iscsi;

/// <summary>An iSCSI target node: a SCSI target under its iSCSI name, and who may log in to it. RFC 7143 section 4.1.</summary>
/// <remarks>Touched only by the reactor of its server; others only look at its name, at who may log in, and at where it has moved.</remarks>
public sealed class IscsiTarget
{
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
            Server?.AccessChanged(this);
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
    public IReadOnlyList<IscsiSession> Sessions => Server is null ? [] : [.. Server.Sessions.Where(session => session.Node == this)];

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
