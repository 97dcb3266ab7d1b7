namespace Scuse.Peers;

/// <summary>The test classes that measure time or fill the machine by themselves: they run one after the other, when those that share it are done.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
