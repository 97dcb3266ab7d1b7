using System.Diagnostics;
using System.Text;
using Scuse.Fuzz.Running;

namespace Scuse.Fuzz;

/// <summary>
/// The short form of every fuzzer, and proof that each kind of finding is found. Each runs in a process of its own: a stray access ends it. The long form is tests/Fuzz/run.
/// </summary>
public sealed class FuzzTests : IDisposable
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    readonly string _results = Directory.CreateTempSubdirectory("scuse-fuzz-").FullName;

    public static TheoryData<string> Targets => [.. FuzzCommand.Targets];

    public void Dispose() => Directory.Delete(_results, recursive: true);

    [Theory]
    [MemberData(nameof(Targets))]
    public async Task Nothing_is_found(string target)
    {
        // What opens sockets and maps regions takes its time.
        string inputs = target.StartsWith("ring-", StringComparison.Ordinal) ? "100000" : "15000";
        (int exitCode, string output) = await FuzzAsync("--target", target, "--inputs", inputs, "--seed", "1");

        Assert.True(exitCode == 0, output);
    }

    [Theory]
    [MemberData(nameof(Targets))]
    public async Task The_same_seed_does_the_same(string target)
    {
        Assert.Equal(await ReachedAsync(), await ReachedAsync());

        async Task<string> ReachedAsync() =>
            (await FuzzAsync("--target", target, "--inputs", "2000", "--seed", "7", "--no-race")).Output.Split('\n').Single(static line => line.Contains("reached", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_planted_exception_is_found_and_its_input_found_again()
    {
        (int exitCode, string output) = await FuzzAsync("--target", "planted-exception", "--inputs", "1000000", "--seed", "3");
        Assert.Equal(FuzzCommand.Found, exitCode);
        Assert.Contains("InvalidOperationException: planted", output);
        string file = Directory.GetFiles(_results, "planted-exception-3-*.bin").Single();
        Assert.Contains($"--target planted-exception --replay {file}", output);

        (exitCode, output) = await FuzzAsync("--target", "planted-exception", "--replay", file);

        Assert.Equal(FuzzCommand.Found, exitCode);
        Assert.Contains("InvalidOperationException: planted", output);
    }

    [Fact]
    public async Task A_planted_access_outside_crashes_and_its_input_is_left_behind()
    {
        (int exitCode, string output) = await FuzzAsync("--target", "planted-overrun", "--inputs", "1000000");
        Assert.True(exitCode > 2, $"{exitCode}\n{output}");
        string file = Path.Combine(_results, "planted-overrun.current");
        Assert.Contains($"--target planted-overrun --replay {file}", output);

        Assert.Equal(0x5C, Journal.Load(file).Inputs[^1][0]);
        (exitCode, _) = await FuzzAsync("--target", "planted-overrun", "--replay", file);

        Assert.True(exitCode > 2, $"{exitCode}");
    }

    [Fact]
    public async Task A_planted_hang_is_found()
    {
        (int exitCode, string output) = await FuzzAsync("--target", "planted-hang", "--inputs", "1000000", "--seed", "3", "--hang-seconds", "1");

        Assert.Equal(FuzzCommand.Found, exitCode);
        Assert.Contains("did not end within 1 s", output);
        Assert.Equal(0x5C, Journal.Load(Path.Combine(_results, "planted-hang-3-hang.bin")).Inputs[^1][0]);
    }

    [Fact]
    public async Task A_planted_leak_is_found()
    {
        (int exitCode, string output) = await FuzzAsync("--target", "planted-leak", "--inputs", "20000");

        Assert.Equal(FuzzCommand.Found, exitCode);
        Assert.Contains("memory is not flat", output);
    }

    [Theory]
    [InlineData("planted-wrong-disk", "the session that behaves has other data")]
    [InlineData("planted-kept-memory", "tasks' memory")]
    public async Task What_one_initiator_does_to_another_or_leaves_behind_is_found_and_its_inputs_find_it_again(string target, string finding)
    {
        (int exitCode, string output) = await FuzzAsync("--target", target, "--inputs", "20000", "--seed", "3");
        Assert.Equal(FuzzCommand.Found, exitCode);
        Assert.Contains(finding, output);

        (exitCode, output) = await FuzzAsync("--target", target, "--replay", Directory.GetFiles(_results, $"{target}-3-*.bin").Single());

        Assert.Equal(FuzzCommand.Found, exitCode);
        Assert.Contains(finding, output);
    }

    [Fact]
    public async Task A_planted_second_look_is_found_by_the_second_thread()
    {
        (int exitCode, string output) = await FuzzAsync("--target", "planted-race", "--inputs", "2000000");

        Assert.Equal(FuzzCommand.Found, exitCode);
        Assert.Contains("it changed in between", output);
    }

    [Theory]
    [InlineData("--target", "nothing")]
    [InlineData("--inputs")]
    [InlineData("--inputs", "many")]
    [InlineData("--what")]
    [InlineData("--replay", "file")]
    public async Task A_wrong_command_line_is_said_in_one_line(params string[] arguments)
    {
        (int exitCode, string output) = await FuzzAsync(arguments);

        Assert.Equal(FuzzCommand.Wrong, exitCode);
        Assert.Single(output.Trim().Split('\n'));
    }

    async Task<(int ExitCode, string Output)> FuzzAsync(params string[] arguments)
    {
        string dll = Path.Combine(AppContext.BaseDirectory, "Scuse.Fuzz.Tests.dll");
        ProcessStartInfo start = new("dotnet", [dll, "fuzz", "--results", _results, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };

        // What a crash would otherwise leave: a core of all memory.
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        using Process process = Process.Start(start)!;
        var output = new StringBuilder();
        void Keep(object sender, DataReceivedEventArgs line)
        {
            lock (output)
            {
                output.Append(line.Data).Append('\n');
            }
        }

        process.OutputDataReceived += Keep;
        process.ErrorDataReceived += Keep;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using CancellationTokenSource late = new(Deadline);
        try
        {
            await process.WaitForExitAsync(late.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            await process.WaitForExitAsync();
            Assert.Fail($"still running after {Deadline.TotalSeconds} s\n{output}");
        }

        return (process.ExitCode, output.ToString());
    }
}
