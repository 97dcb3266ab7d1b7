using Scuse.Iscsi.Access;
using Scuse.Target;

namespace Scuse.Iscsi;

/// <summary>An iSCSI target node: a SCSI target under its iSCSI name, and who may log in to it. RFC 7143 section 4.1.</summary>
/// <remarks>Touched only by the owning reactor.</remarks>
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

    /// <summary>The server that lets initiators log in to it; null when it is none's.</summary>
    internal IscsiServer? Server { get; set; }
}
