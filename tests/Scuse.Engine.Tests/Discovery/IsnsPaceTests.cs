using Scuse.Engine.Discovery;

namespace Scuse.Engine.Tests.Discovery;

/// <summary>When an iSNS server is told again.</summary>
public sealed class IsnsPaceTests
{
    [Theory]
    [InlineData(3, 1)]
    [InlineData(1, 1)]
    [InlineData(600, 200)]
    [InlineData(uint.MaxValue, 3600)]
    [InlineData(0, 200)]
    public void It_is_told_three_times_in_a_period_within_limits(uint periodSeconds, double waitSeconds) =>
        Assert.Equal(TimeSpan.FromSeconds(waitSeconds), new IsnsPace().AfterSuccess(periodSeconds));

    [Fact]
    public void Failures_are_followed_by_longer_and_longer_waits_until_it_goes_well()
    {
        IsnsPace pace = new();
        Assert.Equal([1, 2, 4, 8, 16, 32, 60, 60], Enumerable.Range(0, 8).Select(_ => pace.AfterFailure().TotalSeconds));
        pace.AfterSuccess(600);
        Assert.Equal([1, 2], Enumerable.Range(0, 2).Select(_ => pace.AfterFailure().TotalSeconds));
    }
}
