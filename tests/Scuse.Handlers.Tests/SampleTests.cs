using System.Runtime.CompilerServices;

namespace Scuse.Handlers.Tests;

public sealed class SampleTests
{
    [Theory]
    [InlineData("README.md")]
    [InlineData("src/Scuse.Handlers/README.md")]
    public void The_first_handler_that_the_documentation_shows_is_the_sample_that_compiles(string document)
    {
        string sample = System.IO.File.ReadAllText(Path.Combine(Root(), "samples", "RamDisk", "Program.cs"));

        Assert.Contains(sample.Trim(), System.IO.File.ReadAllText(Path.Combine(Root(), document)), StringComparison.Ordinal);
    }

    static string Root([CallerFilePath] string thisFile = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "..", ".."));
}
