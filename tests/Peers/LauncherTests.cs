using System.Runtime.CompilerServices;

namespace Scuse.Peers;

/// <summary>The <c>scuse</c> script at the root of the sources.</summary>
[Collection(Alone.Name)]
public sealed class LauncherTests : PeerTest
{
    [Fact]
    public async Task The_launcher_works_through_a_symbolic_link_from_any_folder()
    {
        string launcher = Launcher();
        string link = TemporaryFile("link");
        File.CreateSymbolicLink(link, launcher);

        using RunningPeer help = RunningPeer.Start(link, ["--help"], null, "/");
        Outcome outcome = (await help.WaitAsync(TimeSpan.FromSeconds(120))).OrThrow();

        Assert.Contains("serve", outcome.Output);
    }

    [Fact]
    public async Task The_launcher_hands_arguments_and_exit_codes_through_unchanged()
    {
        using RunningPeer refused = RunningPeer.Start(Launcher(), ["serve", "floppy: two words"], null, "/");
        Outcome outcome = await refused.WaitAsync(TimeSpan.FromSeconds(120));

        Assert.Equal(2, outcome.ExitCode);
        Assert.Contains("floppy", outcome.Error);
    }

    [Fact]
    public async Task Without_dotnet_the_launcher_says_what_to_install()
    {
        string launcher = Launcher();
        string onlyShell = Directory.CreateDirectory(TemporaryFile("bin")).FullName;
        foreach (string tool in new[] { "sh", "bash", "readlink", "dirname", "find", "env" })
        {
            File.CreateSymbolicLink(Path.Combine(onlyShell, tool), Peer.Find(tool)!);
        }

        using RunningPeer help = RunningPeer.Start(
            launcher, ["--help"], new Dictionary<string, string> { ["PATH"] = onlyShell, ["DOTNET_ROOT"] = "", ["HOME"] = onlyShell }, "/");
        Outcome outcome = await help.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.NotEqual(0, outcome.ExitCode);
        Assert.Contains(".NET SDK 10", outcome.Error);
    }

    // The launcher builds into artifacts/; only when that is where this test was built too is it certain that nothing is built here.
    static string Launcher([CallerFilePath] string thisFile = "")
    {
        string root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "../.."));
        Assert.SkipUnless(
            AppContext.BaseDirectory.StartsWith(Path.Combine(root, "artifacts/"), StringComparison.Ordinal), "needs a build by ./test");
        return Path.Combine(root, "scuse");
    }
}
