using Xunit.Sdk;
using Xunit.v3;

namespace Scuse.Peers;

/// <summary>Has the classes that take longest begin first, so that none of them is left to run by itself at the end.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    static readonly string[] s_longest = [nameof(ConformanceTests), nameof(DataTests), nameof(TargetTests), nameof(ControlTests), nameof(SeveralReactorsTests), nameof(MovingTests)];

    /// <inheritdoc/>
    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection =>
        [.. testCollections.OrderBy(static collection => Array.FindIndex(s_longest, name => collection.TestCollectionDisplayName.Contains($".{name} ", StringComparison.Ordinal)) is var place and >= 0 ? place : s_longest.Length)];
}
