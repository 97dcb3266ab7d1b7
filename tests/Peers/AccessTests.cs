using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>CHAP and initiator lists, with other people's initiators.</summary>
public sealed class AccessTests : PeerTest
{
    const string User = "alice", Secret = "correct-horse-battery", OwnName = "disks", OwnSecret = "target-secret-123456";
    const string Finder = "finder", FinderSecret = "secret-of-the-finder";

    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    async Task<ScuseServe> ServeWithChapAsync(bool discovery = false, params string[] more)
    {
        string file = TemporaryFile("chap.json");
        string users = $$"""[{ "name": "{{User}}", "secret": "{{Secret}}" }]""";
        string finders = discovery ? $$""", "discovery": { "users": [{ "name": "{{Finder}}", "secret": "{{FinderSecret}}" }, { "name": "{{User}}", "secret": "{{Secret}}" }] }""" : "";
        await File.WriteAllTextAsync(file, $$"""{ "users": {{users}}, "mutual": { "name": "{{OwnName}}", "secret": "{{OwnSecret}}" }{{finders}} }""", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return await ServeAsync(["memory:32M", "--chap-file", file, "--socket", TemporaryFile("attach.sock"), .. more]);
    }

    static string As(string user, string secret, string url) => url.Replace("iscsi://", $"iscsi://{user}%{secret}@", StringComparison.Ordinal);

    static string[] Mutual(string name, string secret, params string[] command) =>
        [$"LIBISCSI_CHAP_TARGET_USERNAME={name}", $"LIBISCSI_CHAP_TARGET_PASSWORD={secret}", .. command];

    static Task<Outcome> InquiryAsync(string url) => Peer.RunAsync(Deadline, "iscsi-inq", url);

    [Fact]
    public async Task An_initiator_logs_in_with_CHAP_and_the_operator_sees_as_whom()
    {
        Needs.Libiscsi("iscsi-inq");
        Needs.LibiscsiHeaders();
        ScuseServe serve = await ServeWithChapAsync();

        Assert.Contains("DIRECT_ACCESS", (await InquiryAsync(As(User, Secret, serve.Url))).OrThrow().Output);
        using IscsiLoad load = await IscsiLoad.StartAsync(As(User, Secret, serve.Url), area: 0, "--no-reconnect");
        JsonNode session = Assert.Single(JsonNode.Parse((await ScuseAsync("sessions", "--json")).OrThrow().Output)!.AsArray())!;
        Outcome table = (await ScuseAsync("sessions")).OrThrow();
        (await load.StopAsync()).AssertUndisturbed();

        Assert.Equal(("CHAP MD5", User), ((string)session["authMethod"]!, (string)session["user"]!)); // all that this version of libiscsi knows
        Assert.Contains(User, table.Output);
        Assert.DoesNotContain(Secret, session + table.Output + serve.Log);
    }

    [Theory]
    [InlineData(User, "wrong-horse-battery")]
    [InlineData("mallory", Secret)]
    [InlineData("", "")]
    public async Task Wrong_names_and_secrets_and_none_at_all_are_refused_and_logged(string user, string secret)
    {
        Needs.Libiscsi("iscsi-inq");
        Needs.Qemu();
        ScuseServe serve = await ServeWithChapAsync();
        string url = user.Length == 0 ? serve.Url : As(user, secret, serve.Url);

        Outcome inquiry = await InquiryAsync(url);
        Outcome qemu = await Qemu.IoAsync(url, "read 0 4k");

        (await InquiryAsync(As(User, Secret, serve.Url))).OrThrow();

        Assert.NotEqual(0, inquiry.ExitCode);
        Assert.NotEqual(0, qemu.ExitCode);
        await serve.MustLogAsync("0201 (AuthenticationFailure)");
        Assert.DoesNotContain(Secret, serve.Log);
    }

    [Fact]
    public async Task An_empty_secret_is_refused()
    {
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeWithChapAsync();

        Outcome inquiry = await Peer.RunAsync(Deadline, "env", $"LIBISCSI_CHAP_USERNAME={User}", "LIBISCSI_CHAP_PASSWORD=", "iscsi-inq", serve.Url);

        Assert.NotEqual(0, inquiry.ExitCode);
    }

    [Fact]
    public async Task The_target_proves_itself_and_an_initiator_that_expects_another_goes_away()
    {
        Needs.Libiscsi("iscsi-inq");
        Needs.Qemu();
        ScuseServe serve = await ServeWithChapAsync();
        string url = As(User, Secret, serve.Url);

        (await Peer.RunAsync(Deadline, "env", Mutual(OwnName, OwnSecret, "iscsi-inq", url))).OrThrow();
        (await Peer.RunAsync(Deadline, "env", Mutual(OwnName, OwnSecret, "qemu-io", "-f", "raw", "-t", "none", "-c", "write -P 7 0 1M", "-c", "read -P 7 0 1M", url))).OrThrow();
        Outcome wrongSecret = await Peer.RunAsync(Deadline, "env", Mutual(OwnName, "another-secret-123", "iscsi-inq", url));
        Outcome wrongName = await Peer.RunAsync(Deadline, "env", Mutual("other-disks", OwnSecret, "iscsi-inq", url));

        Assert.NotEqual(0, wrongSecret.ExitCode);
        Assert.NotEqual(0, wrongName.ExitCode);
        await serve.MustLogAsync("it may expect another name or secret of the target");
    }

    [Fact]
    public async Task Users_come_and_go_while_the_engine_runs()
    {
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeWithChapAsync();
        string file = TemporaryFile("chap.json");
        string before = await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken);

        await File.WriteAllTextAsync(file, """{ "users": [{ "name": "carol", "secret": "the-secret-of-carol" }] }""", TestContext.Current.CancellationToken);
        (await ScuseAsync("access", "reload")).OrThrow();
        Outcome gone = await InquiryAsync(As(User, Secret, serve.Url));
        (await InquiryAsync(As("carol", "the-secret-of-carol", serve.Url))).OrThrow();
        await File.WriteAllTextAsync(file, """{ "users": [{ "name": "carol", "secret": "short" }] }""", TestContext.Current.CancellationToken);
        Outcome wrong = await ScuseAsync("access", "reload");
        (await InquiryAsync(As("carol", "the-secret-of-carol", serve.Url))).OrThrow();
        await File.WriteAllTextAsync(file, before, TestContext.Current.CancellationToken);
        (await ScuseAsync("access", "reload")).OrThrow();
        (await InquiryAsync(As(User, Secret, serve.Url))).OrThrow();

        Assert.NotEqual(0, gone.ExitCode);
        Assert.Equal(1, wrong.ExitCode);
        Assert.Contains("12 to 255 bytes", Assert.Single(wrong.Error.TrimEnd().Split('\n')));
    }

    [Fact]
    public async Task Discovery_asks_for_CHAP_of_its_own()
    {
        Needs.Libiscsi("iscsi-ls");
        ScuseServe serve = await ServeWithChapAsync(discovery: true);

        Outcome none = await Peer.RunAsync(Deadline, "iscsi-ls", serve.PortalUrl);
        Outcome wrong = await Peer.RunAsync(Deadline, "iscsi-ls", As(Finder, "secret-of-the-looser", serve.PortalUrl));
        Outcome right = (await Peer.RunAsync(Deadline, "iscsi-ls", As(Finder, FinderSecret, serve.PortalUrl))).OrThrow();
        Outcome luns = (await Peer.RunAsync(Deadline, "iscsi-ls", "-s", As(User, Secret, serve.PortalUrl))).OrThrow();

        Assert.DoesNotContain("Target:", none.Output + wrong.Output);
        Assert.Contains($"Target:{serve.Target}", right.Output);
        Assert.Matches(@"Lun:0\s+Type:DIRECT_ACCESS", luns.Output);
    }

    [Fact]
    public async Task Where_only_some_initiators_may_log_in_the_others_find_no_target()
    {
        Needs.Libiscsi("iscsi-ls");
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeAsync("memory:8M", "--initiator", "iqn.2026-11.example:some*");

        (await Peer.RunAsync(Deadline, "iscsi-inq", "-i", "iqn.2026-11.example:someone", serve.Url)).OrThrow();
        Outcome other = await Peer.RunAsync(Deadline, "iscsi-inq", "-i", "iqn.2026-11.example:other", serve.Url);
        Outcome list = await Peer.RunAsync(Deadline, "iscsi-ls", "-i", "iqn.2026-11.example:other", serve.PortalUrl);

        Assert.NotEqual(0, other.ExitCode);
        Assert.DoesNotContain("Target:", list.Output);
        await serve.MustLogAsync("may not log in");
    }

    [Fact]
    public async Task Each_initiator_sees_its_own_LUNs_and_writes_only_where_it_may()
    {
        Needs.Libiscsi("iscsi-ls");
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:8M", "memory:16M", "--lun-map", "iqn.2026-11.example:backup=0@1:ro", "--lun-map", "iqn.*=0,1");

        Outcome all = (await Peer.RunAsync(Deadline, "iscsi-ls", "-s", "-i", "iqn.2026-11.example:host", serve.PortalUrl)).OrThrow();
        Outcome backup = (await Peer.RunAsync(Deadline, "iscsi-ls", "-s", "-i", "iqn.2026-11.example:backup", serve.PortalUrl)).OrThrow();
        await Qemu.IoMustSucceedAsync(serve.Urls[1], "write -P 9 0 1M");
        string image = $"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal={serve.Portal},file.target={serve.Target},file.lun=0,file.initiator-name=iqn.2026-11.example:backup";
        Outcome read = await Peer.RunAsync(Deadline, "qemu-io", "--image-opts", "-r", "-c", "read -P 9 0 1M", image);
        Outcome write = await Peer.RunAsync(Deadline, "qemu-io", "--image-opts", "-c", "write 0 4k", image);

        Assert.Matches(@"Lun:1\s", all.Output);
        Assert.Matches(@"Lun:0\s+Type:DIRECT_ACCESS", backup.Output);
        Assert.DoesNotContain("Lun:1", backup.Output);
        Assert.Equal(0, read.OrThrow().ExitCode);
        Assert.DoesNotContain("Pattern verification failed", read.Text);
        Assert.NotEqual(0, write.ExitCode);
    }

    [Theory]
    [InlineData("iqn.x")]
    [InlineData("iqn.x=")]
    [InlineData("iqn.x=0:rw")]
    [InlineData("iqn.x=0@1@2")]
    [InlineData("iqn.x=0,0")]
    [InlineData("iqn.x=1")]
    [InlineData("nobody=0")]
    public async Task A_map_that_makes_no_sense_is_one_line_and_exit_code_2(string map)
    {
        Outcome outcome = await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", "--lun-map", map);

        Assert.Equal(2, outcome.ExitCode);
        Assert.Single(outcome.Error.TrimEnd().Split('\n'));
    }

    [Fact]
    public async Task A_portal_for_other_machines_needs_to_be_told_who_may_come()
    {
        Outcome open = await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", "--portal", "0.0.0.0:0");
        ScuseServe listed = await ServeAsync("memory:1M", "--portal", "0.0.0.0:0", "--initiator", "127.0.0.0/8", "--socket", TemporaryFile("a.sock"));
        (await InquiryAsync(listed.Url)).OrThrow();
        ScuseServe loopback = await ServeAsync("memory:1M", "--socket", TemporaryFile("attach.sock"));
        Outcome live = await ScuseAsync("portal", "add", "0.0.0.0:0");

        Assert.Equal(2, open.ExitCode);
        Assert.Contains("--chap-file", Assert.Single(open.Error.TrimEnd().Split('\n')));
        Assert.Equal(1, live.ExitCode);
        Assert.Contains("--chap-file", live.Error);
        Assert.NotEqual(0, loopback.Port);
    }

    [Fact]
    public async Task A_file_of_secrets_that_others_may_read_is_refused()
    {
        string file = TemporaryFile("chap.json");
        await File.WriteAllTextAsync(file, $$"""{ "users": [{ "name": "{{User}}", "secret": "{{Secret}}" }] }""", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.OtherRead);

        Outcome outcome = await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", "--chap-file", file);

        Assert.Equal(2, outcome.ExitCode);
        Assert.Contains($"chmod 600 {file}", Assert.Single(outcome.Error.TrimEnd().Split('\n')));
    }

    Task<Outcome> ScuseAsync(params string[] arguments) => ScuseServe.RunAsync(Deadline, [.. arguments, "--control", TemporaryFile("attach.sock.control")]);
}
