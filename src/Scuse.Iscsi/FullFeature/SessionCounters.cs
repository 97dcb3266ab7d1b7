namespace Scuse.Iscsi.FullFeature;

/// <summary>What a session counts.</summary>
internal sealed class SessionCounters
{
    public long Commands;
    public long DataInBytes;
    public long DataOutBytes;
    public long TaskManagementRequests;
    public long Rejects;

    /// <summary>Requests outside the window or seen before.</summary>
    public long IgnoredRequests;

    /// <summary>Data-Out PDUs for tasks that are no more.</summary>
    public long IgnoredDataOuts;
}
