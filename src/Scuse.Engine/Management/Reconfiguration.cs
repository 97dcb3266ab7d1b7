namespace Scuse.Engine.Management;

/// <summary>What became of an engine that was told anew what it is to be.</summary>
public sealed record Reconfiguration
{
    /// <summary>The targets that have come.</summary>
    public required IReadOnlyList<string> Added { get; init; }

    /// <summary>The targets that have gone.</summary>
    public required IReadOnlyList<string> Removed { get; init; }

    /// <summary>The targets that let others in now, or show them something else.</summary>
    public required IReadOnlyList<string> Changed { get; init; }

    /// <summary>Whether others may ask now which targets there are.</summary>
    public required bool IsDiscoveryChanged { get; init; }

    /// <summary>What is otherwise than it was told, and stays so while it runs.</summary>
    public required IReadOnlyList<string> NeedsRestart { get; init; }

    /// <summary>The targets that were to come and could not.</summary>
    public required IReadOnlyList<FailedTarget> Failed { get; init; }
}

/// <summary>A target that could not come.</summary>
/// <param name="Target">Its iSCSI name.</param>
/// <param name="Reason">Why, as one line.</param>
public sealed record FailedTarget(string Target, string Reason);

/// <summary>A target that has gone.</summary>
/// <param name="Name">Its iSCSI name.</param>
/// <param name="DroppedSessions">How many sessions of initiators went with it.</param>
public sealed record RemovedTarget(string Name, int DroppedSessions);
