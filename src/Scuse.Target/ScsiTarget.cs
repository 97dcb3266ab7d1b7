namespace Scuse.Target;

/// <summary>A SCSI target device with one port: the task router of SAM-5 clause 4.5. A transport brings it nexuses and tasks.</summary>
public sealed class ScsiTarget
{
    /// <summary>A target with a name.</summary>
    public ScsiTarget(string name)
    {
        Name = name;
    }

    /// <summary>The iSCSI name.</summary>
    public string Name { get; }

    /// <summary>A new I_T nexus.</summary>
    public Nexus Attach(string initiatorPort) => new(this, initiatorPort);

    /// <summary>The nexus is lost: its tasks end without an answer, and no call for them reaches the transport any more.</summary>
    public void Detach(Nexus nexus) => throw new NotImplementedException();

    /// <summary>An empty task to fill in.</summary>
    public ScsiTask Rent() => new(this);

    /// <summary>A task has arrived.</summary>
    public void Begin(ScsiTask task) => throw new NotImplementedException();

    /// <summary>All <see cref="ScsiTask.DataOutLength"/> bytes of the task's data are in place.</summary>
    public void DataArrived(ScsiTask task) => throw new NotImplementedException();

    /// <summary>Starts a task management function; the answer comes through the request's transport.</summary>
    public void Manage(TaskManagementRequest request) => throw new NotImplementedException();

    internal void Release(ScsiTask task) => throw new NotImplementedException();
}
