namespace Scuse.Scsi;

/// <summary>How a device server ended one command.</summary>
/// <param name="Status">The status for the initiator.</param>
/// <param name="Sense">The sense data; meaningful with <see cref="ScsiStatus.CheckCondition"/>.</param>
/// <param name="DataInLength">
/// How many bytes the command returns, in bytes. It may exceed the buffer that was there for them: then the rest is a residual overflow.
/// </param>
public readonly record struct ScsiResult(ScsiStatus Status, SenseData Sense, int DataInLength)
{
    /// <summary>GOOD, without Data-In.</summary>
    public static ScsiResult Good => default;

    /// <summary>Whether the status is GOOD.</summary>
    public bool IsGood => Status == ScsiStatus.Good;

    /// <summary>GOOD, with Data-In.</summary>
    public static ScsiResult GoodWith(int dataInLength) => new(ScsiStatus.Good, default, dataInLength);

    /// <summary>CHECK CONDITION.</summary>
    public static ScsiResult Check(SenseData sense) => new(ScsiStatus.CheckCondition, sense, 0);

    /// <summary>CHECK CONDITION.</summary>
    public static ScsiResult Check(SenseKey key, ushort code) => Check(new SenseData(key, code));

    /// <summary>A status without sense data: BUSY, TASK SET FULL. SAM-5 clause 5.3.1.</summary>
    public static ScsiResult With(ScsiStatus status) => new(status, default, 0);
}
