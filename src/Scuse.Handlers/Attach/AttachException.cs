namespace Scuse.Attach;

/// <summary>Why attaching went wrong.</summary>
enum AttachProblem
{
    /// <summary>No target is there, or it went away: another try may do better.</summary>
    NoTarget,

    /// <summary>The target said no.</summary>
    Refused,

    /// <summary>The target does not speak the protocol.</summary>
    Broken,
}

/// <summary>Attaching went wrong; the message is one line for a person.</summary>
sealed class AttachException(AttachProblem problem, string message, Exception? cause = null) : Exception(message, cause)
{
    internal AttachProblem Problem { get; } = problem;
}
