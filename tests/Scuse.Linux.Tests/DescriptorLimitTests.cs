namespace Scuse.Linux.Tests;

public sealed class DescriptorLimitTests
{
    [Fact]
    public void The_limit_is_raised_to_the_hard_one()
    {
        int limit = DescriptorLimit.Raise();

        // "Max open files            20000                20000                files"
        string[] fields = File.ReadLines("/proc/self/limits").First(static line => line.StartsWith("Max open files", StringComparison.Ordinal))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(fields[4], fields[3]);
        Assert.Equal(fields[3], $"{limit}");
    }
}
