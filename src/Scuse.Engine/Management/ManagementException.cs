namespace Scuse.Engine.Management;

/// <summary>Why a management call came to nothing.</summary>
public enum ManagementProblem
{
    /// <summary>What is asked about is not there.</summary>
    NotFound,

    /// <summary>It cannot be done as things are.</summary>
    Refused,

    /// <summary>The engine did not come round to it in time. Whether it is still going to happen is open.</summary>
    TooLate,

    /// <summary>The engine is not running, or stops.</summary>
    NotRunning,
}

/// <summary>A management call came to nothing; the message is one line for the operator.</summary>
public sealed class ManagementException(ManagementProblem problem, string message) : Exception(message)
{
    /// <summary>Why.</summary>
    public ManagementProblem Problem { get; } = problem;
}
