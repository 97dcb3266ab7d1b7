using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>An initiator at one end of a nexus: sends commands and keeps what comes back.</summary>
sealed class Initiator : ITaskTransport
{
    /// <summary>Stands for the REPORT LUNS well-known logical unit.</summary>
    public const int ReportLunsLun = -1;

    const ulong ReportLunsAddress = 0xC101_0000_0000_0000;

    readonly ScsiTarget _target;

    public Initiator(ScsiTarget target, string name = "iqn.2026-11.example:a,i,0x000000000001", bool clearAttentions = true, LunMap? map = null)
    {
        _target = target;
        Nexus = target.Attach(name, map, Lanes.Next(target));
        if (clearAttentions)
        {
            foreach (LogicalUnit unit in target.LogicalUnits)
            {
                Send(Cdbs.TestUnitReady, lun: unit.Number).Release(); // reports that the nexus is new
            }

            Completed.Clear();
        }
    }

    public Nexus Nexus { get; }

    public List<ScsiTask> Wanted { get; } = [];

    public List<ScsiTask> Completed { get; } = [];

    public List<ScsiTask> Aborted { get; } = [];

    /// <summary>Whether its commands allow their Data-In to lie where it may change.</summary>
    public bool TakesDataInWhereItLies { get; set; }

    /// <summary>Commands whose Data-In has moved.</summary>
    public List<ScsiTask> Moved { get; } = [];

    public List<TaskManagementResponse> Answers { get; } = [];

    /// <summary>The additional response information of the last function that was answered.</summary>
    public int Information { get; private set; }

    public ScsiTask Send(byte[] cdb, int dataIn = 0, int dataOut = 0, int lun = 0, TaskAttribute attribute = TaskAttribute.Simple)
    {
        ScsiTask task = _target.Rent(Nexus);
        task.Transport = this;
        task.Nexus = Nexus;
        task.Lun = lun == ReportLunsLun ? ReportLunsAddress : LunAddress.Format(lun);
        task.Attribute = attribute;
        task.ExpectedDataIn = dataIn;
        task.ExpectedDataOut = dataOut;
        task.TakesDataInWhereItLies = TakesDataInWhereItLies;
        task.SetCdb(cdb);
        _target.Begin(task);
        return task;
    }

    public void Manage(TaskManagementFunction function, ScsiTask? referenced = null, int lun = 0) => _target.Manage(new TaskManagementRequest
    {
        Nexus = Nexus,
        Transport = this,
        Function = function,
        Lun = LunAddress.Format(lun),
        Referenced = referenced,
    });

    public void OnDataOutWanted(ScsiTask task) => Wanted.Add(task);

    public void OnCompleted(ScsiTask task) => Completed.Add(task);

    public void OnDataInMoved(ScsiTask task) => Moved.Add(task);

    public void OnAborted(ScsiTask task) => Aborted.Add(task);

    public void OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response)
    {
        Answers.Add(response);
        Information = request.AdditionalResponseInformation;
    }

    /// <summary>The one command that has completed, as status and sense.</summary>
    public string Outcome => OutcomeOf(Assert.Single(Completed));

    /// <summary>How a command ended, as status or sense.</summary>
    public static string OutcomeOf(ScsiTask task) =>
        task.Status == ScsiStatus.CheckCondition ? SenseData.Parse(task.Sense).ToString() : task.Status.ToString();
}
