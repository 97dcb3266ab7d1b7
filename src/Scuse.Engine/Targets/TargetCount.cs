namespace Scuse.Engine.Targets;

/// <summary>How many targets an engine has: with several, a logical unit's number alone does not say which one is meant.</summary>
sealed class TargetCount
{
    volatile int _count;

    /// <summary>How many there are, those that come up included. Set by whoever changes the targets, read by any thread.</summary>
    public int Count
    {
        get => _count;
        set => _count = value;
    }

    public bool AreSeveral => _count > 1;
}
