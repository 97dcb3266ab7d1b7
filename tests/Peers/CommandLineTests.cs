using System.Net;
using System.Net.Sockets;

namespace Scuse.Peers;

/// <summary>What <c>scuse serve</c> says when it cannot do what it was told: one line that names the cause, and an exit code.</summary>
public sealed class CommandLineTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData("floppy:1M", "floppy")]
    [InlineData("memory:lots", "lots")]
    [InlineData("memory:0", "0")]
    [InlineData("memory:-1M", "-1M")]
    [InlineData("memory:1000", "1000")]
    [InlineData("memory:1M?block=100", "100")]
    [InlineData("memory:1M?colour=red", "colour")]
    [InlineData("memory:1M?level=some", "some")]
    [InlineData("memory:1M?readonly=perhaps", "perhaps")]
    [InlineData("memory:99999999999G", "99999999999G")]
    [InlineData("file:", "file:")]
    [InlineData("exec:", "exec:")]
    [InlineData("attach:", "attach:")]
    public async Task A_spec_that_makes_no_sense_is_refused_with_exit_code_2(string spec, string named) =>
        AssertOneLine(await RefusedAsync(spec), exitCode: 2, named);

    [Theory]
    [InlineData("--colour", "red", "colour")]
    [InlineData("--portal", "nonsense", "nonsense")]
    [InlineData("--portal", "127.0.0.1:99999", "99999")]
    [InlineData("--target", "not an iqn", "not an iqn")]
    public async Task An_option_that_makes_no_sense_is_refused_with_exit_code_2(string option, string value, string named) =>
        AssertOneLine(await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", option, value), exitCode: 2, named);

    [Fact]
    public async Task A_command_that_does_not_exist_is_refused_with_exit_code_2() =>
        AssertOneLine(await ScuseServe.RunAsync(Deadline, "sreve"), exitCode: 2, "sreve");

    [Fact]
    public async Task A_portal_that_is_in_use_is_named_with_exit_code_1()
    {
        using TcpListener busy = new(IPAddress.Loopback, 0);
        busy.Start();
        string portal = busy.LocalEndpoint.ToString()!;

        AssertOneLine(await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", "--portal", portal), exitCode: 1, portal);
    }

    [Fact]
    public async Task A_file_in_a_folder_that_does_not_exist_is_named_with_exit_code_1()
    {
        string path = TemporaryFile("missing/disk.img");

        AssertOneLine(await RefusedAsync($"file:{path}?size=1M"), exitCode: 1, path);
    }

    [Fact]
    public async Task A_folder_in_place_of_a_file_is_named_with_exit_code_1()
    {
        string path = Directory.CreateDirectory(TemporaryFile("folder")).FullName;

        AssertOneLine(await RefusedAsync($"file:{path}?size=1M"), exitCode: 1, path);
    }

    [Fact]
    public async Task A_file_that_does_not_exist_and_has_no_size_is_named_with_exit_code_1()
    {
        string path = TemporaryFile("disk.img");

        AssertOneLine(await RefusedAsync($"file:{path}"), exitCode: 1, path);
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task A_handler_program_that_does_not_exist_is_named_with_exit_code_1() =>
        AssertOneLine(await RefusedAsync("exec:/nowhere/handler --fast"), exitCode: 1, "/nowhere/handler");

    [Fact]
    public async Task A_handler_program_that_only_ends_is_named_with_exit_code_1() =>
        AssertOneLine(await RefusedAsync("exec:/bin/false"), exitCode: 1, "/bin/false");

    [Fact]
    public async Task An_attach_socket_that_cannot_be_made_is_named_with_exit_code_1()
    {
        File.WriteAllText(TemporaryFile("file"), "");
        string socket = TemporaryFile("file/attach.sock");

        AssertOneLine(await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", "--portal", "127.0.0.1:0", "--socket", socket), exitCode: 1, socket);
    }

    [Fact]
    public async Task Help_is_printed_to_standard_output_with_exit_code_0()
    {
        Outcome outcome = await ScuseServe.RunAsync(Deadline, "--help");

        Assert.Equal(0, outcome.ExitCode);
        Assert.Contains("serve", outcome.Output);
        Assert.Empty(outcome.Error);
    }

    static Task<Outcome> RefusedAsync(string spec) => ScuseServe.RunAsync(Deadline, "serve", spec, "--portal", "127.0.0.1:0");

    static void AssertOneLine(Outcome outcome, int exitCode, string named)
    {
        string[] lines = outcome.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(outcome.ExitCode == exitCode, outcome.Text);
        Assert.True(lines.Length == 1 && lines[0].Contains(named, StringComparison.Ordinal), $"One line that names {named} was expected.\n{outcome.Text}");
        Assert.DoesNotContain("   at ", outcome.Text);
        Assert.Empty(outcome.Output);
    }
}
